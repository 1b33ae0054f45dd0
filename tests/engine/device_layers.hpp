// An engine whose first layers are on devices beside the host, and what it answers: a prompt past
// the borders of blocks and spans, tokens one by one, several at once of which some are taken back.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::tests::layers {

using Open = std::function<std::unique_ptr<kernels::Backend>(kernels::Device)>;
using Logits = std::vector<std::vector<float>>;

// What one device has.
struct Share {
  int layers = 0;
  std::uint64_t slots = 2;  // of experts; the fewest that work
};

inline constexpr int all = 1000;

inline std::vector<engine::TokenId> made_up_tokens(std::size_t count) {
  std::vector<engine::TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<engine::TokenId>((i * 37 + i / 5) % 200);
  return tokens;
}

// Of an expert's slot.
inline std::uint64_t slot_bytes(const engine::EngineOptions& options) {
  static std::map<std::filesystem::path, std::uint64_t> known;
  const auto [found, is_new] = known.try_emplace(options.model, 0);
  if (is_new) {
    const engine::ExpertStatus status = engine::Runtime::load(options)->experts();
    found->second = status.slots == 0 ? 0 : status.budget_bytes / status.slots;
  }
  return found->second;
}

struct Placed {
  Placed(const std::filesystem::path& model, const std::vector<Share>& shares, const Open& open) {
    options.model = model;
    options.host().threads = 1;
    options.chunk = 64;
    if (shares.empty()) return;
    const std::uint64_t slot = slot_bytes(options);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const kernels::Device device{kernels::Device::Kind::cuda, static_cast<int>(i)};
      engine::DeviceOptions wanted{.device = device, .expert_memory = shares[i].slots * slot};
      wanted.layers = shares[i].layers;
      wanted.open = [device, open] { return open(device); };
      options.devices.push_back(std::move(wanted));
    }
  }
  void load() {
    runtime = engine::Runtime::load(options);
    session = std::make_unique<engine::Session>(runtime);
  }
  std::vector<float> logits() const { return {session->logits().begin(), session->logits().end()}; }
  std::vector<float> prefill(std::size_t tokens) const {
    const std::vector<engine::TokenId> prompt = made_up_tokens(tokens);
    session->sync(prompt);
    while (session->prefill(prompt, {}, nullptr) != engine::Progress::done) {
    }
    return logits();
  }
  void decode(const std::vector<engine::TokenId>& tokens, Logits& to) const {
    const engine::Progress progress = session->decode(tokens, nullptr);
    REQUIRE(progress == engine::Progress::done);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::span<const float> row = session->decoded_logits(i);
      to.emplace_back(row.begin(), row.end());
    }
  }
  // Of ember to a question; `at_step` is told before each step's text is taken.
  std::string answer(std::size_t tokens, const std::function<void(int)>& at_step) const {
    engine::GenerationRequest request;
    const engine::Tokenizer& tokenizer = runtime->engine().tokenizer();
    request.prompt.tokens = tokenizer.encode("def is_even(n):\n    return n % 2");
    request.max_tokens = tokens;
    engine::Generation generation(*session, std::move(request));
    std::string text;
    for (int step = 0; generation.step(nullptr) != engine::Progress::done; ++step) {
      at_step(step);
      text += generation.take_text();
    }
    return text + generation.take_text();
  }
  Logits run(std::size_t prompt, int passes) const {
    Logits found{prefill(prompt)};
    for (int i = 0; i < passes; ++i) {
      const auto token = static_cast<engine::TokenId>(i * 53 % 200);
      if (i % 3 != 2) {
        decode({token}, found);
      } else {  // drafts, of which the last two were wrong
        decode({token, 7, 11, 5}, found);
        session->keep_decoded(2);
      }
    }
    return found;
  }

  engine::EngineOptions options;
  std::shared_ptr<engine::Runtime> runtime;
  std::unique_ptr<engine::Session> session;
};

inline Logits run_on_host(const std::filesystem::path& model, std::size_t prompt, int passes) {
  Placed placed(model, {}, {});
  placed.load();
  return placed.run(prompt, passes);
}

}  // namespace hearth::tests::layers
