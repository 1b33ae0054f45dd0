// SqliteJobStore: what waits, and the thread that writes it.
#include "daemon/jobs/sqlite_store.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <new>
#include <system_error>

#include "daemon/platform/fatal_signal.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/insist.hpp"
#include "lsp/jobs/memory_store.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using engine::Lock;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds gather_for{400};
constexpr seconds first_retry_delay{1};
constexpr seconds max_retry_delay{30};
// An id is there at once, and none comes twice also after a power cut: they are reserved in the
// file by blocks, the next one before this one is used up. An orderly end gives back what is left.
constexpr lsp::JobId id_block = 100;
constexpr lsp::JobId id_margin = 50;
constexpr std::size_t last_job_bytes = 64;  // at most

// Where nobody knows which ids there were.
lsp::JobId seconds_of_the_clock() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<lsp::JobId>(std::chrono::duration_cast<seconds>(now).count());
}

// 0 where there is no such file.
lsp::JobId number_in(const fs::path& file) {
  std::error_code failed;
  const fs::file_type type = fs::symlink_status(file, failed).type();
  if (type == fs::file_type::not_found) return 0;
  if (type != fs::file_type::regular) return seconds_of_the_clock();
  try {
    const std::string text = read_file(file, last_job_bytes);
    lsp::JobId number = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    const bool only_number =
        std::all_of(parsed.ptr, end, [](char c) { return c == ' ' || c == '\n'; });
    if (parsed.ec == std::errc() && only_number && number < INT64_MAX / 2) return number;
  } catch (const Error&) {
    // As where it holds no number.
  }
  return seconds_of_the_clock();
}

}  // namespace

std::unique_ptr<lsp::JobStore> make_job_store(lsp::Host& host, const Paths& paths,
                                              SqliteJobStore::FailureHeard heard) {
  if (!paths.state.empty()) {
    return std::make_unique<SqliteJobStore>(host, paths.jobs(), paths.last_job(), std::move(heard));
  }
  return std::make_unique<lsp::MemoryJobStore>(host, std::vector<lsp::JobRecord>(),
                                               seconds_of_the_clock());
}

SqliteJobStore::SqliteJobStore(lsp::Host& host, fs::path file, const fs::path& last_job,
                               FailureHeard heard)
    : host_(host), path_(std::move(file)), heard_(std::move(heard)) {
  last_id_ = number_in(last_job);
  try {
    open();
    loaded_ = file_->take_records();
    for (const lsp::JobRecord& record : loaded_) known_.insert(record.id);
    last_id_ = std::max(last_id_, file_->last_id().value_or(seconds_of_the_clock()));
    Batch first;
    first.durable = true;
    first.reserved = last_id_ + id_block;
    file_->write(first);
    std::error_code failed;
    fs::remove(last_job, failed);
    const Lock lock(mutex_);
    reserved_ = asked_ = first.reserved;
  } catch (const Error& error) {
    failed(error.what());
  }
  writer_ = std::thread([this] { write_when_due(); });
}

SqliteJobStore::~SqliteJobStore() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  writer_.join();
  if (!file_) return;
  try {
    Batch last;
    last.durable = true;
    last.reserved = last_id_;
    file_->write(last);
  } catch (const std::exception&) {
    // The next daemon leaves some numbers out.
  }
}

lsp::JobId SqliteJobStore::next_id() {
  const Lock lock(mutex_);
  ++last_id_;
  if (last_id_ > reserved_) last_id_ = std::max(last_id_, seconds_of_the_clock());
  if (last_id_ + id_margin > asked_) {
    asked_ = last_id_ + id_block;
    pending_.reserved = asked_;
    pending_.durable = true;
    wake(true);
  }
  return last_id_;
}

void SqliteJobStore::create(lsp::JobRecord record) {
  known_.insert(record.id);
  const Lock lock(mutex_);
  pending_.create(std::move(record));
  pending_.durable = true;
  wake(true);
}

void SqliteJobStore::change(lsp::JobId id, lsp::JobChange change, Done done) {
  if (!known_.contains(id)) return answer({{id, std::move(done)}}, {}, {id});
  const Lock lock(mutex_);
  pending_.change(id, std::move(change));
  const bool awaited = static_cast<bool>(done);
  if (awaited) {
    pending_.changed.emplace_back(id, std::move(done));
    pending_.durable = true;
  }
  wake(awaited);
}

void SqliteJobStore::append(lsp::JobId id, std::string text, std::vector<std::int32_t> tokens) {
  if (!known_.contains(id)) return;
  const Lock lock(mutex_);
  pending_.append(id, text, tokens);
  wake(false);
}

void SqliteJobStore::remove(std::vector<lsp::JobId> ids, Done done) {
  const Lock lock(mutex_);
  for (const lsp::JobId id : ids) {
    if (known_.erase(id) > 0) pending_.remove(id);
  }
  const bool awaited = static_cast<bool>(done);
  if (awaited) pending_.removed.emplace_back(0, std::move(done));
  pending_.durable = true;
  wake(awaited);
}

std::vector<lsp::JobRecord> SqliteJobStore::load() {
  return std::move(loaded_);
}

std::string SqliteJobStore::failure() const {
  const Lock lock(mutex_);
  return failure_;
}

void SqliteJobStore::wake(bool at_once) {
  const Time now = steady_clock::now();
  const Time wanted = at_once ? now : now + gather_for;
  if (wanted >= due_) return;
  due_ = wanted;
  changed_.notify_one();
}

void SqliteJobStore::open() {
  file_ = std::make_unique<JobFile>(path_);
  if (!file_->note().empty()) log(lsp::LogLevel::warn, file_->note());
}

void SqliteJobStore::write_when_due() {
  prepare_thread_for_fatal_signals();
  seconds delay = first_retry_delay;
  Lock lock(mutex_);
  for (;;) {
    while (!stopping_ && steady_clock::now() < due_) {
      if (due_ == Time::max()) {
        changed_.wait(lock);
      } else {
        changed_.wait_until(lock, due_);
      }
    }
    const bool last = stopping_;
    due_ = Time::max();
    lock.unlock();
    const bool written = write_what_waits();
    lock.lock();
    if (last) return;
    if (!written) due_ = std::min(due_, steady_clock::now() + delay);
    delay = written ? first_retry_delay : std::min(2 * delay, max_retry_delay);
  }
}

bool SqliteJobStore::write_what_waits() noexcept {
  try {
    write_batch();  // what failed before, or what is new
    write_batch();
    if (scrub_) scrub();
    return true;
  } catch (const std::bad_alloc&) {
    failed("jobs cannot be written: there is no memory");
  } catch (const std::exception& error) {
    failed(error.what());
  }
  return false;
}

void SqliteJobStore::write_batch() {
  if (writing_.empty()) {
    writing_ = {};
    const Lock lock(mutex_);
    std::swap(writing_, pending_);
  }
  if (writing_.empty()) return;
  if (file_ && !file_->on_disk()) file_.reset();
  if (!file_) {
    open();
    static_cast<void>(file_->take_records());
    // The file may be another one.
    const Lock lock(mutex_);
    writing_.reserved = std::max(writing_.reserved, asked_);
  }
  scrubbed_.reserve(scrubbed_.size() + writing_.removed.size());
  auto missing = file_->write(writing_);
  // It is written: from here on it must not be tried again.
  Batch written;
  std::swap(written, writing_);
  scrub_ = scrub_ || written.removes;
  std::ranges::move(written.removed, std::back_inserter(scrubbed_));
  {
    const Lock lock(mutex_);
    reserved_ = std::max(reserved_, written.reserved);
  }
  if (!scrub_) recovered();
  answer(std::move(written.changed), {}, std::move(missing));
  if (!scrub_) answer(std::exchange(scrubbed_, {}), {}, {});
}

void SqliteJobStore::scrub() {
  if (!file_) open();
  file_->scrub();
  scrub_ = false;
  recovered();
  answer(std::exchange(scrubbed_, {}), {}, {});
}

void SqliteJobStore::recovered() noexcept {
  bool failed_before = false;
  {
    const Lock lock(mutex_);
    failed_before = !failure_.empty();
    failure_.clear();
  }
  if (!failed_before) return;
  try {
    log(lsp::LogLevel::info, path_.string() + " is written again");
    say_failure();
  } catch (const std::exception&) {
    // The log does without.
  }
}

// All that waits is told; the changes themselves stay.
void SqliteJobStore::failed(const char* why) noexcept {
  file_.reset();
  Waiting changed;
  Waiting removed;
  {
    const Lock lock(mutex_);
    std::swap(changed, pending_.changed);
    std::swap(removed, pending_.removed);
  }
  try {
    {
      const Lock lock(mutex_);
      if (failure_.empty()) {
        log(lsp::LogLevel::error,
            std::string(why) + "; what jobs do is kept in memory until it can be written");
      }
      const bool changes = failure_ != why;
      failure_ = why;
      if (changes) say_failure();
    }
    for (Waiting* waiting :
         {&writing_.changed, &writing_.removed, &scrubbed_, &changed, &removed}) {
      answer(std::exchange(*waiting, {}), why, {});
    }
  } catch (const std::exception&) {
    // Nobody is told, as there is no memory for it; what waits is tried again all the same.
  }
}

void SqliteJobStore::say_failure() {
  if (heard_) host_.post(heard_);
}

void SqliteJobStore::answer(Waiting told, std::string failure, std::set<lsp::JobId> missing) {
  std::erase_if(told, [](const auto& waiting) { return !waiting.second; });
  if (told.empty()) return;
  struct Message {
    Waiting told;
    std::string failure;
    std::set<lsp::JobId> missing;
  };
  std::shared_ptr<Message> message;
  insist([&] {
    if (!message) {
      message = std::make_shared<Message>();
      *message = {std::move(told), std::move(failure), std::move(missing)};
    }
    host_.post([message] {
      for (const auto& [id, done] : message->told) {
        done(message->missing.contains(id) ? "there is no record of job " + std::to_string(id)
                                           : message->failure);
      }
    });
  });
}

void SqliteJobStore::log(lsp::LogLevel level, const std::string& message) {
  host_.post([&host = host_, level, message] { host.log(level, message); });
}

}  // namespace hearth::daemon
