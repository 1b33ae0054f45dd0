// Answers of the local model that go on where another one left them: what is delivered, and what
// is computed again.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "daemon/models/local.hpp"
#include "tests/daemon/queue_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using lsp::GenerationProgress;
using lsp::Prompt;
using tests::QueueHost;

namespace {

using Tokens = std::vector<std::int32_t>;

const std::string explanation =
    "Computes the average of the values: it adds them up and divides the total by their number.";

Prompt explain_prompt() {
  Prompt prompt;
  prompt.messages = {
      {lsp::Role::system,
       {{"You are a programming assistant inside an editor.", lsp::Provenance::system}}},
      {lsp::Role::user,
       {{"File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
         "    for value in values:\n        total += value\n    return total / "
         "len(values)\n```\n\n",
         lsp::Provenance::selection, true},
        {"Explain what this code does.", lsp::Provenance::instruction}}}};
  return prompt;
}

engine::EngineOptions ember() {
  engine::EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/engine/ember";
  options.host().threads = 1;
  options.disk_min_seconds = 0;
  return options;
}

// One request, each of whose steps is delivered alone.
struct Answering {
  explicit Answering(const engine::EngineOptions& options) : model(host, options) {
    bool described = false;
    model.describe([&](const auto&) { described = true; });
    host.run_until([&] { return described; });
    host.keep_in_step(true);
  }
  ~Answering() { host.keep_in_step(false); }

  void ask(Tokens written = {}) {
    lsp::GenerateOptions options;
    options.max_tokens = 128;
    options.written = std::move(written);
    id = model.generate(explain_prompt(), options,
                        {[this](const GenerationProgress& now) { progress.push_back(now); },
                         [this](const std::string& some) {
                           REQUIRE_FALSE(told.empty());
                           text += some;
                           ends.back() = text.size();
                         },
                         [this](lsp::Result<lsp::Answer> done) { result = std::move(done); },
                         [this](const Tokens& some) {
                           tokens.insert(tokens.end(), some.begin(), some.end());
                           ends.push_back(text.size());
                           told.push_back(tokens.size());
                           if (hold) model.hold();  // its thread waits for this
                         }});
  }
  void finish() {
    host.run_until([&] { return result.has_value(); });
  }
  void run_until(std::size_t count) {
    host.run_until([&] { return tokens.size() >= count; });
  }
  const lsp::Answer& answer() const {
    REQUIRE(result);
    REQUIRE(std::holds_alternative<lsp::Answer>(*result));
    return std::get<lsp::Answer>(*result);
  }

  Tokens tokens;
  std::string text;
  std::vector<std::size_t> told;  // tokens after each delivery …
  std::vector<std::size_t> ends;  // … and bytes of the text
  std::vector<GenerationProgress> progress;
  std::optional<lsp::Result<lsp::Answer>> result;
  bool hold = false;
  lsp::GenerationId id = 0;
  QueueHost host;
  LocalModel model;
};

Tokens first(const Tokens& tokens, std::size_t count) {
  return {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

TEST_CASE("each delivery has its tokens and exactly their text, and an answer goes on behind any") {
  Answering whole(ember());
  whole.ask();
  whole.finish();
  CHECK(whole.answer().text == explanation);
  CHECK(whole.text == explanation);
  CHECK(whole.answer().generated == whole.tokens);
  REQUIRE(whole.told.size() > 4);
  Answering other(ember());
  for (std::size_t i = 0; i < whole.told.size(); i += 3) {
    CAPTURE(i);
    const Tokens written = first(whole.tokens, whole.told[i]);
    other.tokens.clear();
    other.text.clear();
    other.result.reset();
    other.ask(written);
    other.finish();
    CHECK(first(whole.tokens, whole.told[i]) == written);
    CHECK(other.text == explanation.substr(whole.ends[i]));
    CHECK(other.tokens == Tokens(whole.tokens.begin() + static_cast<std::ptrdiff_t>(whole.told[i]),
                                 whole.tokens.end()));
    CHECK(other.answer().text == explanation);
    CHECK(other.answer().generated == whole.tokens);
    CHECK(other.answer().answer_tokens == whole.answer().answer_tokens);
    CHECK(other.answer().finish == whole.answer().finish);
  }
}

TEST_CASE("what was written before counts as it is computed again") {
  Answering whole(ember());
  whole.ask();
  whole.finish();
  Answering other(ember());
  const std::size_t known = whole.told[whole.told.size() / 2];
  other.ask(first(whole.tokens, known));
  other.finish();
  std::int64_t tokens = 0;
  bool replaying = false;
  for (const GenerationProgress& now : other.progress) {
    CHECK(now.answer_tokens >= tokens);
    tokens = now.answer_tokens;
    if (tokens > 0) CHECK(now.phase == GenerationProgress::Phase::generating);
    if (tokens > 0) CHECK(now.prompt_done == static_cast<double>(now.prompt_tokens));
    replaying = replaying || (tokens > 0 && tokens < static_cast<std::int64_t>(known));
  }
  CHECK(replaying);
  CHECK(other.model.status().decoded.replayed == known - 1);
  CHECK(other.model.status().answer_tokens == whole.tokens.size() - known);
}

TEST_CASE("an answer that was paused or cut off by the end goes on without computing it again") {
  const tests::TemporaryDirectory directory;
  engine::EngineOptions options = ember();
  options.prefix_directory = directory.path() / "prefixes";
  options.answer_checkpoint_seconds = 0;
  Tokens written;
  std::string text;
  {
    Answering answering(options);
    answering.ask();
    answering.run_until(8);
    SUBCASE("paused") {
      answering.model.cancel(answering.id);
      answering.finish();
    }
    SUBCASE("the end") {
      answering.hold = true;
      answering.run_until(answering.tokens.size() + 1);
    }
    written = answering.tokens;
    text = answering.text;
  }
  Answering resumed(options);
  resumed.ask(written);
  resumed.finish();
  CHECK(resumed.answer().text == explanation);
  CHECK(text + resumed.text == explanation);
  CHECK(resumed.model.status().decoded.replayed == 0);
  CHECK(resumed.answer().cached_tokens == resumed.answer().prompt_tokens);
}

TEST_CASE("tokens that no run of a request can have written fail it in words") {
  Answering answering(ember());
  answering.ask({1, 1 << 30});
  answering.finish();
  const auto& error = std::get<lsp::ModelError>(*answering.result);
  CHECK(error.message == "token 1073741824 is outside the model's vocabulary");
  CHECK(error.kind == lsp::ModelError::Kind::failed);
}
