// GenerationTask and PrefillTask: one step at a time, measured and reported.
#include "daemon/models/generation_task.hpp"

#include <algorithm>
#include <utility>

#include "daemon/models/render.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds whole(std::chrono::duration<double> time) {
  return std::chrono::round<std::chrono::milliseconds>(time);
}

lsp::FinishReason finish_reason(engine::StopReason reason) {
  switch (reason) {
    case engine::StopReason::max_tokens:
      return lsp::FinishReason::length;
    case engine::StopReason::context_full:
      return lsp::FinishReason::context_full;
    default:
      return lsp::FinishReason::stop;
  }
}

// `computing`: the prompt was a good one, so a failure is no fault of the request.
void count_abandoned(LocalModel::Shared& shared, const lsp::ModelError& error, bool computing) {
  const engine::Lock lock(shared.mutex);
  ModelStatus& status = shared.status;
  const bool cancelled = error.kind == lsp::ModelError::Kind::cancelled;
  ++(cancelled ? status.cancelled : status.failed);
  if (cancelled || !computing) return;
  ++status.failed_in_a_row;
  status.error = error.message;
}

// Under the mutex.
void count_done(ModelStatus& status) {
  status.failed_in_a_row = 0;
  status.error.clear();
}

}  // namespace

GenerationTask::GenerationTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
                               lsp::GenerateOptions options,
                               std::shared_ptr<EventCoalescer> events_out)
    : shared_(std::move(shared)),
      prompt_(std::move(prompt)),
      options_(std::move(options)),
      events_out_(std::move(events_out)) {}

Task::Step GenerationTask::step(const std::atomic<bool>& interrupt) {
  if (!generation_) begin();
  auto& session = lease_->session();
  const double prompt_before = generation_->prompt_done();
  const std::size_t written_before = generation_->answer().size();
  const std::uint64_t computed_before = session.tokens_computed();
  const engine::DecodeCounts counts_before = generation_->counts();
  const bool decoding = generation_->decoding();
  const bool synced = generation_->synced();
  const auto started = Clock::now();

  const auto progress = generation_->step(&interrupt);

  const std::chrono::duration<double> time = Clock::now() - started;
  (decoding ? answer_time_ : prompt_time_) += time;
  const std::size_t written = generation_->answer().size() - written_before;
  const engine::DecodeCounts& counts = generation_->counts();
  const std::uint64_t kept = counts.tokens - counts_before.tokens;
  {
    const engine::Lock lock(shared_->mutex);
    ++shared_->status.steps;
    shared_->status.tokens_computed += session.tokens_computed() - computed_before;
    shared_->status.answer_tokens += written;
    if (!synced) shared_->status.cached_tokens += generation_->cached_tokens();
    engine::DecodeCounts& decoded = shared_->status.decoded;
    decoded.passes += counts.passes - counts_before.passes;
    decoded.tokens += kept;
    decoded.drafted += counts.drafted - counts_before.drafted;
    decoded.accepted += counts.accepted - counts_before.accepted;
    // A step that was interrupted, or that only goes back to what is known, says nothing of the
    // speed.
    auto& speeds = shared_->speeds;
    const double read = generation_->prompt_done() - prompt_before;
    if (progress == engine::Progress::interrupted) return Step::interrupted;
    if (decoding) speeds.decode.add(static_cast<double>(kept), time);
    if (synced && !decoding && read > 0) {
      speeds.prefill.add(read, time);
      if (prompt_.kind == lsp::Prompt::Kind::fill_in_the_middle) {
        speeds.completion_prefill.add(read, time);
      }
    }
  }
  const std::string text = generation_->take_text();
  text_ += text;
  events_out_->text(text);
  report();
  if (progress == engine::Progress::more) return Step::more;
  finish();
  return Step::done;
}

void GenerationTask::begin() {
  auto request = make_request(shared_->runtime->engine(), prompt_, options_);
  lease_.emplace(shared_->sessions->acquire(request.prompt.tokens));
  generation_.emplace(lease_->session(), std::move(request));
  computing_ = true;
  const engine::Lock lock(shared_->mutex);
  shared_->status.prompt_tokens += generation_->prompt_tokens();
}

void GenerationTask::report() {
  lsp::GenerationProgress progress;
  using Phase = lsp::GenerationProgress::Phase;
  const bool thinks = generation_->thinking();
  progress.phase = !generation_->decoding() ? Phase::prefilling
                   : thinks                 ? Phase::thinking
                                            : Phase::generating;
  progress.prompt_tokens = static_cast<std::int64_t>(generation_->prompt_tokens());
  progress.cached_tokens = static_cast<std::int64_t>(generation_->cached_tokens());
  progress.prompt_done = generation_->prompt_done();
  progress.thought_tokens = static_cast<std::int64_t>(generation_->thought_tokens());
  progress.answer_tokens = static_cast<std::int64_t>(generation_->answer_tokens());
  {
    const engine::Lock lock(shared_->mutex);
    auto& speeds = shared_->speeds;
    const auto& typical = speeds.length(prompt_.kind == lsp::Prompt::Kind::chat);
    const auto thought_left =
        speeds.thought.expect(options_.thinking_budget) - progress.thought_tokens;
    const auto left = typical.expect(options_.max_tokens) - progress.answer_tokens +
                      (thinks ? std::max<std::int64_t>(thought_left, 1) : 0);
    const double unread = static_cast<double>(progress.prompt_tokens) - progress.prompt_done;
    auto reading = speeds.prefill.time_for(unread);
    if (unread <= 0) reading = std::chrono::milliseconds(0);
    const auto writing =
        speeds.decode.time_for(static_cast<double>(std::max<std::int64_t>(left, 1)));
    if (reading && writing) progress.eta = *reading + *writing;
  }
  events_out_->progress(progress);
}

void GenerationTask::finish() {
  lsp::Answer answer;
  answer.text = text_;
  answer.finish = finish_reason(*generation_->reason());
  answer.prompt_tokens = static_cast<std::int64_t>(generation_->prompt_tokens());
  answer.cached_tokens = static_cast<std::int64_t>(generation_->cached_tokens());
  answer.thought_tokens = static_cast<std::int64_t>(generation_->thought_tokens());
  answer.thought_cut = generation_->thought_cut();
  answer.answer_tokens = static_cast<std::int64_t>(generation_->answer_tokens());
  answer.generated = generation_->answer();
  answer.prompt_time = whole(prompt_time_);
  answer.answer_time = whole(answer_time_);
  {
    const engine::Lock lock(shared_->mutex);
    auto& speeds = shared_->speeds;
    auto& typical = prompt_.kind == lsp::Prompt::Kind::chat ? speeds.answer : speeds.completion;
    if (answer.finish == lsp::FinishReason::stop) typical.add(answer.answer_tokens);
    count_done(shared_->status);
    if (answer.thought_tokens > 0 && !answer.thought_cut) speeds.thought.add(answer.thought_tokens);
    shared_->status.sessions = shared_->sessions->size();
    shared_->status.session_bytes = shared_->sessions->bytes();
  }
  events_out_->done(std::move(answer));
}

void GenerationTask::abandon(const lsp::ModelError& error) {
  count_abandoned(*shared_, error, computing_);
  events_out_->done(error);
}

void GenerationTask::waiting(const lsp::GenerationProgress& progress) {
  events_out_->progress(progress);
}

PrefillTask::PrefillTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
                         std::function<void(lsp::Result<lsp::Estimate>)> done)
    : shared_(std::move(shared)), prompt_(std::move(prompt)), done_(std::move(done)) {}

Task::Step PrefillTask::step(const std::atomic<bool>& interrupt) {
  if (!lease_) {
    tokens_ = render(shared_->runtime->engine(), prompt_);
    computing_ = true;
    lease_.emplace(shared_->sessions->acquire(tokens_.tokens));
  }
  auto& session = lease_->session();
  if (!cached_) {
    cached_ = session.sync(tokens_.tokens, &interrupt);
    return cached_ ? Step::more : Step::interrupted;
  }
  const double before = session.prefill_done();
  const std::uint64_t computed_before = session.tokens_computed();
  const auto started = Clock::now();

  const auto progress = session.prefill(tokens_.tokens, tokens_.boundaries, &interrupt);

  const std::chrono::duration<double> time = Clock::now() - started;
  {
    const engine::Lock lock(shared_->mutex);
    ++shared_->status.steps;
    shared_->status.tokens_computed += session.tokens_computed() - computed_before;
    const double done = session.prefill_done() - before;
    if (progress != engine::Progress::interrupted && done > 0)
      shared_->speeds.prefill.add(done, time);
  }
  if (progress == engine::Progress::interrupted) return Step::interrupted;
  if (progress == engine::Progress::more) return Step::more;
  {
    const engine::Lock lock(shared_->mutex);
    count_done(shared_->status);
  }
  const auto total = static_cast<std::int64_t>(tokens_.tokens.size());
  done_(lsp::Estimate{total, total - static_cast<std::int64_t>(*cached_),
                      std::chrono::milliseconds(0)});
  return Step::done;
}

void PrefillTask::abandon(const lsp::ModelError& error) {
  count_abandoned(*shared_, error, computing_);
  done_(error);
}

}  // namespace hearth::daemon
