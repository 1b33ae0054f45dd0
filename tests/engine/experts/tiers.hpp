// What the tests of the experts' tiers share: small checkpoints, runs over them, and a checkpoint
// that may be damaged while it is in use.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests::tiers {

inline const std::filesystem::path golden =
    std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

inline std::vector<engine::TokenId> some_tokens(std::size_t count) {
  std::vector<engine::TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<engine::TokenId>((i * 37 + i / 5) % 200);
  return tokens;
}

inline engine::EngineOptions options_for(const std::filesystem::path& model) {
  engine::EngineOptions options;
  options.model = model;
  options.host().threads = 2;
  return options;
}

// Logits after a prompt, and after each of some tokens more.
inline std::vector<std::vector<float>> run(const engine::EngineOptions& options) {
  const auto runtime = engine::Runtime::load(options);
  engine::Session session(runtime);
  const std::vector<engine::TokenId> prompt = some_tokens(150);
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != engine::Progress::done) {
  }
  std::vector<std::vector<float>> logits{{session.logits().begin(), session.logits().end()}};
  for (const engine::TokenId token : {5, 77, 130, 5, 9}) {
    REQUIRE(session.decode(token, nullptr) == engine::Progress::done);
    logits.emplace_back(session.logits().begin(), session.logits().end());
  }
  return logits;
}

inline std::uint64_t slot_bytes(const std::filesystem::path& model) {
  const auto runtime = engine::Runtime::load(options_for(model));
  const engine::ExpertStatus status = runtime->experts();
  return status.budget_bytes / status.slots;
}

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// A checkpoint that may be damaged while it is in use.
struct CheckpointCopy {
  CheckpointCopy() {
    for (const auto& entry : std::filesystem::directory_iterator(golden / "fp8")) {
      if (entry.path().filename() == "golden.safetensors") continue;
      std::filesystem::copy(entry.path(), directory.path() / entry.path().filename());
    }
  }
  engine::EngineOptions options(engine::ReaderKind reader) const {
    engine::EngineOptions options = options_for(directory.path());
    options.host().expert_memory = 4 * slot_bytes(golden / "fp8");
    options.experts.reader = reader;
    return options;
  }
  std::filesystem::path shard(int number) const {
    return directory.path() / ("model-0000" + std::to_string(number) + "-of-00002.safetensors");
  }
  engine::ScratchDirectory directory;
};

}  // namespace hearth::tests::tiers
