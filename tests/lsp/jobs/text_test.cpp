// What a person is told of a job: how far it is, how long it takes, what was cut.
#include "lsp/jobs/text.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>

namespace hearth::lsp::test {

using namespace std::chrono_literals;

TEST_CASE("a job says what was cut, and that its answer is empty") {
  Job job;
  job.state = JobState::done;
  job.text = "Adds";
  CHECK(message_of(job) == "done");
  CHECK(ending_note(job).empty());
  job.finish = FinishReason::length;
  job.progress.answer_tokens = 1;
  CHECK(message_of(job) == "done, but the answer was cut after 1 token (answer.max_tokens)");
  job.thought_cut = true;
  job.progress.thought_tokens = 2048;
  CHECK(ending_note(job) ==
        "The thought was cut after 2048 tokens (thinking.budget), and the answer was cut after 1 "
        "token (answer.max_tokens).");
  job.thought_cut = false;
  job.finish = FinishReason::context_full;
  job.text = "";
  CHECK(message_of(job) ==
        "done, but the answer was cut, as the model's context is full, and the answer is empty");
}

TEST_CASE("a job's wording has its reason and the time that is left") {
  Job job;
  job.progress.phase = GenerationProgress::Phase::prefilling;
  job.progress.prompt_tokens = 340;
  job.progress.prompt_done = 120.7;
  job.state = JobState::prefilling;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens");
  job.progress.eta = 12'400ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 12 s left");
  job.progress.eta = 200'000ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 3 min left");
  job.progress.eta = 0ms;
  CHECK(message_of(job) == "prefilling 120 of 340 tokens, about 1 s left");
  CHECK(percentage_of(job) == 17);
  CHECK(job_state_params(job, {}).eta_ms == 0);
}

TEST_CASE("a job that waits says for how many and how long") {
  Job job;
  CHECK(message_of(job) == "queued");
  job.progress.ahead = 2;
  CHECK(message_of(job) == "queued behind 2");
  job.progress.first_token = 40'200ms;
  job.progress.eta = 60'000ms;
  job.progress.end = TimeRange{50'000ms, 90'000ms};
  CHECK(message_of(job) == "queued behind 2, begins in about 40 s");
  CHECK(time_left(job) == "begins in about 40 s");
  const auto params = job_state_params(job, {});
  CHECK(params.first_token_ms == 40'200);
  CHECK(params.end_ms == std::array<std::int64_t, 2>{50'000, 90'000});
}

TEST_CASE("the time to the end is told as a range, as finely as it is known") {
  Job job;
  job.state = JobState::generating;
  job.progress.phase = GenerationProgress::Phase::generating;
  job.progress.eta = 1ms;  // the range says more
  const auto left = [&](std::chrono::milliseconds from, std::chrono::milliseconds to) {
    job.progress.end = TimeRange{from, to};
    return message_of(job);
  };
  CHECK(left(17'000ms, 43'000ms) == "generating, 15 to 45 s left");
  CHECK(left(2'400ms, 9'000ms) == "generating, 2 to 9 s left");
  CHECK(left(1'000ms, 43'000ms) == "generating, up to 45 s left");
  CHECK(left(11'000ms, 13'000ms) == "generating, about 12 s left");
  CHECK(left(0ms, 200ms) == "generating, about 1 s left");
  CHECK(left(118'000ms, 130'000ms) == "generating, about 2 min left");
  CHECK(left(70'000ms, 290'000ms) == "generating, 1 to 5 min left");
  CHECK(left(20'000ms, 290'000ms) == "generating, up to 5 min left");
  job.state = JobState::done;
  CHECK(time_left(job).empty());
  CHECK_FALSE(job_state_params(job, {}).end_ms);
}

}  // namespace hearth::lsp::test
