// The directory of prefix checkpoints: who may use it, what is in it at the start, and the thread
// that writes and removes files while the engine computes. Which node is worth a file, and which
// file has to go, is the PrefixCache's business.
//
// Threading: one thread calls; a thread of this class writes. statistics() is for any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <variant>
#include <vector>

#include "engine/experts/digests.hpp"
#include "engine/prefix/file.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::engine {

struct PrefixDiskOptions {
  std::filesystem::path directory;
  std::uint64_t daily_bytes = 0;          // most that is written in a day (UTC)
  std::uint64_t queue_bytes = 0;          // most that waits to be written
  std::function<void(std::string)> note;  // from either thread
  // What states were computed from, kept beside them; null: nothing is known of it.
  ExpertDigests* digests = nullptr;
  // What tests replace.
  WriteFunction write;                  // empty: ::write
  std::function<std::int64_t()> today;  // days since 1970; empty: the clock's
};

class PrefixDisk {
 public:
  // A file of this fingerprint whose head is whole.
  struct Found {
    PrefixHead head;
    std::int64_t used = 0;  // ns since 1970
  };
  // A file that another checkpoint or configuration wrote: it only counts.
  struct StaleFile {
    std::string name;
    std::uint64_t bytes = 0;
    std::int64_t used = 0;
  };
  struct Contents {
    std::vector<Found> nodes;  // in no order; parents may be missing
    std::vector<StaleFile> stale;
  };

  // Makes the directory (0700) where it is missing, takes its lock, removes what was half written
  // or is damaged. Null, with a note, where the directory cannot be had or another process uses it.
  static std::unique_ptr<PrefixDisk> open(PrefixDiskOptions options, const PrefixLayout& layout,
                                          std::uint64_t fingerprint, Contents& contents);
  ~PrefixDisk();  // after what is queued is written

  // Queues a node's file. False: the queue is full or the day's bytes are spent. Parents first.
  bool write(PrefixRecord record);
  std::uint64_t room() const;  // bytes that the queue and the day still take
  void remove(std::uint64_t id);
  void remove(const StaleFile& file);
  void touch(std::uint64_t id);  // it was used now
  // Every node's file, what is queued too; then calls `done` on the writing thread.
  void remove_all(std::function<void()> done);

  // What became of writes since the last call.
  struct Written {
    std::uint64_t id = 0;
    bool done = false;
  };
  std::vector<Written> take_written();

  // A file that is read.
  struct Request {
    PrefixPlace place;
    RequestedParts requested;
    std::unique_ptr<PrefixReading> reading;  // once it is open
    std::string failure;                     // why there is no answer,
    bool damaged = false;                    // and whether the file is of no use to anyone
  };
  // Opens it; then a piece of it, and its end after all of them. From any threads. False: it
  // failed, and says so.
  bool open(Request& request) const;
  bool read(Request& request, std::size_t piece, const PrefixReading::Arrived& arrived) const;
  bool finish(Request& request) const;

  std::uint64_t written_today() const;
  void flush();  // waits until the queue is empty; for tests and the end
  // The same, for so long at most. False: interrupted, which it notices within milliseconds.
  bool wait(std::chrono::milliseconds max, const std::atomic<bool>* interrupt);

 private:
  struct Write {
    PrefixRecord record;
    std::uint64_t bytes = 0;  // of the file
  };
  struct Remove {
    std::string name;
  };
  struct Touch {
    std::string name;
  };
  struct RemoveAll {
    std::function<void()> done;
  };
  using Job = std::variant<Write, Remove, Touch, RemoveAll>;

  PrefixDisk(PrefixDiskOptions options, const PrefixLayout& layout, std::uint64_t fingerprint,
             int lock);
  Contents scan();
  std::string name_of(std::uint64_t id) const;
  std::filesystem::path path_of(std::uint64_t id) const;
  void queue(Job job);
  std::uint64_t room_now() const HEARTH_REQUIRES(mutex_);
  void run();  // the writing thread
  void perform(Write& job);
  bool write_now(const PrefixRecord& record, std::uint64_t bytes);
  void perform(const Remove& job);
  void perform(const Touch& job);
  void perform(const RemoveAll& job);
  void remove_files();
  void remove_lone_digests(const Contents& contents) const;
  void restore_digests(Contents& contents);
  void save_digests();
  void charge(std::uint64_t bytes);
  void give_back(std::uint64_t bytes);
  void write_charges() const;
  void read_charges();
  template <typename Task>
  bool attempt(Request& request, const Task& task) const;

  const PrefixDiskOptions options_;
  const PrefixLayout layout_;
  const std::uint64_t fingerprint_;
  const int lock_;

  mutable Mutex mutex_;
  Condition changed_;
  std::deque<Job> jobs_ HEARTH_GUARDED_BY(mutex_);
  bool busy_ HEARTH_GUARDED_BY(mutex_) = false;
  bool stop_ HEARTH_GUARDED_BY(mutex_) = false;
  std::uint64_t queued_bytes_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::int64_t day_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::uint64_t day_bytes_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::vector<Written> written_ HEARTH_GUARDED_BY(mutex_);

  // The writing thread's own.
  std::unordered_set<std::uint64_t> failed_;  // ids: their descendants cannot be read either
  bool told_of_failure_ = false;

  std::thread thread_;
};

}  // namespace hearth::engine
