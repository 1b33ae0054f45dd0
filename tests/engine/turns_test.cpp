// Random conversations with the embedded checkpoint, over every template, with thoughts and tools:
// each of their tokens goes through the layers once.
#include <doctest/doctest.h>

#include <random>

#include "engine/engine.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

constexpr int turns = 10;

std::shared_ptr<Runtime> without_drafts() {
  static const std::shared_ptr<Runtime> runtime = [] {
    EngineOptions options;
    options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
    options.drafts = 0;  // whose wrong ones would count as computed
    return Runtime::load(options);
  }();
  return runtime;
}

std::vector<Profile> every_template() {
  std::vector<Profile> profiles;
  for (const ChatTemplate which :
       {ChatTemplate::chatml, ChatTemplate::qwen3_coder, ChatTemplate::qwen3_5,
        ChatTemplate::qwen3_5_small, ChatTemplate::qwen3_6, ChatTemplate::qwen3_8}) {
    profiles.push_back(without_drafts()->engine().profile());
    profiles.back().chat_template = which;
    profiles.back().thinking = true;
    profiles.back().thoughts.effort = Effort::low;
  }
  profiles.push_back(without_drafts()->engine().profile());  // ChatML that never thinks
  return profiles;
}

// An answer, drawn, behind a thought where one is asked for.
GenerationRequest request_for(const Profile& profile, const std::vector<ChatMessage>& messages,
                              const std::vector<std::string>& tools, bool thinks,
                              std::uint64_t seed) {
  GenerationRequest request;
  request.prompt = tokenize(without_drafts()->engine().tokenizer(),
                            render_chat(profile, messages, {thinks, tools}));
  request.stop_ids = profile.chat_stop;
  request.max_tokens = 6;
  request.thinking = opens_thought(profile, thinks);
  request.thinking_budget = 5;
  request.sampling.temperature = 2;
  request.sampling.seed = seed;
  return request;
}

}  // namespace

TEST_CASE("no token of earlier turns is computed again, over thoughts and tools") {
  std::mt19937 random(11);
  const auto chance = [&] { return random() % 2 == 0; };
  for (const Profile& profile : every_template()) {
    CAPTURE(name(profile.chat_template));
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      CAPTURE(seed);
      std::vector<std::string> tools;
      if (profile.chat_template != ChatTemplate::chatml && seed == 1)
        tools = {R"({"type": "function", "function": {"name": "look"}})"};
      std::vector<ChatMessage> messages{{"system", "You help."}, {"user", "What is this?"}};
      Session session(without_drafts());
      for (int turn = 0; turn < turns; ++turn) {
        CAPTURE(turn);
        const bool thinks = chance();
        const std::size_t known = session.tokens().size();
        Generation generation(session, request_for(profile, messages, tools, thinks, seed));
        while (generation.step(nullptr) != Progress::done) continue;
        // More where an earlier conversation went the same way.
        CHECK(generation.cached_tokens() >= known);
        CHECK(session.tokens_computed() <= session.tokens().size());
        messages.push_back({"assistant", generation.take_text(), {}, generation.answer(), thinks});
        const bool tool = profile.chat_template != ChatTemplate::chatml && chance();
        for (std::size_t left = tool ? 1 + random() % 2 : 0; left > 0; --left)
          messages.push_back({"tool", "{\"lines\": " + std::to_string(random() % 100) + "}"});
        if (!tool) messages.push_back({"user", "And " + std::to_string(random() % 100) + "?"});
      }
    }
  }
}

}  // namespace hearth::tests
