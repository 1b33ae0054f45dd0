// What the local engine answers as an lsp::Model: prompts, completions, thoughts, counts, and
// errors of what is asked.
#include "daemon/models/local.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "tests/daemon/models/local_stage.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;
using lsp::Priority;
using lsp::Prompt;

TEST_CASE("a model that thinks answers behind its thought, however long that is") {
  const ChangedEmber thinking = thinking_ember();
  LocalStage stage(thinking.options());
  Generated outcome;
  std::string thought;
  stage.model.generate(
      explain_prompt(), {Priority::explicit_request, 16, {}, true, 10},
      {[&](const lsp::GenerationProgress& progress) { outcome.progress.push_back(progress); },
       [&](const std::string& text) { outcome.streamed += text; },
       [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); },
       {},
       [&](const std::string& text) { thought += text; }});
  stage.finish(outcome);
  const lsp::Answer& answer = outcome.answer();
  CHECK_FALSE(answer.thought.empty());
  CHECK(answer.thought == thought);
  CHECK(answer.thought.find("think>") == std::string::npos);
  CHECK(answer.thought_cut);
  CHECK(answer.thought_tokens >= 11);
  CHECK(answer.answer_tokens > 0);
  CHECK(answer.answer_tokens <= 16);
  CHECK_FALSE(answer.text.empty());
  CHECK(answer.text == outcome.streamed);
  CHECK(answer.text.find("think>") == std::string::npos);
  std::int64_t max = 0;
  for (const auto& progress : outcome.progress) {
    if (progress.phase != lsp::GenerationProgress::Phase::thinking) continue;
    CHECK(progress.answer_tokens == 0);
    max = std::max(max, progress.thought_tokens);
  }
  CHECK(max > 0);
  bool thinks = false;
  stage.model.describe([&](const lsp::Result<lsp::ModelDescription>& described) {
    thinks = std::get<lsp::ModelDescription>(described).profile.thinking;
  });
  stage.host.run_until([&] { return thinks; });
}

TEST_CASE("what an earlier run thought is told again, before what is new") {
  const ChangedEmber thinking = thinking_ember();
  const auto run = [&](std::vector<std::int32_t> written, std::string& thought) {
    LocalStage stage(thinking.options());
    Generated outcome;
    lsp::GenerateOptions options{Priority::explicit_request, 16, {}, true, 10};
    options.written = std::move(written);
    stage.model.generate(
        explain_prompt(), options,
        {{},
         {},
         [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); },
         {},
         [&](const std::string& text) { thought += text; }});
    stage.finish(outcome);
    return outcome.answer();
  };
  std::string whole;
  std::string resumed;
  const lsp::Answer first = run({}, whole);
  for (const std::ptrdiff_t written : {4, 14}) {  // within the thought, and behind it
    resumed.clear();
    const lsp::Answer second =
        run({first.generated.begin(), first.generated.begin() + written}, resumed);
    CHECK(second.text == first.text);
    CHECK(second.thought == whole);
    CHECK(resumed == whole);
  }
}

TEST_CASE("a completion has no thought, whatever the model") {
  const ChangedEmber thinking = thinking_ember();
  LocalStage stage(thinking.options());
  Generated outcome;
  stage.generate(outcome, completion_prompt());
  stage.finish(outcome);
  CHECK(outcome.answer().thought.empty());
  CHECK(outcome.answer().thought_tokens == 0);
}

TEST_CASE("a question that follows reads nothing again, thoughts included") {
  const ChangedEmber thinking = thinking_ember();
  const ChangedEmber with_switch = thinking_ember(template_with_switch);
  for (const auto& options : {ember(), thinking.options(), with_switch.options()}) {
    LocalStage stage(options);
    Prompt prompt = explain_prompt();
    for (int turn = 0; turn < 3; ++turn) {
      Generated outcome;
      stage.model.generate(
          prompt,
          {Priority::explicit_request, 24, {}, turn != 1, 12, lsp::Sampling::recommended, 5},
          {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
      stage.finish(outcome);
      const lsp::Answer& answer = outcome.answer();
      REQUIRE_FALSE(answer.generated.empty());
      if (turn > 0) {
        // What is new: the rest of the template around a turn, and the question.
        CAPTURE(turn);
        CHECK(answer.prompt_tokens - answer.cached_tokens <= 32);
      }
      prompt.messages.push_back({lsp::Role::assistant,
                                 {{answer.text, lsp::Provenance::answer, false}},
                                 answer.generated,
                                 turn != 1});
      prompt.messages.push_back(
          {lsp::Role::user, {{"And what if it is empty?", lsp::Provenance::instruction, false}}});
    }
  }
}

TEST_CASE("where thoughts are dropped, a question that follows reads the answer again, not more") {
  const ChangedEmber with_switch = thinking_ember(template_with_switch);
  engine::EngineOptions options = with_switch.options();
  options.thoughts.keep = false;
  LocalStage stage(options);
  Prompt prompt = explain_prompt();
  std::int64_t answer_tokens = 0;
  std::int64_t prompt_tokens = 0;
  for (int turn = 0; turn < 3; ++turn) {
    Generated outcome;
    stage.model.generate(
        prompt, {Priority::explicit_request, 24, {}, true, 40},
        {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
    stage.finish(outcome);
    const lsp::Answer& answer = outcome.answer();
    CHECK(answer.thought_tokens > 0);
    if (turn > 0) {
      CAPTURE(turn);
      CHECK(answer.prompt_tokens - answer.cached_tokens <= answer_tokens + 32);
      CHECK(answer.prompt_tokens <= prompt_tokens + answer_tokens + 32);  // without the thought
    }
    answer_tokens = answer.answer_tokens;
    prompt_tokens = answer.prompt_tokens;
    prompt.messages.push_back({lsp::Role::assistant,
                               {{answer.text, lsp::Provenance::answer, false}},
                               answer.generated,
                               true});
    prompt.messages.push_back(
        {lsp::Role::user, {{"And what if it is empty?", lsp::Provenance::instruction, false}}});
  }
}

TEST_CASE("a model with a switch for its thought is told by the prompt, which can be looked at") {
  const ChangedEmber with_switch = thinking_ember(template_with_switch);
  LocalStage stage(with_switch.options());
  const auto end_of_prompt = [&](const lsp::GenerateOptions& options) {
    std::string text;
    bool inspected = false;
    stage.model.inspect(explain_prompt(), options, [&](const auto& result) {
      for (const lsp::PromptPiece& piece : std::get<std::vector<lsp::PromptPiece>>(result))
        text += piece.text;
      inspected = true;
    });
    stage.host.run_until([&] { return inspected; });
    return text.substr(text.rfind("<|im_start|>"));
  };
  const std::string open = "<|im_start|>assistant\n<think>\n";
  const std::string closed = "<|im_start|>assistant\n<think>\n\n</think>\n\n";
  lsp::GenerateOptions options;
  CHECK(end_of_prompt(options) == open);
  options.thinking_budget = 0;
  CHECK(end_of_prompt(options) == closed);
  options = {};
  options.thinking = false;
  CHECK(end_of_prompt(options) == closed);

  Generated outcome;
  stage.model.generate(
      explain_prompt(), {Priority::explicit_request, 16, {}, false},
      {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
  stage.finish(outcome);
  CHECK_FALSE(outcome.answer().text.empty());
  CHECK(outcome.answer().thought_tokens == 0);
}

TEST_CASE("a thinking model that may not think answers at once") {
  const ChangedEmber thinking = thinking_ember();
  LocalStage stage(thinking.options());
  Generated outcome;
  stage.model.generate(
      explain_prompt(), {Priority::explicit_request, 16, {}, false},
      {{}, {}, [&](lsp::Result<lsp::Answer> result) { outcome.result = std::move(result); }});
  stage.finish(outcome);
  CHECK_FALSE(outcome.answer().text.empty());
  CHECK(outcome.answer().thought_tokens <= 4);  // what closes it
}

TEST_CASE("it describes the checkpoint once it is loaded") {
  LocalStage stage;
  std::optional<lsp::Result<lsp::ModelDescription>> described;
  stage.model.describe([&](auto result) { described = result; });
  CHECK_FALSE(described);  // never before the call returns
  stage.host.run_until([&] { return described.has_value(); });
  const auto& description = std::get<lsp::ModelDescription>(*described);
  CHECK(description.profile.name == "ember");
  CHECK(description.profile.wordings.empty());  // they are the actions' own
  CHECK(description.profile.context_tokens == 2048);
}

TEST_CASE("an answer is the checkpoint's own, streamed and whole") {
  LocalStage stage;
  const Generated outcome = stage.run(explain_prompt());
  CHECK(outcome.answer().text == explanation);
  CHECK(outcome.streamed == explanation);
  CHECK(outcome.answer().finish == lsp::FinishReason::stop);
  CHECK(outcome.answer().cached_tokens == 0);
  REQUIRE_FALSE(outcome.progress.empty());
  CHECK(outcome.progress.front().phase == lsp::GenerationProgress::Phase::loading);
  CHECK(outcome.progress.back().phase == lsp::GenerationProgress::Phase::generating);
  double done = 0;
  for (const auto& progress : outcome.progress) {
    CHECK(progress.prompt_done >= done);
    done = progress.prompt_done;
  }
}

TEST_CASE("the same prompt again is read from its state, with the same answer") {
  LocalStage stage;
  stage.run(explain_prompt());
  const Generated again = stage.run(explain_prompt());
  CHECK(again.answer().text == explanation);
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
}

TEST_CASE("a new process reads a prompt from what the old one left on disk") {
  const tests::TemporaryDirectory directory;
  engine::EngineOptions options = ember();
  options.prefix_directory = directory.path() / "prefixes";
  options.disk_min_seconds = 0;
  options.answer_checkpoint_seconds = 0;  // how many an answer would have is the machine's
  {
    LocalStage stage(options);
    CHECK(stage.run(explain_prompt()).answer().cached_tokens == 0);
  }
  LocalStage stage(options);
  const Generated again = stage.run(explain_prompt());
  CHECK(again.answer().text == explanation);
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
  const auto prefixes = stage.model.status().prefixes;
  CHECK(prefixes.disk);
  CHECK(prefixes.hits == 1);
  CHECK(prefixes.written_today == prefixes.disk_bytes);
}

TEST_CASE("another task on the same code reads only its own wording") {
  LocalStage stage;
  stage.run(explain_prompt());
  const Generated other = stage.run(task_prompt("Add type hints."));
  const auto unread = other.answer().prompt_tokens - other.answer().cached_tokens;
  CHECK(other.answer().cached_tokens > 60);
  CHECK(unread < 20);
}

TEST_CASE("completions keep to their bound and say so") {
  LocalStage stage;
  Generated outcome;
  stage.generate(outcome, completion_prompt(), Priority::inline_completion, 2);
  stage.finish(outcome);
  CHECK(outcome.answer().finish == lsp::FinishReason::length);
  CHECK(outcome.answer().answer_tokens == 2);
}

TEST_CASE("a prompt read ahead costs nothing when it is asked for") {
  LocalStage stage;
  std::optional<lsp::Result<lsp::Estimate>> read;
  stage.model.prefill(explain_prompt(), [&](auto result) { read = result; });
  stage.host.run_until([&] { return read.has_value(); });
  const auto total = std::get<lsp::Estimate>(*read).prompt_tokens;
  CHECK(std::get<lsp::Estimate>(*read).uncached_tokens == total);

  std::optional<lsp::Result<lsp::Estimate>> estimate;
  stage.model.estimate(explain_prompt(), [&](auto result) { estimate = result; });
  stage.host.run_until([&] { return estimate.has_value(); });
  CHECK(std::get<lsp::Estimate>(*estimate).prompt_tokens == total);
  CHECK(std::get<lsp::Estimate>(*estimate).uncached_tokens == 0);
  CHECK(std::get<lsp::Estimate>(*estimate).first_token == std::chrono::milliseconds(0));
  CHECK(stage.run(explain_prompt()).answer().cached_tokens == total);
}

TEST_CASE("tokens are counted by the checkpoint's tokenizer") {
  LocalStage stage;
  std::optional<lsp::Result<std::vector<std::int64_t>>> counted;
  stage.model.count_tokens({"", "def average(values):"}, [&](auto result) { counted = result; });
  stage.host.run_until([&] { return counted.has_value(); });
  CHECK(std::get<std::vector<std::int64_t>>(*counted) == std::vector<std::int64_t>{0, 7});
}

TEST_CASE("a prompt beyond the context fails with the numbers") {
  LocalStage stage;
  Prompt prompt = explain_prompt();
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "value ";
  prompt.messages[1].segments[1].text = text;
  const Generated outcome = stage.run(prompt);
  CHECK(outcome.error().message.find("the context holds 2048") != std::string::npos);
  CHECK(stage.model.status().state == ModelStatus::State::ready);  // the model is not to blame
  CHECK(stage.run(explain_prompt()).answer().text == explanation);
}
