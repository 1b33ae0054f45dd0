// Wording and percentages of jobs.
#include "lsp/job_text.hpp"

#include <algorithm>

namespace hearth::lsp {
namespace {

std::string phase_message(const GenerationProgress& progress) {
  switch (progress.phase) {
    case GenerationProgress::Phase::loading:
      return "loading the model";
    case GenerationProgress::Phase::queued:
      return "queued";
    case GenerationProgress::Phase::reading:
      return "reading " + std::to_string(static_cast<std::int64_t>(progress.prompt_done)) + " of " +
             std::to_string(progress.prompt_tokens) + " tokens";
    case GenerationProgress::Phase::writing:
      return "writing";
  }
  return "queued";
}

std::string remaining(std::chrono::milliseconds eta) {
  const auto seconds = std::max<std::int64_t>(1, (eta.count() + 500) / 1000);
  if (seconds < 120) return ", about " + std::to_string(seconds) + " s left";
  return ", about " + std::to_string((seconds + 30) / 60) + " min left";
}

double share(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0.0;
}

}  // namespace

std::string message_of(const Job& job) {
  if (ended(job.state)) return std::string(name(job.state));
  std::string message = phase_message(job.progress);
  if (job.progress.eta) message += remaining(*job.progress.eta);
  return message;
}

std::int64_t percentage_of(const Job& job) {
  if (job.state == JobState::done) return 100;
  constexpr double half = 50;
  constexpr double before_end = 49;
  const GenerationProgress& progress = job.progress;
  if (progress.phase == GenerationProgress::Phase::reading) {
    return static_cast<std::int64_t>(
        half * share(progress.prompt_done, static_cast<double>(progress.prompt_tokens)));
  }
  if (progress.phase != GenerationProgress::Phase::writing) return 0;
  return static_cast<std::int64_t>(
      half + before_end * share(static_cast<double>(progress.answer_tokens),
                                static_cast<double>(job.request.options.max_tokens)));
}

extension::JobState job_state(const Job& job, std::optional<Range> range) {
  extension::JobState state;
  state.id = job.id;
  state.action = job.request.action;
  state.title = job.request.title;
  if (!job.request.targets.empty()) state.uri = job.request.targets.front().uri;
  state.range = range;
  state.state = name(job.state);
  state.message = message_of(job);
  state.percentage = percentage_of(job);
  if (job.progress.eta) state.eta_ms = job.progress.eta->count();
  state.prompt_tokens = job.progress.prompt_tokens;
  state.cached_tokens = job.progress.cached_tokens;
  state.answer_tokens = job.progress.answer_tokens;
  if (job.state == JobState::done) {
    state.prompt_ms = job.prompt_time.count();
    state.answer_ms = job.answer_time.count();
    state.text = job.text;
  }
  if (job.state == JobState::failed) state.error = job.error;
  return state;
}

}  // namespace hearth::lsp
