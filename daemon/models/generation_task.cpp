// GenerationTask and PrefillTask: one step at a time, measured and reported.
#include "daemon/models/generation_task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/models/conversation.hpp"
#include "daemon/models/render.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds whole(std::chrono::duration<double> time) {
  return std::chrono::round<std::chrono::milliseconds>(time);
}

std::chrono::milliseconds milliseconds(double seconds) {
  return whole(std::chrono::duration<double>(seconds));
}

std::vector<std::pair<std::size_t, std::uint64_t>> hashed_beginnings(
    const engine::TokenPrompt& prompt) {
  std::vector<std::pair<std::size_t, std::uint64_t>> beginnings;
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  std::size_t at = 0;
  for (const std::size_t boundary : prompt.boundaries) {
    for (; at < std::min(boundary, prompt.tokens.size()); ++at) {
      hash = (hash ^ static_cast<std::uint64_t>(prompt.tokens[at])) * 0x100000001b3;
    }
    beginnings.emplace_back(at, hash);
  }
  return beginnings;
}

// Whether what is waited for is near enough to what was told not to be told again.
bool same_to_people(const lsp::GenerationProgress& told, const lsp::GenerationProgress& now) {
  if (told.phase != now.phase || told.ahead != now.ahead ||
      told.eta.has_value() != now.eta.has_value())
    return false;
  const auto near = [](const std::optional<std::chrono::milliseconds>& a,
                       const std::optional<std::chrono::milliseconds>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return std::chrono::abs(*a - *b) < std::max(std::chrono::milliseconds(1000), *b / 20);
  };
  return near(told.first_token, now.first_token) && near(told.eta, now.eta);
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

// A task that has not begun may end on any thread, and drafts were never its.
GenerationTask::~GenerationTask() {
  if (generation_ && shared_->drafted == this) shared_->drafted = nullptr;
}

void GenerationTask::stop_drafts() {
  generation_->stop_drafts();
  shared_->drafted = nullptr;
}

Task::Step GenerationTask::step(const std::atomic<bool>& interrupt) {
  if (!generation_) begin();
  auto& session = lease_->session();
  const double prompt_before = generation_->prompt_done();
  const std::int64_t position_before = session.position();
  const std::size_t written_before = generation_->answer().size();
  const std::uint64_t computed_before = session.tokens_computed();
  const engine::DecodeCounts counts_before = generation_->counts();
  const bool decoding = generation_->decoding();
  const bool synced = generation_->synced();
  const auto started = Clock::now();

  const auto progress = generation_->step(&interrupt);

  const std::chrono::duration<double> time = Clock::now() - started;
  (decoding ? answer_time_ : prompt_time_) += time;
  const double spent = since_last_step(started).count();
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
    decoded.replayed += counts.replayed - counts_before.replayed;
    // A step that was interrupted, or that only goes back to what is known, says nothing of the
    // speed.
    Estimates& estimates = shared_->estimates;
    if (progress == engine::Progress::interrupted) return Step::interrupted;
    if (decoding) {
      estimates.wrote(static_cast<double>(kept), spent);
      written_in_ += std::chrono::duration<double>(spent);
    }
    if (synced && !decoding) {
      const double read = generation_->prompt_done();
      if (!generation_->replaying()) {
        passes_.add(estimates, {position_before, session.position(), prompt_before, read, spent});
      }
      if (read > prompt_before) estimates.read(read - prompt_before, spent, !chat());
      if (generation_->decoding()) {
        passes_.end(estimates);
        speed_before_ = estimates.decode_speed();
      }
    }
  }
  if (!synced && generation_->synced()) tell_left_out();
  const std::string thought = generation_->take_thought();
  thought_ += thought;
  events_out_->thought(thought);
  tell_probabilities();
  const std::string text = generation_->take_text();
  text_ += text;
  std::span<const engine::TokenId> tokens(generation_->answer());
  tokens = tokens.subspan(std::min(delivered_, tokens.size()));
  delivered_ += tokens.size();
  report();
  if (progress == engine::Progress::done) {
    finish(tokens, text);
    return Step::done;
  }
  events_out_->wrote(tokens, text);
  return Step::more;
}

void GenerationTask::tell_probabilities() {
  const engine::Tokenizer& tokenizer = shared_->runtime->engine().tokenizer();
  std::vector<lsp::TokenProbability> told;
  for (const engine::TokenProbability& each : generation_->take_probabilities()) {
    told.push_back({std::string(tokenizer.bytes(each.token)), each.logprob, {}});
    for (const auto& [token, logprob] : each.top)
      told.back().top.emplace_back(tokenizer.bytes(token), logprob);
  }
  events_out_->probabilities(std::move(told));
}

// What a step took that ends now; with what was done since the one before it, where that was this
// task's as well: those who wait, wait for that, too.
std::chrono::duration<double> GenerationTask::since_last_step(Clock::time_point started) {
  const auto now = Clock::now();
  const bool went_on = last_step_ != 0 && last_step_ == shared_->last_step;
  const std::chrono::duration<double> spent = now - (went_on ? last_ended_ : started);
  last_step_ = ++shared_->last_step;
  last_ended_ = now;
  return spent;
}

void GenerationTask::begin() {
  make_request();
  if (foretold_) {
    const auto [seconds, at] = *foretold_;
    const std::chrono::duration<double> waited = Clock::now() - at;
    const engine::Lock lock(shared_->mutex);
    shared_->estimates.waited(options_.priority, seconds, waited.count());
  }
  std::vector<engine::TokenId> known = request_->prompt.tokens;
  known.insert(known.end(), request_->written.begin(), request_->written.end());
  lease_.emplace(shared_->sessions->acquire(known));
  const bool drafted = shared_->drafts && shared_->drafted == nullptr;
  if (drafted) request_->drafts = shared_->drafts.get();
  generation_.emplace(lease_->session(), std::move(*request_));
  if (drafted) shared_->drafted = this;
  request_.reset();
  text_ = generation_->take_text();
  delivered_ = options_.written.size();
  computing_ = true;
  const engine::Lock lock(shared_->mutex);
  shared_->status.prompt_tokens += generation_->prompt_tokens();
}

void GenerationTask::make_request() {
  if (request_) return;
  const engine::Engine& engine = shared_->runtime->engine();
  FittedPrompt fitted = fit_conversation(engine, prompt_, options_);
  turns_left_out_ = fitted.turns_left_out;
  request_ = daemon::make_request(engine, fitted.prompt, options_);
  beginnings_ = hashed_beginnings(request_->prompt);
}

// Once for each time that turns go: until the next one, all but the last question is known.
void GenerationTask::tell_left_out() {
  const engine::Engine& engine = shared_->runtime->engine();
  if (turns_left_out_ == 0 || !engine.options().note) return;
  const std::size_t prompt = generation_->prompt_tokens();
  const std::size_t computed = prompt - generation_->cached_tokens();
  if (computed <= prompt / 2) return;
  engine.options().note(fmt::format(
      "a conversation is longer than the context of {} tokens: its {} left out, and {} of the {} "
      "tokens that are left are computed again",
      engine.context(),
      turns_left_out_ == 1 ? "oldest turn is" : fmt::format("{} oldest turns are", turns_left_out_),
      computed, prompt));
}

void GenerationTask::prepare() {
  make_request();
  cached_ = shared_->sessions->common(request_->prompt.tokens);
  expected_ = cached_;
}

// What others read that are served before will be known. Its own prompt will be for those behind.
void GenerationTask::expect_cached() {
  expected_ = cached_;
  for (const auto& [tokens, hash] : beginnings_) {
    if (shared_->coming.contains(hash)) expected_ = std::max(expected_, tokens);
  }
  for (const auto& [tokens, hash] : beginnings_) shared_->coming.insert(hash);
}

// Of a request that is prepared or has begun.
Work GenerationTask::work_left() const {
  const std::int64_t thought =
      most_thought(shared_->runtime->engine().profile(), prompt_.kind, options_);
  Work work;
  work.writing = {options_.action, chat(), {thought, options_.max_tokens}, {}};
  if (!generation_) {
    work.read = static_cast<double>(expected_);
    work.unread = static_cast<double>(request_->prompt.tokens.size()) - work.read;
    return work;
  }
  work.read = generation_->synced() ? generation_->prompt_done() : static_cast<double>(expected_);
  work.unread = static_cast<double>(generation_->prompt_tokens()) - work.read;
  if (!generation_->decoding() && options_.written.empty()) return work;
  work.writing.written = {static_cast<std::int64_t>(generation_->thought_tokens()),
                          static_cast<std::int64_t>(generation_->answer_tokens())};
  if (!generation_->thinking()) work.writing.max.thought = 0;
  return work;
}

lsp::GenerationProgress GenerationTask::progress(const Wait& wait) const {
  lsp::GenerationProgress progress;
  using Phase = lsp::GenerationProgress::Phase;
  // What an earlier run wrote counts as it is computed again.
  const std::size_t written_before = generation_ ? generation_->answer_done() : 0;
  const std::size_t all_thought = generation_ ? generation_->thought_tokens() : 0;
  const std::size_t thought = std::min(written_before, all_thought);
  const bool thinks = generation_ && (generation_->thinking() || written_before < all_thought);
  const bool reads = generation_ && !generation_->decoding() && written_before == 0;
  progress.phase = !generation_ ? Phase::queued
                   : reads      ? Phase::prefilling
                   : thinks     ? Phase::thinking
                                : Phase::generating;
  progress.ahead = static_cast<std::int64_t>(wait.ahead);
  if (generation_) {
    progress.prompt_tokens = static_cast<std::int64_t>(generation_->prompt_tokens());
    progress.cached_tokens = static_cast<std::int64_t>(generation_->cached_tokens());
    progress.prompt_done = generation_->prompt_done();
    progress.thought_tokens = static_cast<std::int64_t>(thought);
    progress.answer_tokens = static_cast<std::int64_t>(written_before - thought);
  } else if (request_) {
    progress.prompt_tokens = static_cast<std::int64_t>(request_->prompt.tokens.size());
  }
  if (!wait.time || (!generation_ && !request_)) return progress;
  const Work work = work_left();
  const engine::Lock lock(shared_->mutex);
  const auto first = shared_->estimates.first_token(work);
  const auto end = shared_->estimates.end(work);
  const bool written = generation_ && generation_->decoding();
  const Forecast others = shared_->estimates.wait(options_.priority, *wait.time);
  if (first && !written) progress.first_token = milliseconds(others.mean + first->mean);
  if (!end) return progress;
  const Forecast all = others + *end;
  progress.eta = milliseconds(all.mean);
  progress.end = lsp::TimeRange{milliseconds(all.from()), milliseconds(all.to())};
  return progress;
}

void GenerationTask::report() {
  events_out_->progress(progress({}));
}

std::optional<Forecast> GenerationTask::waits(const Wait& wait) {
  if (wait.ahead == 0) shared_->coming.clear();
  expect_cached();
  if (wait.ahead > 0) {
    const lsp::GenerationProgress now = progress(wait);
    if (!same_to_people(told_, now)) {
      told_ = now;
      events_out_->progress(now);
    }
    if (!generation_ && !foretold_ && now.first_token) foretold_ = {wait.time->mean, Clock::now()};
  }
  if (!generation_ && !request_) return std::nullopt;
  const engine::Lock lock(shared_->mutex);
  return shared_->estimates.end(work_left());
}

void GenerationTask::finish(std::span<const engine::TokenId> tokens, std::string_view text) {
  lsp::Answer answer;
  answer.text = text_;
  answer.finish = finish_reason(*generation_->reason());
  answer.at_stop_string = *generation_->reason() == engine::StopReason::stop_string;
  answer.prompt_tokens = static_cast<std::int64_t>(generation_->prompt_tokens());
  answer.cached_tokens = static_cast<std::int64_t>(generation_->cached_tokens());
  answer.thought_tokens = static_cast<std::int64_t>(generation_->thought_tokens());
  answer.thought_cut = generation_->thought_cut();
  answer.thought = thought_;
  answer.answer_tokens = static_cast<std::int64_t>(generation_->answer_tokens());
  answer.generated = generation_->answer();
  answer.prompt_time = whole(prompt_time_);
  answer.answer_time = whole(answer_time_);
  {
    const engine::Lock lock(shared_->mutex);
    shared_->estimates.answered({options_.action,
                                 chat(),
                                 {answer.thought_tokens, answer.answer_tokens},
                                 written_in_.count(),
                                 options_.written.empty() ? speed_before_ : std::nullopt});
    count_done(shared_->status);
    shared_->status.sessions = shared_->sessions->size();
    shared_->status.session_bytes = shared_->sessions->bytes();
  }
  events_out_->done(std::move(answer), tokens, text);
}

void GenerationTask::abandon(const lsp::ModelError& error) {
  count_abandoned(*shared_, error, computing_);
  events_out_->done(error);
  if (!generation_ || error.kind != lsp::ModelError::Kind::cancelled) return;
  try {
    generation_->keep();  // it may have been paused, or the daemon stops: it goes on some day
  } catch (const std::exception&) {
    // What is not kept is computed again.
  }
}

void GenerationTask::waiting(const lsp::GenerationProgress& progress) {
  events_out_->progress(progress);
}

PrefillTask::PrefillTask(std::shared_ptr<LocalModel::Shared> shared, lsp::Prompt prompt,
                         std::function<void(lsp::Result<lsp::Estimate>)> done)
    : shared_(std::move(shared)), prompt_(std::move(prompt)), done_(std::move(done)) {}

void PrefillTask::prepare() {
  if (tokens_.tokens.empty()) tokens_ = render(shared_->runtime->engine(), prompt_);
  known_ = shared_->sessions->common(tokens_.tokens);
}

std::optional<Forecast> PrefillTask::waits(const Wait& wait) {
  if (wait.ahead == 0) shared_->coming.clear();
  if (tokens_.tokens.empty()) return std::nullopt;
  Work work;
  work.answers = false;
  work.read = cached_ ? lease_->session().prefill_done() : static_cast<double>(known_);
  work.unread = static_cast<double>(tokens_.tokens.size()) - work.read;
  const engine::Lock lock(shared_->mutex);
  return shared_->estimates.first_token(work);
}

Task::Step PrefillTask::step(const std::atomic<bool>& interrupt) {
  if (!lease_) {
    if (tokens_.tokens.empty()) tokens_ = render(shared_->runtime->engine(), prompt_);
    computing_ = true;
    lease_.emplace(shared_->sessions->acquire(tokens_.tokens));
  }
  ++shared_->last_step;
  auto& session = lease_->session();
  if (!cached_) {
    cached_ = session.sync(tokens_.tokens, &interrupt);
    return cached_ ? Step::more : Step::interrupted;
  }
  const double before = session.prefill_done();
  const std::int64_t position_before = session.position();
  const std::uint64_t computed_before = session.tokens_computed();
  const auto started = Clock::now();

  const auto progress = session.prefill(tokens_.tokens, tokens_.boundaries, &interrupt);

  const std::chrono::duration<double> time = Clock::now() - started;
  {
    const engine::Lock lock(shared_->mutex);
    ++shared_->status.steps;
    shared_->status.tokens_computed += session.tokens_computed() - computed_before;
    if (progress != engine::Progress::interrupted) {
      Estimates& estimates = shared_->estimates;
      const double done = session.prefill_done();
      passes_.add(estimates, {position_before, session.position(), before, done, time.count()});
      if (done > before) estimates.read(done - before, time.count(), false);
      if (progress == engine::Progress::done) passes_.end(estimates);
    }
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
