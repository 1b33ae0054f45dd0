// The queue of wants and the interrupt flag.
#include "daemon/scheduler.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace hearth::daemon {
namespace {

const lsp::ModelError cancelled_error{"cancelled", true};

}  // namespace

Scheduler::Id Scheduler::submit(lsp::Priority priority, std::unique_ptr<Work> work) {
  std::unique_lock lock(mutex_);
  const Id id = ++last_;
  if (closed_ || entries_.size() >= most_waiting) {
    const auto reason =
        closed_ ? *closed_
                : lsp::ModelError{"too many requests are waiting: try again when some are done"};
    lock.unlock();
    work->abandon(reason);
    return id;
  }
  entries_.push_back(std::make_unique<Entry>(Entry{id, priority, std::move(work)}));
  if (running_ != nullptr && priority < running_->priority) interrupt_ = true;
  changed_.notify_one();
  return id;
}

void Scheduler::cancel(Id id) {
  std::unique_lock lock(mutex_);
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
  const auto work = take(&entry);
  lock.unlock();
  work->abandon(cancelled_error);
}

void Scheduler::between_steps(std::function<void()> task) {
  const std::scoped_lock lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  changed_.notify_one();
}

void Scheduler::tell_waiting(const lsp::GenerationProgress& progress) {
  const std::scoped_lock lock(mutex_);
  for (const auto& entry : entries_) {
    if (!entry->begun) entry->work->waiting(progress);
  }
}

void Scheduler::close(const lsp::ModelError& reason) {
  std::vector<std::unique_ptr<Work>> unbegun;
  {
    const std::scoped_lock lock(mutex_);
    closed_ = std::make_unique<lsp::ModelError>(reason);
    interrupt_ = true;
    tasks_.clear();
    for (auto& entry : entries_) {
      if (!entry->begun) unbegun.push_back(std::move(entry->work));
    }
    std::erase_if(entries_, [](const auto& entry) { return !entry->work; });
    changed_.notify_one();
  }
  for (const auto& work : unbegun) work->abandon(reason);
}

std::size_t Scheduler::size() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

bool Scheduler::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !entries_.empty() || !tasks_.empty(); });
  if (!closed_) return true;
  while (!entries_.empty()) {
    const auto work = take(entries_.front().get());
    lock.unlock();
    work->abandon(*closed_);
    lock.lock();
  }
  return false;
}

void Scheduler::advance() {
  std::unique_lock lock(mutex_);
  run_tasks(lock);
  drop_cancelled(lock);
  Entry* entry = most_urgent();
  if (entry == nullptr) return;
  entry->begun = true;
  running_ = entry;
  interrupt_ = closed_ != nullptr;
  lock.unlock();

  Work::Step step = Work::Step::more;
  std::string failure;
  try {
    step = entry->work->step(interrupt_);
  } catch (const std::exception& error) {
    failure = error.what();
  }

  lock.lock();
  running_ = nullptr;
  if (step != Work::Step::done && failure.empty()) return;
  const auto work = take(entry);
  lock.unlock();
  if (!failure.empty()) work->abandon({failure});
}

Scheduler::Entry* Scheduler::most_urgent() {
  const auto found =
      std::min_element(entries_.begin(), entries_.end(),
                       [](const auto& a, const auto& b) { return a->priority < b->priority; });
  return found == entries_.end() ? nullptr : found->get();
}

std::unique_ptr<Work> Scheduler::take(const Entry* entry) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [entry](const auto& each) { return each.get() == entry; });
  auto work = std::move((*found)->work);
  entries_.erase(found);
  return work;
}

void Scheduler::run_tasks(std::unique_lock<std::mutex>& lock) {
  const auto tasks = std::exchange(tasks_, {});
  lock.unlock();
  for (const auto& task : tasks) task();
  lock.lock();
}

void Scheduler::drop_cancelled(std::unique_lock<std::mutex>& lock) {
  std::vector<std::unique_ptr<Work>> dropped;
  for (auto& entry : entries_) {
    if (entry->cancelled) dropped.push_back(std::move(entry->work));
  }
  std::erase_if(entries_, [](const auto& entry) { return !entry->work; });
  lock.unlock();
  for (const auto& work : dropped) work->abandon(cancelled_error);
  lock.lock();
}

}  // namespace hearth::daemon
