// Running sessions and generations to their end.
#include "tests/engine/resume_runs.hpp"

#include <algorithm>
#include <filesystem>
#include <random>
#include <span>

namespace hearth::tests {

using namespace engine;

EngineOptions resumed_golden(const std::string& name) {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden" / name;
  options.mtp = MtpUse::always;
  options.host().threads = 1;
  options.checkpoint_distance = 64;
  options.chunk = 128;
  options.disk_min_seconds = 0;
  return options;
}

EngineOptions resumed_ember() {
  EngineOptions options;
  options.model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  options.mtp = MtpUse::always;
  options.host().threads = 1;  // what is computed is small
  options.checkpoint_distance = 64;
  options.disk_min_seconds = 0;
  return options;
}

EngineOptions often(EngineOptions options, const TemporaryDirectory& directory) {
  options.prefix_directory = directory.path() / "prefixes";
  options.answer_checkpoint_seconds = 1e-9;
  options.answer_checkpoint_bytes = std::uint64_t{1} << 60;
  options.prefix_daily_bytes = std::uint64_t{1} << 40;
  return options;
}

Tokens some_tokens(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Tokens tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 300);
  return tokens;
}

void read(Session& session, const Tokens& tokens) {
  while (session.prefill(tokens, {}, nullptr) != Progress::done) {
  }
}

bool same_bits(Session& a, Session& b) {
  return a.tokens() == b.tokens() && std::ranges::equal(a.logits(), b.logits()) &&
         a.draft(7, 3) == b.draft(7, 3);
}

Run run(Session& session, const GenerationRequest& request) {
  Run result;
  Generation generation(session, request);
  result.text = generation.take_text();
  Progress progress = Progress::more;
  while (progress != Progress::done) {
    progress = generation.step(nullptr);
    result.text += generation.take_text();
    result.visible.resize(generation.answer().size(), result.text.size());
  }
  result.tokens = generation.answer();
  result.reason = generation.reason();
  result.thought = generation.thought_tokens();
  result.thought_cut = generation.thought_cut();
  result.logits.assign(session.logits().begin(), session.logits().end());
  result.counts = generation.counts();
  result.cached = generation.cached_tokens();
  return result;
}

Run run(const std::shared_ptr<Runtime>& runtime, const GenerationRequest& request) {
  Session session(runtime);
  return run(session, request);
}

GenerationRequest explain_request(const Engine& engine, bool thinking) {
  Profile profile = engine.profile();
  profile.thinking = thinking;
  const std::vector<ChatMessage> messages = {
      {"system", profile.system_chat},
      {"user",
       "File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
       "    for value in values:\n        total += value\n    return total / len(values)\n```\n\n"
       "Explain what this code does."}};
  GenerationRequest request;
  request.prompt = tokenize(engine.tokenizer(), render_chat(profile, messages));
  request.stop_ids = profile.chat_stop;
  request.thinking = thinking;
  request.max_tokens = 14;
  return request;
}

GenerationRequest behind(GenerationRequest request, const Run& whole, std::size_t count) {
  request.written.assign(whole.tokens.begin(),
                         whole.tokens.begin() + static_cast<std::ptrdiff_t>(count));
  return request;
}

}  // namespace hearth::tests
