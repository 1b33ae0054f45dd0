// Members by the names of OpenAI's endpoints, and llama.cpp's where those have none.
#include "daemon/serve/sampling_request.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::int64_t most_tokens = std::int64_t{1} << 20;
constexpr std::size_t max_stop_strings = 64;
constexpr std::size_t max_stop_bytes = 4096;
// Editors' requests have small numbers for their clients, control connections those from 2⁶³ on.
constexpr std::uint64_t http_clients = std::uint64_t{1} << 62U;

// Their values that change nothing: absent, null, false, 0 and nothing at all.
bool asks_nothing(const json* value) {
  return value == nullptr || (value->is_boolean() && !value->get<bool>()) ||
         (value->is_number() && value->get<double>() == 0) ||
         ((value->is_string() || value->is_structured()) && value->empty()) ||
         (value->is_string() && value->get_ref<const std::string&>().empty());
}

void refuse_what_is_not_served(const json& body) {
  for (const char* name : {"n", "best_of"}) {
    const auto wanted = integer_member(body, name, 0, 1 << 20);
    if (wanted.value_or(1) > 1) throw cannot_serve(name, "one answer at a time is written");
  }
  for (const char* name : {"grammar", "guided_json", "guided_regex", "guided_choice",
                           "guided_grammar", "structured_outputs"}) {
    if (!asks_nothing(lsp::find(body, name)))
      throw cannot_serve(name, "an answer can be bound to a JSON schema, by response_format");
  }
  for (const char* name : {"n_probs", "prompt_logprobs"}) {
    if (!asks_nothing(lsp::find(body, name)))
      throw cannot_serve(name, "probabilities are not given");
  }
  for (const char* name : {"functions", "function_call"}) {
    if (!asks_nothing(lsp::find(body, name)))
      throw cannot_serve(name, "its successors are \"tools\" and \"tool_choice\"");
  }
  for (const char* name : {"audio", "web_search_options"}) {
    if (!asks_nothing(lsp::find(body, name))) throw cannot_serve(name, "text is all there is");
  }
}

std::vector<std::string> stop_strings(const json& body) {
  const json* given = lsp::find(body, "stop");
  std::vector<std::string> strings;
  if (given == nullptr) return strings;
  const json list = given->is_array() ? *given : json::array({*given});
  for (const json& text : list) {
    const bool fits =
        text.is_string() && text.get_ref<const std::string&>().size() <= max_stop_bytes;
    if (!fits || strings.size() == max_stop_strings) {
      throw bad_member("stop", fmt::format("is neither a text nor at most {} texts, of at most {} "
                                           "bytes each",
                                           max_stop_strings, max_stop_bytes));
    }
    if (!text.empty() && !text.get_ref<const std::string&>().empty())
      strings.push_back(text.get<std::string>());
  }
  return strings;
}

std::map<std::int32_t, float> bias_of(const json& body) {
  std::map<std::int32_t, float> bias;
  const json* given = lsp::find(body, "logit_bias");
  if (given == nullptr) return bias;
  if (!given->is_object()) throw bad_member("logit_bias", "is no object of tokens and numbers");
  for (const auto& [key, value] : given->items()) {
    std::int32_t token = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool fits = read.ec == std::errc() && read.ptr == key.data() + key.size() && token >= 0 &&
                      value.is_number() && std::abs(value.get<double>()) <= 100;
    if (!fits)
      throw bad_member("logit_bias", "is no object of tokens and numbers from -100 to 100");
    bias[token] = value.get<float>();
  }
  return bias;
}

std::optional<float> as_float(std::optional<double> value) {
  return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
}

std::uint64_t any_seed() {
  std::uint64_t seed = 0;
  static_cast<void>(::getrandom(&seed, sizeof seed, 0));
  return seed;
}

}  // namespace

lsp::GenerateOptions read_options(const json& body, const ApiOptions& options,
                                  std::uint64_t connection) {
  refuse_what_is_not_served(body);
  lsp::GenerateOptions read;
  read.priority = options.priority;
  read.client = http_clients + connection;
  read.action = "serve";
  read.keep_turns = true;
  read.max_tokens = most_tokens;
  for (const char* name : {"n_predict", "max_tokens", "max_completion_tokens"}) {
    const auto most = integer_member(body, name, -1, most_tokens);
    if (most && *most >= 0) read.max_tokens = *most;
  }
  read.stop_strings = stop_strings(body);
  read.sampling = lsp::Sampling::recommended;
  read.thinking = lsp::thinking_asked(options.thinking_mode, std::nullopt);
  read.thinking_budget = options.thinking_budget;

  lsp::SamplingChoice& chosen = read.sampling_choice;
  chosen.temperature = as_float(number_member(body, "temperature", 0, 100));
  chosen.top_p = as_float(number_member(body, "top_p", 0, 1));
  chosen.min_p = as_float(number_member(body, "min_p", 0, 1));
  if (const auto top = integer_member(body, "top_k", -1, std::numeric_limits<int>::max()))
    chosen.top_k = static_cast<int>(std::max<std::int64_t>(*top, 0));
  chosen.presence_penalty = as_float(number_member(body, "presence_penalty", -2, 2));
  chosen.frequency_penalty = as_float(number_member(body, "frequency_penalty", -2, 2));
  for (const char* name : {"repeat_penalty", "repetition_penalty"}) {
    if (const auto penalty = number_member(body, name, 0.01, 100))
      chosen.repetition_penalty = as_float(penalty);
  }
  chosen.bias = bias_of(body);
  const auto seed = integer_member(body, "seed", std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max());
  read.seed = seed && *seed != -1 ? static_cast<std::uint64_t>(*seed) : any_seed();
  return read;
}

}  // namespace hearth::daemon
