// Whole answers, beginnings of them, and sessions: what tests of going on compare.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

using Tokens = std::vector<engine::TokenId>;

engine::EngineOptions resumed_golden(const std::string& name);
engine::EngineOptions resumed_ember();
// With a checkpoint behind every pass.
engine::EngineOptions often(engine::EngineOptions options, const TemporaryDirectory& directory);

Tokens some_tokens(std::size_t count, unsigned seed = 1);
void read(engine::Session& session, const Tokens& tokens);
bool same_bits(engine::Session& a, engine::Session& b);

// What one generation came to.
struct Run {
  Tokens tokens;
  std::string text;
  std::vector<std::size_t> visible;  // bytes of the text behind each token
  std::optional<engine::StopReason> reason;
  std::size_t thought = 0;
  bool thought_cut = false;
  std::vector<float> logits;
  engine::DecodeCounts counts;
  std::size_t cached = 0;

  bool operator==(const Run& other) const {
    return tokens == other.tokens && text == other.text && reason == other.reason &&
           thought == other.thought && thought_cut == other.thought_cut && logits == other.logits;
  }
};

Run run(engine::Session& session, const engine::GenerationRequest& request);
Run run(const std::shared_ptr<engine::Runtime>& runtime, const engine::GenerationRequest& request);

engine::GenerationRequest explain_request(const engine::Engine& engine, bool thinking = false);
// Of a whole answer the first `count` tokens are written already.
engine::GenerationRequest behind(engine::GenerationRequest request, const Run& whole,
                                 std::size_t count);

}  // namespace hearth::tests
