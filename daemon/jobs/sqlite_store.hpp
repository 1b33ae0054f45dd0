// The daemon's JobStore: a file of SQLite (daemon/jobs/job_file.hpp) behind a thread that writes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/jobs/batch.hpp"
#include "daemon/jobs/job_file.hpp"
#include "daemon/platform/paths.hpp"
#include "engine/support/mutex.hpp"
#include "lsp/jobs/store.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

// What has a `done`, and a new job, is written at once; the rest is gathered for 0.4 s, so that
// with the engine's checkpoints a killed process costs about a second of an answer at most. While
// the file cannot be written (a full disk, another process that has it), each `done` is told so,
// all changes wait in memory, and are tried again.
class SqliteJobStore : public lsp::JobStore {
 public:
  // On the Host's thread: failure() has changed.
  using FailureHeard = std::function<void()>;

  // Opens and reads the file, which takes a moment; logs what is wrong with it. `last_job`: where
  // hearth kept its last number before, which is read and goes. The host outlives it.
  SqliteJobStore(lsp::Host& host, std::filesystem::path file, const std::filesystem::path& last_job,
                 FailureHeard heard = {});
  // Writes what waits, once.
  ~SqliteJobStore() override;

  lsp::JobId next_id() override;
  void create(lsp::JobRecord record) override;
  void change(lsp::JobId id, lsp::JobChange change, Done done) override;
  void append(lsp::JobId id, std::string text, std::vector<std::int32_t> tokens) override;
  // The whole file is written anew: better many ids at once than one after the other.
  void remove(std::vector<lsp::JobId> ids, Done done) override;
  std::string failure() const override;
  std::vector<lsp::JobRecord> load() override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  using Waiting = std::vector<std::pair<lsp::JobId, Done>>;

  void open();
  // The writer's thread.
  void write_when_due();
  bool write_what_waits() noexcept;
  void write_batch();
  void scrub();
  void recovered() noexcept;
  void failed(const char* why) noexcept;
  void say_failure();
  void answer(Waiting told, std::string failure, std::set<lsp::JobId> missing);
  void log(lsp::LogLevel level, const std::string& message);

  void wake(bool at_once) HEARTH_REQUIRES(mutex_);

  lsp::Host& host_;
  const std::filesystem::path path_;
  const FailureHeard heard_;

  // Of the Host's thread.
  std::vector<lsp::JobRecord> loaded_;
  std::set<lsp::JobId> known_;
  lsp::JobId last_id_ = 0;

  // Of the writer, while it runs.
  std::unique_ptr<JobFile> file_;  // empty: has to be opened again
  Batch writing_;                  // is tried again until it is written
  bool scrub_ = false;             // removed records may have left traces
  Waiting scrubbed_;               // to be told once they have not

  mutable engine::Mutex mutex_;
  engine::Condition changed_;
  Batch pending_ HEARTH_GUARDED_BY(mutex_);  // comes after `writing_`
  Time due_ HEARTH_GUARDED_BY(mutex_) = Time::max();
  bool stopping_ HEARTH_GUARDED_BY(mutex_) = false;
  std::string failure_ HEARTH_GUARDED_BY(mutex_);
  lsp::JobId reserved_ HEARTH_GUARDED_BY(mutex_) = 0;  // ids up to it are, in the file
  lsp::JobId asked_ HEARTH_GUARDED_BY(mutex_) = 0;     // and up to this one soon

  std::thread writer_;
};

// In memory where there is no state directory: then nothing of a job is left to be done twice.
std::unique_ptr<lsp::JobStore> make_job_store(lsp::Host& host, const Paths& paths,
                                              SqliteJobStore::FailureHeard heard = {});

}  // namespace hearth::daemon
