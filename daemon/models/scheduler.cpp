// The queue of tasks and the interrupt flag.
#include "daemon/models/scheduler.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

const lsp::ModelError cancelled_error{"cancelled", lsp::ModelError::Kind::cancelled};

}  // namespace

Scheduler::Id Scheduler::submit(lsp::Priority priority, std::unique_ptr<Task> task) {
  engine::Lock lock(mutex_);
  const Id id = ++last_;
  if (closed_ || entries_.size() >= max_waiting) {
    const auto reason =
        closed_ ? *closed_
                : lsp::ModelError{"too many requests are waiting: try again when some are done"};
    lock.unlock();
    task->abandon(reason);
    return id;
  }
  entries_.push_back(std::make_unique<Entry>(Entry{id, priority, std::move(task)}));
  if (running_ != nullptr && priority < running_->priority) interrupt_ = true;
  changed_.notify_one();
  return id;
}

void Scheduler::cancel(Id id) {
  engine::Lock lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [id](const auto& entry) { return entry->id == id; });
  if (found == entries_.end()) return;
  Entry& entry = **found;
  if (entry.begun) {
    entry.cancelled = true;
    if (running_ == &entry) interrupt_ = true;
    changed_.notify_one();
    return;
  }
  const auto task = take(&entry);
  lock.unlock();
  task->abandon(cancelled_error);
}

void Scheduler::between_steps(std::function<void()> call) {
  const engine::Lock lock(mutex_);
  if (closed_) return;
  calls_.push_back(std::move(call));
  changed_.notify_one();
}

void Scheduler::notify_queued(const lsp::GenerationProgress& progress) {
  const engine::Lock lock(mutex_);
  for (const auto& entry : entries_) {
    if (!entry->begun) entry->task->waiting(progress);
  }
}

void Scheduler::close(const lsp::ModelError& reason) {
  std::vector<std::unique_ptr<Task>> unbegun;
  {
    const engine::Lock lock(mutex_);
    closed_ = std::make_unique<lsp::ModelError>(reason);
    interrupt_ = true;
    calls_.clear();
    for (auto& entry : entries_) {
      if (!entry->begun) unbegun.push_back(std::move(entry->task));
    }
    std::erase_if(entries_, [](const auto& entry) { return !entry->task; });
    changed_.notify_one();
  }
  for (const auto& task : unbegun) task->abandon(reason);
}

std::size_t Scheduler::size() const {
  const engine::Lock lock(mutex_);
  return entries_.size();
}

bool Scheduler::wait() {
  engine::Lock lock(mutex_);
  while (!closed_ && entries_.empty() && calls_.empty()) changed_.wait(lock);
  if (!closed_) return true;
  while (!entries_.empty()) {
    const auto task = take(entries_.front().get());
    const lsp::ModelError reason = *closed_;
    const engine::Unlock unlocked(mutex_);
    task->abandon(reason);
  }
  return false;
}

void Scheduler::advance() {
  engine::Lock lock(mutex_);
  run_calls();
  drop_cancelled();
  Entry* entry = most_urgent();
  if (entry == nullptr) return;
  entry->begun = true;
  running_ = entry;
  interrupt_ = closed_ != nullptr;
  lock.unlock();

  Task::Step step = Task::Step::more;
  std::string failure;
  try {
    step = entry->task->step(interrupt_);
  } catch (const std::exception& error) {
    failure = lsp::failure_text(error);
  }

  lock.lock();
  running_ = nullptr;
  if (step != Task::Step::done && failure.empty()) return;
  const auto task = take(entry);
  lock.unlock();
  if (!failure.empty()) task->abandon({failure});
}

Scheduler::Entry* Scheduler::most_urgent() {
  const auto found =
      std::min_element(entries_.begin(), entries_.end(),
                       [](const auto& a, const auto& b) { return a->priority < b->priority; });
  return found == entries_.end() ? nullptr : found->get();
}

std::unique_ptr<Task> Scheduler::take(const Entry* entry) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [entry](const auto& each) { return each.get() == entry; });
  auto task = std::move((*found)->task);
  entries_.erase(found);
  return task;
}

void Scheduler::run_calls() {
  const auto calls = std::exchange(calls_, {});
  const engine::Unlock unlocked(mutex_);
  for (const auto& call : calls) call();
}

void Scheduler::drop_cancelled() {
  std::vector<std::unique_ptr<Task>> dropped;
  for (auto& entry : entries_) {
    if (entry->cancelled) dropped.push_back(std::move(entry->task));
  }
  std::erase_if(entries_, [](const auto& entry) { return !entry->task; });
  const engine::Unlock unlocked(mutex_);
  for (const auto& task : dropped) task->abandon(cancelled_error);
}

}  // namespace hearth::daemon
