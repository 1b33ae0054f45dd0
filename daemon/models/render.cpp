// Templates are the engine's; here segments become its messages, boundaries and all.
#include "daemon/models/render.hpp"

namespace hearth::daemon {
namespace {

engine::ChatMessage chat_message(const lsp::Message& message) {
  engine::ChatMessage result{std::string(name(message.role)), {}, {}, message.generated};
  for (const auto& segment : message.segments) {
    result.content += segment.text;
    if (segment.boundary) result.boundaries.push_back(result.content.size());
  }
  return result;
}

engine::Rendered render_pieces(const engine::Profile& profile, const lsp::Prompt& prompt) {
  // The engine knows where a completion's text will change: at the cursor.
  if (prompt.kind == lsp::Prompt::Kind::fill_in_the_middle) {
    return engine::render_fim(profile, lsp::text_of(prompt.prefix), lsp::text_of(prompt.suffix));
  }
  std::vector<engine::ChatMessage> messages;
  messages.reserve(prompt.messages.size());
  for (const auto& message : prompt.messages) messages.push_back(chat_message(message));
  return engine::render_chat(profile, messages);
}

}  // namespace

engine::TokenPrompt render(const engine::Engine& engine, const lsp::Prompt& prompt) {
  return engine::tokenize(engine.tokenizer(), render_pieces(engine.profile(), prompt));
}

engine::GenerationRequest make_request(const engine::Engine& engine, const lsp::Prompt& prompt,
                                       const lsp::GenerateOptions& options) {
  const auto& profile = engine.profile();
  const bool chat = prompt.kind == lsp::Prompt::Kind::chat;
  engine::GenerationRequest request;
  request.prompt = render(engine, prompt);
  request.stop_ids = chat ? profile.chat_stop : profile.fim_stop;
  request.stop_strings = options.stop_strings;
  request.max_tokens = options.max_tokens;
  request.thinking = chat && profile.thinking;
  // No template of these models has a switch for it: a thought that is closed at once is none.
  request.thinking_budget = options.thinking ? options.thinking_budget : 0;
  if (options.sampling == lsp::Sampling::recommended) {
    request.sampling = engine::from(engine.defaults());
    request.sampling.seed = options.seed;
  }
  return request;
}

lsp::ModelDescription describe(const engine::Engine& engine) {
  const auto& from = engine.profile();
  lsp::ModelProfile profile;
  profile.name = from.name;
  profile.system_chat = from.system_chat;
  for (const auto& [action, text] : from.tasks) {
    profile.wordings[action] = {from.name + "'s hearth.json", text};
  }
  profile.context_tokens = engine.context();  // the profile's, unless configured
  profile.fim_prefix_tokens = from.fim_prefix_tokens;
  profile.fim_suffix_tokens = from.fim_suffix_tokens;
  profile.surroundings = from.surroundings;
  profile.thinking = from.thinking;
  return {profile};
}

}  // namespace hearth::daemon
