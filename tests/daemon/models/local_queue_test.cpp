// Several who ask the local engine at once: who is first, what those who wait are told, and who
// gives up.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "daemon/models/local.hpp"
#include "daemon/models/scheduler.hpp"
#include "tests/daemon/models/local_stage.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;
using lsp::Priority;

TEST_CASE("a more urgent want is served in the middle of another, which loses nothing") {
  LocalStage stage;
  stage.load();
  Generated job;
  Generated completion;
  std::atomic<bool> begun = false;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    // In the computing thread, with the job's first words on their way.
    if (stage.model.status().answer_tokens == 0 || begun.exchange(true)) return;
    stage.generate(completion, completion_prompt(), Priority::inline_completion);
  };
  stage.generate(job, explain_prompt(), Priority::background);
  stage.finish(completion);
  CHECK_FALSE(job.result);
  stage.finish(job);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(job.answer().text == explanation);
  CHECK(completion.answer().text.starts_with("total += item"));
}

TEST_CASE("who waits is told for how many, and from when to when") {
  LocalStage stage;
  stage.run(explain_prompt());  // what is measured is known
  Generated first;
  Generated second;
  stage.host.keep_in_step(true);
  stage.generate(first, task_prompt("What is it for?"));
  stage.generate(second, task_prompt("Explain what this code does, and how."));
  stage.finish(second);
  stage.host.keep_in_step(false);
  CHECK(first.result);
  bool told = false;
  for (const auto& progress : second.progress) {
    using Phase = lsp::GenerationProgress::Phase;
    if (progress.phase == Phase::queued && progress.ahead > 0) {
      told = true;
      CHECK(progress.ahead == 1);
      CHECK(progress.prompt_tokens == second.answer().prompt_tokens);
      REQUIRE(progress.first_token);
      REQUIRE(progress.eta);
      CHECK(*progress.first_token < *progress.eta);
    }
    if (progress.end) {
      CHECK(progress.end->from.count() >= 0);
      CHECK(progress.end->from <= *progress.eta);
      CHECK(*progress.eta <= progress.end->to);
    }
    if (progress.phase == Phase::generating) CHECK_FALSE(progress.first_token);
  }
  CHECK(told);
  CHECK(second.progress.back().end);
}

TEST_CASE("a parked answer is told that it waits") {
  LocalStage stage;
  stage.run(explain_prompt());
  Generated parked;
  Generated urgent;
  std::atomic<bool> begun = false;
  stage.host.keep_in_step(true);
  const std::uint64_t before = stage.model.status().answer_tokens;
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens == before || begun.exchange(true)) return;
    stage.generate(urgent, task_prompt("What is it for?"));
  };
  stage.generate(parked, task_prompt("Explain it."), Priority::background);
  stage.finish(parked);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(urgent.result);
  const auto waits = [](const lsp::GenerationProgress& progress) {
    return progress.phase == lsp::GenerationProgress::Phase::generating && progress.ahead == 1;
  };
  CHECK(std::ranges::any_of(parked.progress, waits));
  CHECK(parked.progress.back().ahead == 0);
}

TEST_CASE("who asks for much at a time is refused in a sentence") {
  LocalStage stage;
  std::vector<Generated> outcomes(Scheduler::max_waiting_of_client + 1);
  for (Generated& outcome : outcomes) {
    lsp::GenerateOptions options;
    options.client = 7;
    stage.model.generate(
        explain_prompt(), options,
        {{}, {}, [&outcome](lsp::Result<lsp::Answer> result) { outcome.result = result; }});
  }
  stage.finish(outcomes.back());
  CHECK(outcomes.back().error().message ==
        "too many requests of this editor are waiting: try again when some are done");
  CHECK_FALSE(outcomes.front().result);
}

TEST_CASE("cancelled in the middle, it computes no further") {
  LocalStage stage;
  stage.load();
  Generated outcome;
  std::atomic<lsp::GenerationId> id = 0;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens > 2) stage.model.cancel(id);
  };
  id = stage.generate(outcome, explain_prompt());
  stage.finish(outcome);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(outcome.error().kind == lsp::ModelError::Kind::cancelled);
  const ModelStatus status = stage.model.status();
  CHECK(status.cancelled == 1);
  CHECK(status.waiting == 0);
  CHECK(status.answer_tokens < 32);  // as many as the whole answer has
  CHECK(stage.model.status().steps == status.steps);
}

TEST_CASE("what was read before a cancellation is not read again") {
  LocalStage stage;
  stage.load();
  Generated first;
  std::atomic<lsp::GenerationId> id = 0;
  stage.host.keep_in_step(true);
  stage.host.on_post = [&] {
    if (stage.model.status().answer_tokens > 0) stage.model.cancel(id);
  };
  id = stage.generate(first, explain_prompt());
  stage.finish(first);
  stage.host.keep_in_step(false);
  stage.host.on_post = {};
  CHECK(first.error().kind == lsp::ModelError::Kind::cancelled);
  const Generated again = stage.run(explain_prompt());
  CHECK(again.answer().cached_tokens == again.answer().prompt_tokens);
  CHECK(again.answer().text == explanation);
}

TEST_CASE("a want that waits for the model is cancelled at once") {
  LocalStage stage;
  Generated outcome;
  const auto id = stage.generate(outcome, explain_prompt());
  stage.model.cancel(id);
  stage.finish(outcome);
  CHECK(outcome.error().kind == lsp::ModelError::Kind::cancelled);
}

TEST_CASE("its end does not wait for what is under way") {
  Generated outcome;
  {
    LocalStage stage;
    stage.generate(outcome, explain_prompt());
  }
  CHECK_FALSE(outcome.result);
}
