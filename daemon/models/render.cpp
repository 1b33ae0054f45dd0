// Templates are the engine's; here segments become its messages, boundaries and all.
#include "daemon/models/render.hpp"

#include <algorithm>
#include <span>
#include <string_view>

#include "lsp/support/characters.hpp"

namespace hearth::daemon {
namespace {

engine::ChatMessage chat_message(const lsp::Message& message) {
  engine::ChatMessage result{std::string(name(message.role)),
                             {},
                             {},
                             message.generated,
                             message.thinking,
                             message.thought};
  for (const lsp::ToolCall& call : message.tool_calls)
    result.tool_calls.push_back({call.name, call.arguments});
  for (const auto& segment : message.segments) {
    result.content += segment.text;
    if (segment.boundary) result.boundaries.push_back(result.content.size());
  }
  return result;
}

engine::Rendered render_pieces(const engine::Profile& profile, const lsp::Prompt& prompt,
                               std::optional<bool> thinking) {
  // The engine knows where a completion's text will change: at the cursor.
  if (prompt.kind == lsp::Prompt::Kind::fill_in_the_middle) {
    return engine::render_fim(profile, lsp::text_of(prompt.prefix), lsp::text_of(prompt.suffix));
  }
  if (prompt.kind == lsp::Prompt::Kind::text) {
    if (!prompt.tokens.empty()) return {.pieces = {prompt.tokens}, .boundaries = {}};
    return {.pieces = {lsp::text_of(prompt.prefix)}, .boundaries = {}};
  }
  std::vector<engine::ChatMessage> messages;
  messages.reserve(prompt.messages.size());
  for (const auto& message : prompt.messages) messages.push_back(chat_message(message));
  return engine::render_chat(profile, messages, {thinking, prompt.tools});
}

// As the template has them.
std::vector<const lsp::Segment*> segments_in_order(const engine::Profile& profile,
                                                   const lsp::Prompt& prompt) {
  std::vector<const lsp::Segment*> segments;
  const auto add = [&segments](const std::vector<lsp::Segment>& all) {
    for (const lsp::Segment& segment : all) segments.push_back(&segment);
  };
  for (const lsp::Message& message : prompt.messages) add(message.segments);
  const bool suffix_first = profile.fim_order == engine::FimOrder::suffix_first;
  add(suffix_first ? prompt.suffix : prompt.prefix);
  add(suffix_first ? prompt.prefix : prompt.suffix);
  return segments;
}

}  // namespace

engine::TokenPrompt render(const PromptReader& reader, const lsp::Prompt& prompt,
                           std::optional<bool> thinking) {
  return engine::tokenize(reader.tokenizer, render_pieces(reader.profile, prompt, thinking));
}

std::int64_t most_thought(const engine::Profile& profile, lsp::Prompt::Kind kind,
                          const lsp::GenerateOptions& options) {
  const std::optional<bool> asked = options.asks_to_think();
  const bool thinks = kind == lsp::Prompt::Kind::chat && engine::opens_thought(profile, asked);
  // A model without a switch opens one in any case; closed at once it is none.
  return thinks && asked != false ? options.thinking_budget : 0;
}

std::vector<lsp::PromptPiece> inspect(const PromptReader& reader, const lsp::Prompt& prompt,
                                      std::optional<bool> thinking) {
  const engine::Tokenizer& tokenizer = reader.tokenizer;
  const engine::TokenPrompt rendered = render(reader, prompt, thinking);
  // Where each token begins in the text that all of them make.
  std::vector<std::size_t> begins;
  std::string text;
  for (const engine::TokenId token : rendered.tokens) {
    begins.push_back(text.size());
    text += tokenizer.decode(std::span(&token, 1), true);
  }
  std::vector<lsp::PromptPiece> pieces;
  std::size_t at = 0;
  const auto add = [&](std::size_t end, std::optional<lsp::Provenance> provenance = {},
                       const std::string& why = {}) {
    if (end == at) return;
    const auto first = std::ranges::lower_bound(begins, at);
    const auto last = std::ranges::lower_bound(begins, end);
    pieces.push_back({text.substr(at, end - at), last - first, provenance, why});
    at = end;
  };
  for (const lsp::Segment* segment : segments_in_order(reader.profile, prompt)) {
    // Text that the tokenizer cannot keep as it is, or a turn whose thought is not shown, stands in
    // the template's place.
    std::string_view shown = segment->text;
    std::size_t found = text.find(shown, at);
    if (found == text.npos) {  // some templates trim what a message begins and ends with
      shown = lsp::trimmed(shown);
      found = text.find(shown, at);
    }
    if (shown.empty() || found == text.npos) continue;
    add(found);
    add(found + shown.size(), segment->provenance, segment->why);
  }
  add(text.size());
  return pieces;
}

engine::GenerationRequest make_request(const PromptReader& reader, const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options) {
  const engine::Profile& profile = reader.profile;
  const bool chat = prompt.kind == lsp::Prompt::Kind::chat;
  const bool fim = prompt.kind == lsp::Prompt::Kind::fill_in_the_middle;
  engine::GenerationRequest request;
  request.prompt =
      engine::tokenize(reader.tokenizer, render_pieces(profile, prompt, options.asks_to_think()));
  const bool fim_as_chat = fim && profile.fim_order == engine::FimOrder::chat;
  request.stop_ids = fim && !fim_as_chat ? profile.fim_stop : profile.chat_stop;
  const auto middle = reader.tokenizer.special("<|fim_middle|>");
  if (prompt.kind == lsp::Prompt::Kind::text && middle &&
      std::ranges::count(request.prompt.tokens, *middle) > 0) {  // whoever wrote it completes
    request.stop_ids.insert(request.stop_ids.end(), profile.fim_stop.begin(),
                            profile.fim_stop.end());
  }
  request.stop_strings = options.stop_strings;
  if (fim_as_chat) {
    request.stop_strings.insert(request.stop_strings.end(), engine::fim_chat_stop.begin(),
                                engine::fim_chat_stop.end());
  }
  request.max_tokens = options.max_tokens;
  request.max_all_tokens = options.max_all_tokens;
  request.thinking = chat && engine::opens_thought(profile, options.asks_to_think());
  request.thinking_budget = most_thought(profile, prompt.kind, options);
  request.written = options.written;
  request.top_probabilities = options.top_probabilities;
  if (!options.json_schema.empty())
    request.form = engine::JsonForm::parse_answer(options.json_schema);
  // Whoever asks for a completion asks again as soon as anything is typed.
  request.checkpoints = options.priority != lsp::Priority::inline_completion;
  engine::SamplingParams& sampling = request.sampling;
  if (options.sampling == lsp::Sampling::recommended) {
    const bool thinks = request.thinking && request.thinking_budget > 0;
    sampling = engine::recommended(reader.defaults, profile.chat_template, thinks);
  }
  const lsp::SamplingChoice& chosen = options.sampling_choice;
  if (chosen.temperature) sampling.temperature = *chosen.temperature;
  if (chosen.top_k) sampling.top_k = *chosen.top_k;
  if (chosen.top_p) sampling.top_p = *chosen.top_p;
  if (chosen.min_p) sampling.min_p = *chosen.min_p;
  if (chosen.repetition_penalty) sampling.repetition_penalty = *chosen.repetition_penalty;
  if (chosen.presence_penalty) sampling.presence_penalty = *chosen.presence_penalty;
  if (chosen.frequency_penalty) sampling.frequency_penalty = *chosen.frequency_penalty;
  sampling.bias.insert(chosen.bias.begin(), chosen.bias.end());
  sampling.seed = options.seed;
  return request;
}

lsp::FinishReason finish_reason(engine::StopReason reason) {
  switch (reason) {
    case engine::StopReason::max_tokens:
      return lsp::FinishReason::length;
    case engine::StopReason::context_full:
      return lsp::FinishReason::context_full;
    default:
      return lsp::FinishReason::stop;
  }
}

lsp::ModelDescription describe(const PromptReader& reader) {
  const engine::Profile& from = reader.profile;
  lsp::ModelProfile profile;
  profile.name = from.name;
  profile.system_chat = from.system_chat;
  for (const auto& [action, text] : from.tasks) {
    profile.wordings[action] = {from.name + "'s hearth.json", text};
  }
  profile.context_tokens = reader.context;  // the profile's, unless configured
  profile.fim_prefix_tokens = from.fim_prefix_tokens;
  profile.fim_suffix_tokens = from.fim_suffix_tokens;
  profile.fim_order = from.fim_order == engine::FimOrder::suffix_first
                          ? lsp::FimOrder::suffix_first
                          : lsp::FimOrder::prefix_first;
  profile.surroundings = from.surroundings;
  profile.thinking = from.thinking;
  return {profile};
}

}  // namespace hearth::daemon
