// The list of jobs, and their way through the model.
#include "lsp/jobs/jobs.hpp"

#include <algorithm>
#include <utility>

#include "lsp/jobs/journal.hpp"
#include "lsp/support/host.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_asked = 64;  // at once of the model: its queue is bounded

JobState state_in(GenerationProgress::Phase phase) {
  switch (phase) {
    case GenerationProgress::Phase::loading:
    case GenerationProgress::Phase::queued:
      return JobState::queued;
    case GenerationProgress::Phase::prefilling:
      return JobState::prefilling;
    case GenerationProgress::Phase::thinking:
      return JobState::thinking;
    case GenerationProgress::Phase::generating:
      return JobState::generating;
  }
  return JobState::queued;
}

// Whether a session has anything to show of it, or to do for it.
bool wants_owner(const Job& job) {
  return !ended(job.state) || !job.shown;
}

}  // namespace

Jobs::Jobs(Host& host, Model& model, JobStore& store) : host_(host), model_(model), store_(store) {
  model.describe(lifetime_.guard(
      [this](const Result<ModelDescription>& description) { described(description); }));
}

Jobs::~Jobs() {
  for (const auto& [id, entry] : entries_) {
    if (entry.generation != 0) model_.cancel(entry.generation);
  }
}

JobId Jobs::start(Request request, Origin origin, Owner owner) {
  const JobId id =
      announce(request, std::move(origin), GenerationProgress::Phase::queued, std::move(owner));
  submit(id, std::move(request));
  return id;
}

JobId Jobs::announce(Request request, Origin origin, GenerationProgress::Phase phase, Owner owner) {
  forget_oldest();
  const JobId id = store_.next_id();
  Entry entry;
  entry.job.id = id;
  entry.job.origin = std::move(origin);
  entry.job.request = std::move(request);
  entry.job.progress.phase = phase;
  entry.job.model = identity_.value_or("");
  entry.job.created = entry.job.changed = host_.time();
  entry.owner = std::move(owner);
  JobRecord record = record_of(entry.job);
  // All of it or nothing: half a job would wait for ever.
  const auto made = entries_.emplace(id, std::move(entry)).first;
  try {
    store_.create(std::move(record));
  } catch (...) {
    entries_.erase(made);
    throw;
  }
  return id;
}

void Jobs::submit(JobId id, Request request) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || ended(entry->job.state) || entry->generation != 0) return;
  entry->job.request = std::move(request);
  entry->job.request.place.clear();
  store_.change(id, {request_text(entry->job.request)}, at_once({}));
  if (runs(entry->job.state)) generate(*entry);
}

// Asks the model as soon as there is room, to go on behind what is written already.
void Jobs::generate(Entry& entry) {
  const JobId id = entry.job.id;
  entry.job.progress.phase = GenerationProgress::Phase::queued;
  const bool unknown_whose = !entry.job.generated.empty() && !identity_;
  if (asked_ >= max_asked || unknown_whose) {
    entry.held_back = true;
    return;
  }
  entry.held_back = false;
  if (identity_) {
    if (entry.job.model != *identity_) forget_tokens(entry);
    entry.job.model = *identity_;
  }
  // Text whose tokens are not known is nothing that an answer could go on behind.
  if (entry.job.generated.empty() && !entry.job.text.empty()) begin_anew(entry);
  ++asked_;
  entry.job.progress.eta.reset();
  GenerationEvents events;
  events.on_progress =
      lifetime_.guard([this, id](const GenerationProgress& progress) { progressed(id, progress); });
  events.on_tokens = lifetime_.guard(
      [this, id](std::vector<std::int32_t> tokens) { wrote_tokens(id, std::move(tokens)); });
  events.on_thought =
      lifetime_.guard([this, id](std::string text) { thought(id, std::move(text)); });
  entry.thinks_anew = true;
  events.on_text = lifetime_.guard([this, id](std::string text) { wrote(id, std::move(text)); });
  events.on_restart = lifetime_.guard([this, id] { lost(id); });
  events.on_done =
      lifetime_.guard([this, id](Result<Answer> result) { finished(id, std::move(result)); });
  GenerateOptions options = entry.job.request.options;
  options.written = entry.job.generated;
  options.written_by = entry.job.by;
  entry.generation = model_.generate(entry.job.request.prompt, std::move(options), events);
}

// A model that cannot be had is none to ask: jobs of before wait for one that can.
void Jobs::described(const Result<ModelDescription>& description) {
  const auto* const model = std::get_if<ModelDescription>(&description);
  if (model == nullptr) return;
  identity_ = model->identity;
  for (auto& [id, entry] : entries_) {
    if (entry.generation != 0) entry.job.model = *identity_;
  }
  go_on_with_held_back();
}

void Jobs::go_on_with_held_back() {
  for (auto& [id, entry] : entries_) {
    if (asked_ >= max_asked) return;
    if (entry.held_back && runs(entry.job.state)) generate(entry);
  }
}

// Room for one more.
void Jobs::answered(Entry& entry) {
  if (std::exchange(entry.generation, 0) == 0) return;
  --asked_;
  go_on_with_held_back();
}

void Jobs::fail(JobId id, std::string error) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  entry->job.error = valid_utf8(std::move(error));
  end(*entry, JobState::failed);
}

std::vector<JobId> Jobs::members(JobId id) const {
  if (find(id) != nullptr) return {id};
  std::vector<JobId> ids;
  for (const auto& [each, entry] : entries_) {
    const auto& batch = entry.job.request.batch;
    if (batch && batch->id == id) ids.push_back(each);
  }
  return ids;
}

bool Jobs::cancel(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || ended(entry->job.state)) return false;
  entry->then = Entry::Then::cancelled;
  if (entry->generation != 0) {
    model_.cancel(entry->generation);  // finished() follows
  } else {
    end(*entry, JobState::cancelled);
  }
  return true;
}

bool Jobs::pause(JobId id) {
  Entry* const entry = running(id);
  if (entry == nullptr) return false;
  if (entry->generation != 0) {
    entry->then = Entry::Then::paused;
    model_.cancel(entry->generation);  // finished() follows
  } else {
    change_state(*entry, JobState::paused);
  }
  return true;
}

bool Jobs::resume(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return false;
  if (runs(entry->job.state) && entry->then == Entry::Then::paused) {
    entry->then = Entry::Then::resumed;  // it is still stopping: finished() goes on with it
    return true;
  }
  if (entry->job.state != JobState::paused) return false;
  entry->job.progress.phase = GenerationProgress::Phase::queued;
  change_state(*entry, JobState::queued);
  if (entry->job.request.has_prompt()) generate(*entry);
  if (!entry->owner.changed) tell_adopters();
  return true;
}

bool Jobs::retry(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return false;
  Job& job = entry->job;
  if (job.state != JobState::failed && job.state != JobState::cancelled) return false;
  job.text.clear();
  job.thought.clear();
  job.generated.clear();
  job.error.clear();
  job.progress = {};
  job.thought_cut = false;
  job.by.clear();
  job.settled.reset();
  job.sent.clear();
  job.offer.clear();
  job.shown = false;
  job.state = JobState::queued;
  job.changed = host_.time();
  store_.change(id, {std::nullopt, standing_text(job), job.text, job.generated}, at_once({}));
  const bool planned = job.request.has_prompt();
  if (planned) generate(*entry);
  tell(id, {});
  // Its owner gave up making a prompt: whoever takes the job makes one.
  if (planned) {
    tell_adopters();
  } else {
    disown(id);
  }
  return true;
}

bool Jobs::apply(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || entry->job.state != JobState::waiting || !entry->owner.apply)
    return false;
  const auto apply = entry->owner.apply;
  apply(id);
  return true;
}

bool Jobs::dismiss(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || entry->job.state != JobState::waiting || !entry->job.sent.empty())
    return false;
  const std::string& change = entry->job.offer.empty() ? entry->job.text : entry->job.offer;
  settle(id, {"Nothing was changed: it was not wanted.\n\n" + change});
  tell(id, {});
  return true;
}

void Jobs::disown(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return;
  entry->owner = {};
  entry->job.waits_for_editor = !entry->job.request.has_prompt();
  if (wants_owner(entry->job)) tell_adopters();
}

bool Jobs::adopt(JobId id, Owner owner) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || entry->owner.changed || !wants_owner(entry->job)) return false;
  entry->owner = std::move(owner);
  entry->job.waits_for_editor = false;
  return true;
}

std::vector<const Job*> Jobs::ownerless() const {
  std::vector<const Job*> jobs;
  for (const auto& [id, entry] : entries_) {
    if (!entry.owner.changed && wants_owner(entry.job)) jobs.push_back(&entry.job);
  }
  return jobs;
}

void Jobs::add_adopter(const void* who, std::string editor, std::function<void()> told) {
  adopters_[who] = {std::move(editor), std::move(told)};
}

bool Jobs::has_adopter(const std::string& editor) const {
  return !editor.empty() && std::ranges::any_of(adopters_, [&](const auto& adopter) {
    return adopter.second.editor == editor;
  });
}

void Jobs::remove_adopter(const void* who) {
  adopters_.erase(who);
}

Jobs::WatchId Jobs::watch(JobId id, Listener listener) {
  watches_[++last_watch_] = {id, std::move(listener)};
  return last_watch_;
}

void Jobs::unwatch(WatchId watch) {
  watches_.erase(watch);
}

void Jobs::sending(JobId id, std::vector<SentEdit> edits, JobStore::Done done) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return;
  entry->job.sent = std::move(edits);
  write_down(entry->job, std::move(done));
}

void Jobs::unsent(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return;
  entry->job.sent.clear();
  write_down(entry->job);
}

void Jobs::offer(JobId id, std::string markdown) {
  if (Entry* const entry = this->entry(id)) entry->job.offer = std::move(markdown);
}

void Jobs::settle(JobId id, Settled settled) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr) return;
  Job& job = entry->job;
  job.settled = std::move(settled);
  job.sent.clear();
  if (job.state == JobState::waiting) job.state = JobState::done;
  job.changed = host_.time();
  write_down(job);
}

void Jobs::shown(JobId id) {
  Entry* const entry = this->entry(id);
  if (entry == nullptr || !ended(entry->job.state)) return;
  entry->owner = {};
  if (std::exchange(entry->job.shown, true)) return;
  write_down(entry->job);
}

const Job* Jobs::find(JobId id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second.job;
}

bool Jobs::is_paused(JobId id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return false;
  const Entry& entry = found->second;
  return entry.job.state == JobState::paused ||
         (runs(entry.job.state) && entry.then == Entry::Then::paused);
}

bool Jobs::is_any_running() const {
  return std::ranges::any_of(entries_,
                             [](const auto& entry) { return runs(entry.second.job.state); });
}

std::vector<const Job*> Jobs::all() const {
  std::vector<const Job*> jobs;
  jobs.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) jobs.push_back(&entry.job);
  return jobs;
}

Jobs::Entry* Jobs::entry(JobId id) {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

Jobs::Entry* Jobs::running(JobId id) {
  Entry* const found = entry(id);
  return found != nullptr && runs(found->job.state) ? found : nullptr;
}

void Jobs::progressed(JobId id, const GenerationProgress& progress) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  // The text of the tokens that came before is here, as far as there is any.
  append(*entry, {});
  entry->job.progress = progress;
  const bool is_signed = !progress.by.empty() && progress.by != entry->job.by;
  if (is_signed) entry->job.by = valid_utf8(progress.by);
  const JobState state = state_in(progress.phase);
  if (state != entry->job.state) return change_state(*entry, state);
  if (is_signed) write_down(entry->job);  // before the first token of theirs
  tell(id, {});
}

void Jobs::wrote_tokens(JobId id, std::vector<std::int32_t> tokens) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  append(*entry, {});
  entry->job.generated.insert(entry->job.generated.end(), tokens.begin(), tokens.end());
  entry->unwritten = std::move(tokens);
}

// Nobody is told: the progress that goes with it follows.
void Jobs::thought(JobId id, std::string text) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  if (std::exchange(entry->thinks_anew, false)) entry->job.thought.clear();
  entry->job.thought += valid_utf8(std::move(text));
}

void Jobs::wrote(JobId id, std::string text) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  text = valid_utf8(std::move(text));
  entry->job.state = JobState::generating;
  entry->job.progress.phase = GenerationProgress::Phase::generating;
  entry->job.text += text;
  append(*entry, text);
  tell(id, text);
}

// What was heard of the answer holds no more.
void Jobs::lost(JobId id) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  entry->unwritten.clear();
  begin_anew(*entry);
  tell(id, {});
}

void Jobs::finished(JobId id, Result<Answer> result) {
  Entry* const entry = running(id);
  if (entry == nullptr) return;
  answered(*entry);
  Job& job = entry->job;
  append(*entry, {});
  if (const auto* error = std::get_if<ModelError>(&result)) {
    const bool cancelled = error->kind == ModelError::Kind::cancelled;
    const auto then = std::exchange(entry->then, Entry::Then::cancelled);
    if (cancelled && then == Entry::Then::paused) return change_state(*entry, JobState::paused);
    if (cancelled && then == Entry::Then::resumed) return generate(*entry);
    job.error = cancelled ? "" : valid_utf8(error->message);
    return end(*entry, cancelled ? JobState::cancelled : JobState::failed);
  }
  const Answer& answer = std::get<Answer>(result);
  GenerationProgress& progress = job.progress;
  progress.phase = GenerationProgress::Phase::generating;
  progress.prompt_tokens = answer.prompt_tokens;
  progress.cached_tokens = answer.cached_tokens;
  progress.prompt_done = static_cast<double>(answer.prompt_tokens);
  progress.thought_tokens = answer.thought_tokens;
  progress.answer_tokens = answer.answer_tokens;
  entry->then = Entry::Then::cancelled;
  job.finish = answer.finish;
  job.thought_cut = answer.thought_cut;
  job.by = valid_utf8(answer.by);
  job.text = valid_utf8(answer.text);
  job.thought = valid_utf8(answer.thought);
  job.generated = answer.generated;
  job.prompt_time = answer.prompt_time;
  job.answer_time = answer.answer_time;
  store_.change(id, {std::nullopt, std::nullopt, job.text, job.generated}, at_once({}));
  if (job.request.form) {
    progress.eta.reset();
    change_state(*entry, JobState::waiting);
    if (Entry* const now = this->entry(id); now != nullptr && !now->owner.changed) tell_adopters();
    return;
  }
  end(*entry, JobState::done);
}

void Jobs::change_state(Entry& entry, JobState state) {
  const JobId id = entry.job.id;
  entry.job.state = state;
  entry.job.changed = host_.time();
  write_down(entry.job);
  tell(id, {});
}

void Jobs::end(Entry& entry, JobState state) {
  entry.job.progress.eta.reset();
  // Whoever cancelled it knows.
  entry.job.shown = state == JobState::cancelled;
  change_state(entry, state);
}

// Whoever is told may end the subscription, or the job.
void Jobs::tell(JobId id, std::string_view delta) {
  std::vector<Listener> listeners;
  const Entry* const told = entry(id);
  if (told == nullptr) return;
  if (told->owner.changed) listeners.push_back(told->owner.changed);
  for (const auto& [watch, each] : watches_) {
    if (each.job == id) listeners.push_back(each.listener);
  }
  for (const Listener& listener : listeners) {
    const Job* const job = find(id);
    if (job != nullptr) listener(*job, delta);
  }
}

void Jobs::tell_adopters() {
  for (const auto& [who, adopter] : adopters_) adopter.told();
}

}  // namespace hearth::lsp
