// Members with their bounds, both ways.
#include "daemon/transport/generation_json.hpp"

#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "lsp/protocol/json.hpp"
#include "lsp/protocol/prompt_json.hpp"

namespace hearth::daemon {
namespace {

using lsp::InvalidParams;
using nlohmann::json;

constexpr std::array<std::string_view, 5> phases{"loading", "queued", "prefilling", "thinking",
                                                 "generating"};
constexpr std::array<std::string_view, 3> finishes{"stop", "length", "contextFull"};
constexpr std::array<std::string_view, 2> samplings{"greedy", "recommended"};

constexpr std::int64_t max_tokens = std::int64_t{1} << 20;
constexpr double max_temperature = 100;
constexpr std::size_t max_stop_strings = 64;
constexpr std::size_t max_stop_bytes = 4096;  // of one
constexpr std::size_t max_parts = 2000;       // messages and segments of a prompt

// `name` of the object as an integer of a range; `otherwise` where there is none.
std::int64_t integer(const json& object, const char* name, std::int64_t otherwise, std::int64_t min,
                     std::int64_t max) {
  if (lsp::find(object, name) == nullptr) return otherwise;
  const std::int64_t value = lsp::integer_member(object, name);
  if (value < min || value > max) {
    throw InvalidParams("\"" + std::string(name) + "\" is not from " + std::to_string(min) +
                        " to " + std::to_string(max));
  }
  return value;
}

std::optional<float> number(const json& object, const char* name, double max) {
  const json* value = lsp::find(object, name);
  if (value == nullptr) return std::nullopt;
  const double read = value->is_number() ? value->get<double>() : -1;
  if (read >= 0 && read <= max) return static_cast<float>(read);
  throw InvalidParams("\"" + std::string(name) + "\" is no number from 0 to " +
                      std::to_string(static_cast<int>(max)));
}

std::vector<std::string> stop_strings(const json& object) {
  std::vector<std::string> strings;
  if (lsp::find(object, "stop") == nullptr) return strings;
  for (const json& text : lsp::array_member(object, "stop")) {
    const bool fits =
        text.is_string() && text.get_ref<const std::string&>().size() <= max_stop_bytes;
    if (!fits || strings.size() == max_stop_strings) {
      throw InvalidParams("\"stop\" is not at most " + std::to_string(max_stop_strings) +
                          " strings of at most " + std::to_string(max_stop_bytes) + " bytes");
    }
    strings.push_back(text.get<std::string>());
  }
  return strings;
}

std::size_t parts_of(const lsp::Prompt& prompt) {
  std::size_t parts = prompt.messages.size() + prompt.prefix.size() + prompt.suffix.size();
  for (const lsp::Message& message : prompt.messages) parts += message.segments.size();
  return parts;
}

std::chrono::milliseconds time_at(const json& object, const char* name) {
  return std::chrono::milliseconds(lsp::integer_member(object, name));
}

}  // namespace

json to_json(const lsp::GenerateOptions& options) {
  json value{{"maxTokens", options.max_tokens},
             {"thinkingBudget", options.thinking_budget},
             {"sampling", lsp::enum_name(samplings, options.sampling)},
             {"seed", static_cast<std::int64_t>(options.seed)},
             {"stop", options.stop_strings}};
  if (options.thinking) value["thinking"] = *options.thinking;
  const lsp::SamplingChoice& chosen = options.sampling_choice;
  if (chosen.temperature) value["temperature"] = *chosen.temperature;
  if (chosen.top_k) value["topK"] = *chosen.top_k;
  if (chosen.top_p) value["topP"] = *chosen.top_p;
  return value;
}

lsp::GenerateOptions read_options(const json& given) {
  lsp::GenerateOptions options;
  options.max_tokens = integer(given, "maxTokens", options.max_tokens, 1, max_tokens);
  if (const json* thinking = lsp::find(given, "thinking")) {
    if (!thinking->is_boolean()) throw InvalidParams("\"thinking\" is neither true nor false");
    options.thinking = thinking->get<bool>();
  }
  options.thinking_budget =
      integer(given, "thinkingBudget", options.thinking_budget, 0, max_tokens);
  if (lsp::find(given, "sampling") != nullptr)
    options.sampling = lsp::enum_member<lsp::Sampling>(samplings, given, "sampling");
  constexpr auto max_seed = std::numeric_limits<std::int64_t>::max();
  options.seed = static_cast<std::uint64_t>(integer(given, "seed", 0, 0, max_seed));
  options.stop_strings = stop_strings(given);
  options.sampling_choice.temperature = number(given, "temperature", max_temperature);
  options.sampling_choice.top_p = number(given, "topP", 1);
  if (lsp::find(given, "topK") != nullptr) {
    constexpr auto max_top_k = std::numeric_limits<int>::max();
    options.sampling_choice.top_k = static_cast<int>(integer(given, "topK", 0, 0, max_top_k));
  }
  return options;
}

lsp::Prompt read_prompt(const json& given) {
  lsp::Prompt prompt;
  try {
    prompt = lsp::member(given, "prompt").get<lsp::Prompt>();
  } catch (const json::exception&) {  // of numbers that are none
    throw InvalidParams("\"prompt\" is not of this form");
  }
  if (parts_of(prompt) > max_parts) {
    throw InvalidParams("\"prompt\" has more than " + std::to_string(max_parts) +
                        " messages and segments");
  }
  return prompt;
}

json to_json(const lsp::GenerationProgress& progress) {
  json value{{"phase", lsp::enum_name(phases, progress.phase)},
             {"promptTokens", progress.prompt_tokens},
             {"cachedTokens", progress.cached_tokens},
             {"promptDone", progress.prompt_done},
             {"thoughtTokens", progress.thought_tokens},
             {"answerTokens", progress.answer_tokens},
             {"ahead", progress.ahead}};
  if (progress.first_token) value["firstTokenMs"] = progress.first_token->count();
  if (progress.eta) value["etaMs"] = progress.eta->count();
  return value;
}

lsp::GenerationProgress read_progress(const json& given) {
  lsp::GenerationProgress progress;
  progress.phase = lsp::enum_member<lsp::GenerationProgress::Phase>(phases, given, "phase");
  progress.prompt_tokens = lsp::integer_member(given, "promptTokens");
  progress.cached_tokens = lsp::integer_member(given, "cachedTokens");
  const auto& done = lsp::member(given, "promptDone");
  progress.prompt_done = done.is_number() ? done.get<double>() : 0;
  progress.thought_tokens = lsp::integer_member(given, "thoughtTokens");
  progress.answer_tokens = lsp::integer_member(given, "answerTokens");
  progress.ahead = integer(given, "ahead", 0, 0, std::numeric_limits<std::int64_t>::max());
  if (lsp::find(given, "firstTokenMs") != nullptr)
    progress.first_token = time_at(given, "firstTokenMs");
  if (lsp::find(given, "etaMs") != nullptr) progress.eta = time_at(given, "etaMs");
  return progress;
}

json to_json(const lsp::Answer& answer) {
  return {{"finish", lsp::enum_name(finishes, answer.finish)},
          {"promptTokens", answer.prompt_tokens},
          {"cachedTokens", answer.cached_tokens},
          {"thoughtTokens", answer.thought_tokens},
          {"thoughtCut", answer.thought_cut},
          {"thought", answer.thought},
          {"answerTokens", answer.answer_tokens},
          {"promptMs", answer.prompt_time.count()},
          {"answerMs", answer.answer_time.count()},
          {"generated", answer.generated},
          {"by", answer.by}};
}

lsp::Answer read_answer(const json& given) {
  lsp::Answer answer;
  answer.finish = lsp::enum_member<lsp::FinishReason>(finishes, given, "finish");
  answer.prompt_tokens = lsp::integer_member(given, "promptTokens");
  answer.cached_tokens = lsp::integer_member(given, "cachedTokens");
  answer.thought_tokens = lsp::integer_member(given, "thoughtTokens");
  answer.thought_cut = lsp::flag(given, {"thoughtCut"});
  answer.thought = lsp::string_member(given, "thought");
  answer.answer_tokens = lsp::integer_member(given, "answerTokens");
  answer.by = lsp::string_member(given, "by");
  answer.prompt_time = time_at(given, "promptMs");
  answer.answer_time = time_at(given, "answerMs");
  for (const auto& token : lsp::array_member(given, "generated")) {
    if (!token.is_number_integer()) throw InvalidParams("\"generated\" holds what is no token");
    answer.generated.push_back(token.get<std::int32_t>());
  }
  return answer;
}

}  // namespace hearth::daemon
