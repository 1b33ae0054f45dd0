// The local engine behind lsp::Model with the embedded checkpoint, and what tests ask it.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/models/local.hpp"
#include "tests/daemon/queue_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

// Its answer to explain_prompt().
inline constexpr const char* explanation =
    "Computes the average of the values: it adds them up and divides the total by their number.";

// About a small function.
lsp::Prompt task_prompt(const std::string& task);
lsp::Prompt explain_prompt();
lsp::Prompt completion_prompt();

engine::EngineOptions ember();

// The parts of a chat template by which Qwen3.6's is known.
inline constexpr const char* template_with_switch =
    "<function= preserve_thinking {%- if add_generation_prompt %}"
    "{%- if enable_thinking is defined and enable_thinking is false %}";

// Ember in a directory of its own, with other values in its hearth.json and `files` in place of its
// own or beside them.
class ChangedEmber {
 public:
  explicit ChangedEmber(const nlohmann::json& profile,
                        const std::map<std::string, std::string>& files = {});
  engine::EngineOptions options() const;

 private:
  TemporaryDirectory directory_;
};

// Ember as a model that thinks; it never closes its thought by itself. With a chat template where
// one is given.
ChangedEmber thinking_ember(const std::string& chat_template = "");

// What came of one generate().
struct Generated {
  std::optional<lsp::Result<lsp::Answer>> result;
  std::string streamed;
  std::vector<lsp::GenerationProgress> progress;

  const lsp::Answer& answer() const {
    REQUIRE(result);
    REQUIRE(std::holds_alternative<lsp::Answer>(*result));
    return std::get<lsp::Answer>(*result);
  }
  const lsp::ModelError& error() const {
    REQUIRE(result);
    REQUIRE(std::holds_alternative<lsp::ModelError>(*result));
    return std::get<lsp::ModelError>(*result);
  }
};

struct LocalStage {
  explicit LocalStage(engine::EngineOptions options = ember()) : model(host, std::move(options)) {}

  lsp::GenerationId generate(Generated& outcome, lsp::Prompt prompt,
                             lsp::Priority priority = lsp::Priority::explicit_request,
                             std::int64_t max_tokens = 128) {
    return model.generate(std::move(prompt), {priority, max_tokens, {}},
                          {[&outcome](const lsp::GenerationProgress& progress) {
                             outcome.progress.push_back(progress);
                           },
                           [&outcome](const std::string& text) {
                             CHECK_FALSE(outcome.result);
                             outcome.streamed += text;
                           },
                           [&outcome](lsp::Result<lsp::Answer> result) {
                             CHECK_FALSE(outcome.result);
                             outcome.result = std::move(result);
                           }});
  }
  void finish(const Generated& outcome) {
    host.run_until([&] { return outcome.result.has_value(); });
  }
  Generated run(lsp::Prompt prompt) {
    Generated outcome;
    generate(outcome, std::move(prompt));
    finish(outcome);
    return outcome;
  }
  void load() {
    bool described = false;
    model.describe([&](const auto&) { described = true; });
    host.run_until([&] { return described; });
  }

  QueueHost host;
  daemon::LocalModel model;
};

}  // namespace hearth::tests
