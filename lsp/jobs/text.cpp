// Wording and percentages of jobs.
#include "lsp/jobs/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace hearth::lsp {
namespace {

constexpr std::int64_t minutes_from = 120;  // seconds; below, seconds are told

std::int64_t seconds_in(std::chrono::milliseconds time) {
  return std::max<std::int64_t>(1, (time.count() + 500) / 1000);
}

}  // namespace

std::string about(std::chrono::milliseconds time) {
  const auto seconds = seconds_in(time);
  if (seconds < minutes_from) return fmt::format("about {} s", seconds);
  return fmt::format("about {} min", (seconds + 30) / 60);
}

namespace {

std::string phase_message(const Job& job) {
  const GenerationProgress& progress = job.progress;
  switch (progress.phase) {
    case GenerationProgress::Phase::loading:
      return "loading the model";
    case GenerationProgress::Phase::queued:
      return progress.ahead > 0 ? fmt::format("queued behind {}", progress.ahead) : "queued";
    case GenerationProgress::Phase::prefilling:
      return fmt::format("prefilling {} of {} tokens",
                         static_cast<std::int64_t>(progress.prompt_done), progress.prompt_tokens);
    case GenerationProgress::Phase::thinking:
      return fmt::format("thinking, {} of at most {} tokens", progress.thought_tokens,
                         job.request.options.thinking_budget);
    case GenerationProgress::Phase::generating:
      return "generating";
  }
  return "queued";
}

std::string tokens(std::int64_t count) {
  return fmt::format("{} {}", count, count == 1 ? "token" : "tokens");
}

// Why a done job's text is not all that the model had to say; empty: it is.
std::string shortcomings(const Job& job) {
  std::vector<std::string> all;
  if (job.thought_cut) {
    all.push_back(fmt::format("the thought was cut after {} (thinking.budget)",
                              tokens(job.progress.thought_tokens)));
  }
  if (job.finish == FinishReason::length) {
    all.push_back(fmt::format("the answer was cut after {} (answer.max_tokens)",
                              tokens(job.progress.answer_tokens)));
  } else if (job.finish == FinishReason::context_full) {
    all.push_back("the answer was cut, as the model's context is full");
  }
  if (job.text.empty()) all.push_back("the answer is empty");
  return fmt::format("{}", fmt::join(all, ", and "));
}

// ", by qwen3-coder at gpu.example.org", where it matters.
std::string by(const Job& job) {
  return job.by.empty() ? "" : ", by " + job.by;
}

std::string paused_message(const Job& job) {
  const std::int64_t written = job.progress.thought_tokens + job.progress.answer_tokens;
  return written > 0 ? fmt::format("paused after {}", tokens(written)) : "paused";
}

// "20 to 40 s"; where its ends are near each other, about what is between them.
std::string between(const TimeRange& range) {
  const auto from = seconds_in(range.from);
  const auto to = seconds_in(range.to);
  if (4 * to <= 5 * from || to - from < 3) return about((range.from + range.to) / 2);
  if (to < minutes_from) {
    const std::int64_t step = to < 20 ? 1 : 5;
    if (from / step == 0) return fmt::format("up to {} s", (to + step - 1) / step * step);
    return fmt::format("{} to {} s", from / step * step, (to + step - 1) / step * step);
  }
  if (from < 60) return fmt::format("up to {} min", (to + 59) / 60);
  return fmt::format("{} to {} min", from / 60, (to + 59) / 60);
}

double share(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0.0;
}

}  // namespace

std::string loading_message(const LoadingProgress& progress) {
  return "loading the model" + (progress.eta ? ", " + about(*progress.eta) + " left" : "");
}

std::string time_left(const Job& job) {
  const GenerationProgress& progress = job.progress;
  if (!runs(job.state)) return {};
  if (progress.phase == GenerationProgress::Phase::queued && progress.first_token)
    return "begins in " + about(*progress.first_token);
  if (progress.end) return between(*progress.end) + " left";
  return progress.eta ? about(*progress.eta) + " left" : "";
}

std::string ending_note(const Job& job) {
  if (job.state == JobState::cancelled) return "Cancelled before the answer was whole.";
  if (job.state == JobState::failed) return "Failed before the answer was whole: " + job.error;
  if (job.state != JobState::done) return {};
  std::string note = shortcomings(job);
  if (!note.empty()) {
    note.front() = 'T';  // "the …"
    note += '.';
  }
  if (!job.by.empty()) note += (note.empty() ? "" : " ") + fmt::format("Answered by {}.", job.by);
  return note;
}

std::string thought_words(const Job& job) {
  return "Thought for " + tokens(job.progress.thought_tokens);
}

std::string message_of(const Job& job) {
  if (job.state == JobState::done) {
    const std::string but = shortcomings(job);
    return "done" + by(job) + (but.empty() ? "" : ", but " + but);
  }
  if (job.state == JobState::waiting) return "waiting for your review" + by(job);
  if (ended(job.state)) return std::string(name(job.state));
  if (job.state == JobState::paused) return paused_message(job);
  if (job.waits_for_editor) return "queued until an editor opens its document";
  const std::string left = time_left(job);
  return phase_message(job) + (left.empty() ? "" : ", " + left);
}

std::int64_t percentage_of(const Job& job) {
  if (job.state == JobState::done || job.state == JobState::waiting) return 100;
  constexpr double half = 50;
  constexpr double quarter = 25;
  constexpr double end = 99;
  const GenerationProgress& progress = job.progress;
  const GenerateOptions& options = job.request.options;
  const double written =
      share(static_cast<double>(progress.answer_tokens), static_cast<double>(options.max_tokens));
  switch (progress.phase) {
    case GenerationProgress::Phase::prefilling:
      return static_cast<std::int64_t>(
          half * share(progress.prompt_done, static_cast<double>(progress.prompt_tokens)));
    case GenerationProgress::Phase::thinking:
      return static_cast<std::int64_t>(
          half + quarter * share(static_cast<double>(progress.thought_tokens),
                                 static_cast<double>(options.thinking_budget)));
    case GenerationProgress::Phase::generating: {
      const double begin = progress.thought_tokens > 0 ? half + quarter : half;
      return static_cast<std::int64_t>(begin + (end - begin) * written);
    }
    default:
      return 0;
  }
}

extension::JobStateParams job_state_params(const Job& job, std::optional<Range> range) {
  extension::JobStateParams state;
  state.id = job.id;
  state.action = job.request.action;
  state.title = job.request.title;
  if (!job.request.targets.empty()) state.uri = job.request.targets.front().uri;
  state.range = range;
  state.edits = job.request.form.has_value();
  if (const auto& batch = job.request.batch)
    state.batch = extension::JobStateParams::Batch{batch->id, batch->title, batch->size};
  state.state = job.state;
  state.message = message_of(job);
  state.percentage = percentage_of(job);
  if (job.progress.eta) state.eta_ms = job.progress.eta->count();
  if (runs(job.state)) {
    if (job.progress.first_token) state.first_token_ms = job.progress.first_token->count();
    if (const auto& end = job.progress.end) state.end_ms = {end->from.count(), end->to.count()};
  }
  state.prompt_tokens = job.progress.prompt_tokens;
  state.cached_tokens = job.progress.cached_tokens;
  state.thought_tokens = job.progress.thought_tokens;
  state.answer_tokens = job.progress.answer_tokens;
  if (job.state == JobState::done) {
    state.prompt_ms = job.prompt_time.count();
    state.answer_ms = job.answer_time.count();
    state.text = job.text;
  }
  if (job.state == JobState::waiting) state.text = job.offer;
  if (job.state == JobState::failed) state.error = job.error;
  if (!job.by.empty()) state.by = job.by;
  return state;
}

}  // namespace hearth::lsp
