// The queue of tasks and the interrupt flag.
#include "daemon/models/scheduler.hpp"

#include <algorithm>
#include <exception>
#include <tuple>
#include <utility>

#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

const lsp::ModelError cancelled_error{"cancelled", lsp::ModelError::Kind::cancelled};

}  // namespace

Scheduler::Id Scheduler::submit(lsp::Priority priority, std::uint64_t client,
                                std::unique_ptr<Task> task) {
  engine::Lock lock(mutex_);
  const Id id = ++last_;
  if (const auto reason = refusal(client)) {
    lock.unlock();
    task->abandon(*reason);
    return id;
  }
  entries_.push_back(std::make_unique<Entry>(Entry{id, priority, client, std::move(task)}));
  ++changes_;
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
  if (entry.begun || entry.held) {
    entry.cancelled = true;
    ++changes_;
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
    ++changes_;
    calls_.clear();
    for (auto& entry : entries_) {
      if (!entry->begun && !entry->held) unbegun.push_back(std::move(entry->task));
    }
    std::erase_if(entries_, [](const auto& entry) { return !entry->task; });
    changed_.notify_one();
  }
  for (const auto& task : unbegun) task->abandon(reason);
}

void Scheduler::park() {
  engine::Lock lock(mutex_);
  parked_ = true;
  if (!entries_.empty()) {
    ++parks_;
    parked_since_ = std::chrono::steady_clock::now();
  }
  interrupt_ = true;
  while (running_ != nullptr) step_ended_.wait(lock);
}

void Scheduler::unpark() {
  const engine::Lock lock(mutex_);
  parked_ = false;
  if (parked_since_) parked_for_ += std::chrono::steady_clock::now() - *parked_since_;
  parked_since_.reset();
  changed_.notify_one();
}

std::uint64_t Scheduler::parks() const {
  const engine::Lock lock(mutex_);
  return parks_;
}

std::chrono::duration<double> Scheduler::parked_for() const {
  const engine::Lock lock(mutex_);
  return parked_for_;
}

std::size_t Scheduler::size() const {
  const engine::Lock lock(mutex_);
  return entries_.size();
}

std::array<std::size_t, 3> Scheduler::sizes() const {
  const engine::Lock lock(mutex_);
  std::array<std::size_t, 3> sizes{};
  for (const auto& entry : entries_) ++sizes[static_cast<std::size_t>(entry->priority)];
  return sizes;
}

bool Scheduler::wait() {
  engine::Lock lock(mutex_);
  while (!closed_ && !has_something_to_do()) {
    if (!park_other(false)) changed_.wait(lock);
  }
  if (!closed_) return true;
  park_other(false);
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
  if (!calls_.empty() || !entries_.empty()) park_other(true);
  run_calls();
  drop_cancelled();
  if (parked_) return;
  Entry* entry = next_of(all(), turns_);
  if (entry == nullptr) return;
  if (!entry->begun) begin(*entry);
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
  step_ended_.notify_all();
  if (step != Task::Step::done && failure.empty()) return;
  const auto task = take(entry);
  lock.unlock();
  if (!failure.empty()) task->abandon({failure});
}

bool Scheduler::prepare_next() {
  engine::Lock lock(mutex_);
  Entry* next = nullptr;
  std::size_t never = 0;
  for (const auto& entry : entries_) {
    if (entry->begun || entry->cancelled) continue;
    if (entry->prepared == 0) ++never;
    if (next == nullptr || entry->prepared < next->prepared) next = entry.get();
  }
  if (next == nullptr) return false;
  if (park_other(true)) return true;  // what is next may be gone
  if (next->prepared == 0) --never;
  next->prepared = ++preparations_;
  const std::uint64_t changes = changes_;
  next->held = true;
  {
    const engine::Unlock unlocked(mutex_);
    try {
      next->task->prepare();
    } catch (const std::exception&) {
      // Its step will say it.
    }
  }
  next->held = false;
  return never > 0 && changes == changes_;
}

void Scheduler::tell_waits() {
  engine::Lock lock(mutex_);
  const Entries told = all();
  AllTurns turns = turns_;
  for (Entry* entry : told) entry->held = true;
  {
    const engine::Unlock unlocked(mutex_);
    try {
      tell(told, turns);
    } catch (const std::exception&) {
      // There is no memory: another time.
    }
  }
  for (Entry* entry : told) entry->held = false;
}

void Scheduler::tell(Entries waiting, AllTurns& turns) {
  Wait wait;
  while (Entry* next = next_of(waiting, turns)) {
    std::erase(waiting, next);
    if (!next->begun) turns[static_cast<std::size_t>(next->priority)].take(next->client);
    const auto left = next->task->waits(wait);
    wait.time = wait.time && left ? std::optional(*wait.time + *left) : std::nullopt;
    ++wait.ahead;
  }
}

std::uint64_t Scheduler::changes() const {
  const engine::Lock lock(mutex_);
  return changes_;
}

void Scheduler::alone(const std::function<void()>& call) {
  engine::Lock lock(mutex_);
  park_other(true);
  {
    const engine::Unlock unlocked(mutex_);
    call();
  }
  park_other(false);
}

std::uint64_t Scheduler::Turns::of(std::uint64_t client) const {
  const auto found = later_.find(client);
  return found == later_.end() ? now_ : std::max(now_, found->second);
}

void Scheduler::Turns::take(std::uint64_t client) {
  now_ = std::max(now_, of(client));
  later_[client] = now_ + 1;
  std::erase_if(later_, [this](const auto& each) { return each.second <= now_; });
}

// `entries` are in the order of their submission.
Scheduler::Entry* Scheduler::next_of(const Entries& entries, const AllTurns& turns) {
  const auto rank = [&](const Entry* entry) {
    const Turns& own = turns[static_cast<std::size_t>(entry->priority)];
    return std::tuple(entry->priority, !entry->begun, entry->begun ? 0 : own.of(entry->client));
  };
  const auto next = std::ranges::min_element(entries, {}, rank);
  return next == entries.end() ? nullptr : *next;
}

Scheduler::Entries Scheduler::all() const {
  Entries all;
  for (const auto& entry : entries_) {
    if (!entry->cancelled) all.push_back(entry.get());
  }
  return all;
}

bool Scheduler::has_something_to_do() const {
  if (!calls_.empty()) return true;
  if (!parked_) return !entries_.empty();
  return std::ranges::any_of(entries_, [](const auto& entry) { return entry->cancelled; });
}

std::optional<lsp::ModelError> Scheduler::refusal(std::uint64_t client) const {
  if (closed_) return *closed_;
  if (entries_.size() >= max_waiting)
    return lsp::ModelError{"too many requests are waiting: try again when some are done"};
  const auto same = [client](const auto& entry) { return entry->client == client; };
  if (client == 0 ||
      std::ranges::count_if(entries_, same) < static_cast<std::ptrdiff_t>(max_waiting_of_client))
    return std::nullopt;
  return lsp::ModelError{
      "too many requests of this editor are waiting: try again when some are done"};
}

void Scheduler::begin(Entry& entry) {
  entry.begun = true;
  ++changes_;
  turns_[static_cast<std::size_t>(entry.priority)].take(entry.client);
}

std::unique_ptr<Task> Scheduler::take(const Entry* entry) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [entry](const auto& each) { return each.get() == entry; });
  auto task = std::move((*found)->task);
  entries_.erase(found);
  gone();
  return task;
}

// Turns are remembered as long as somebody waits for one.
void Scheduler::gone() {
  ++changes_;
  std::array<bool, 3> wanted{};
  for (const auto& entry : entries_) wanted[static_cast<std::size_t>(entry->priority)] = true;
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    if (!wanted[i]) turns_[i] = {};
  }
}

void Scheduler::run_calls() {
  const auto calls = std::exchange(calls_, {});
  const engine::Unlock unlocked(mutex_);
  for (const auto& call : calls) call();
}

// For as long as there are tasks: between two steps the other one would only begin a piece that the
// next step interrupts. False: it is so already; else the mutex was let go.
bool Scheduler::park_other(bool wanted) {
  if (other_ == nullptr || other_is_parked_ == wanted) return false;
  other_is_parked_ = wanted;
  const engine::Unlock unlocked(mutex_);
  wanted ? other_->park() : other_->unpark();
  return true;
}

void Scheduler::drop_cancelled() {
  std::vector<std::unique_ptr<Task>> dropped;
  for (auto& entry : entries_) {
    if (entry->cancelled) dropped.push_back(std::move(entry->task));
  }
  if (dropped.empty()) return;
  std::erase_if(entries_, [](const auto& entry) { return !entry->task; });
  gone();
  const engine::Unlock unlocked(mutex_);
  for (const auto& task : dropped) task->abandon(cancelled_error);
}

}  // namespace hearth::daemon
