// What is written down of jobs, read again by the next process, and forgotten.
#include <algorithm>
#include <exception>
#include <utility>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/journal.hpp"
#include "lsp/support/failure.hpp"
#include "lsp/support/host.hpp"

namespace hearth::lsp {
namespace {

constexpr std::ptrdiff_t remembered = 100;   // ended jobs
constexpr std::size_t removed_at_once = 50;  // of these that are too many: removing is dear

}  // namespace

void Jobs::restore() {
  for (JobRecord& record : store_.load()) {
    const JobId id = record.id;
    try {
      Entry& entry = entries_[id];
      entry.job = read_record(std::move(record));
    } catch (const std::exception& fault) {
      entries_.erase(id);
      host_.log(LogLevel::warn, "job " + std::to_string(id) +
                                    " cannot be read any more, and is left out: what is written "
                                    "of it is damaged");
      host_.log(LogLevel::trace, failure_text(fault));
    }
  }
  for (auto& [id, entry] : entries_) {
    if (!runs(entry.job.state)) continue;
    entry.job.state = JobState::queued;
    entry.held_back = entry.job.request.has_prompt();
    entry.job.waits_for_editor = !entry.held_back;
  }
  if (identity_) go_on_with_held_back();
  tell_adopters();
}

// Those of another model say nothing to this one: its own answer's, and of earlier turns.
void Jobs::forget_tokens(Entry& entry) {
  for (Message& message : entry.job.request.prompt.messages) message.generated.clear();
  if (!entry.job.generated.empty()) begin_anew(entry);
}

// What is written down of an answer that nothing goes on behind is removed.
void Jobs::begin_anew(Entry& entry) {
  Job& job = entry.job;
  job.text.clear();
  job.thought.clear();
  job.generated.clear();
  store_.change(job.id, {std::nullopt, std::nullopt, job.text, job.generated}, at_once({}));
}

std::size_t Jobs::forget(const std::function<bool(const Job&)>& which) {
  std::vector<JobId> ids;
  for (const auto& [id, entry] : entries_) {
    if (which(entry.job)) ids.push_back(id);
  }
  for (const JobId id : ids) {
    Entry& entry = entries_.at(id);
    if (entry.generation != 0) {
      model_.cancel(entry.generation);
      answered(entry);
    }
    if (!ended(entry.job.state)) {
      entry.job.state = JobState::cancelled;
      tell(id, {});
    }
    entries_.erase(id);
    std::erase_if(watches_, [id](const auto& watch) { return watch.second.job == id; });
  }
  // With those that nobody lists any more.
  std::vector<JobId> gone = std::exchange(forgotten_, {});
  gone.insert(gone.end(), ids.begin(), ids.end());
  if (!gone.empty()) store_.remove(std::move(gone), at_once({}));
  return ids.size();
}

// The tokens that came last and the text that they made visible, in one.
void Jobs::append(Entry& entry, std::string text) {
  if (text.empty() && entry.unwritten.empty()) return;
  store_.append(entry.job.id, std::move(text), std::exchange(entry.unwritten, {}));
}

void Jobs::when_written(JobId id, JobStore::Done done) {
  store_.change(id, {}, at_once(std::move(done)));
}

void Jobs::write_down(const Job& job, JobStore::Done done) {
  store_.change(job.id, {std::nullopt, standing_text(job)}, at_once(std::move(done)));
}

// What is to be called is what has the store write at once.
JobStore::Done Jobs::at_once(JobStore::Done done) {
  return lifetime_.guard([done = std::move(done)](const std::string& failure) {
    if (done) done(failure);
  });
}

void Jobs::forget_oldest() {
  const auto is_over = [](const auto& entry) {
    return ended(entry.second.job.state) && entry.second.job.shown;
  };
  auto count = std::ranges::count_if(entries_, is_over);
  for (auto entry = entries_.begin(); entry != entries_.end() && count >= remembered;) {
    if (!is_over(*entry)) {
      ++entry;
      continue;
    }
    forgotten_.push_back(entry->first);
    entry = entries_.erase(entry);
    --count;
  }
  if (forgotten_.size() >= removed_at_once)
    store_.remove(std::exchange(forgotten_, {}), at_once({}));
}

}  // namespace hearth::lsp
