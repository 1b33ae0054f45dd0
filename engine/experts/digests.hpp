// What each expert's bytes were when they were first read for work, and whether they are still the
// same at every later read from disk. State is kept only as long as they are: it was made of them.
//
// An expert that was read is used at once and compared on a thread beside, as fast as one core
// reads memory. What was computed meanwhile is nobody's before differences() was asked, which waits
// for the comparisons that were begun before.
//
// Threading: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/experts/store.hpp"
#include "engine/support/mutex.hpp"

namespace hearth::engine {

class ExpertDigests {
 public:
  // `stamps`: digest_stamps of the files. `note`: for the log, from any thread. Keeps a reference
  // to the store.
  ExpertDigests(const ExpertStore& store, std::uint64_t fingerprint, std::uint64_t stamps,
                std::function<void(const std::string&)> note);
  ~ExpertDigests();  // after the last check has ended
  ExpertDigests(const ExpertDigests&) = delete;
  ExpertDigests& operator=(const ExpertDigests&) = delete;

  // An expert that was read into a slot. False: it differs from before, and from then on what was
  // computed before is not to be used; see differences() and last_difference().
  bool check(ExpertStore::Key key, std::span<const std::byte> slot) noexcept;
  // The same on a thread of its own, one after another. The slot's memory must stay as it is until
  // `done` was called there, with the answer; it throws nothing. std::bad_alloc: it never will be.
  void check_later(ExpertStore::Key key, std::span<const std::byte> slot,
                   std::function<void(bool same)> done);
  // Until what was begun so far has ended.
  void wait();

  // How often an expert differed, those included whose check had begun: waits for them. State that
  // was made before this changed is to be dropped. Not from within `done`.
  std::uint64_t differences();
  // The last difference in a sentence, for a request whose state was dropped: file and tensor and
  // what to do.
  std::string last_difference() const;
  // All of the state on disk was dropped that was made before differences() became so many.
  void dropped(std::uint64_t differences);

  // To be kept beside the state on disk, and there before any that was made since; empty where
  // nothing is new, or state that must be dropped is still there.
  std::optional<std::vector<std::byte>> unsaved();
  void saved();  // it is there
  // Before the first check: what another process kept. False: it is not of this checkpoint.
  bool restore(std::span<const std::byte> bytes);
  std::uint64_t saved_bytes() const;

  struct Cost {
    std::uint64_t bytes = 0;
    double seconds = 0;  // of the thread that compares
    double waited = 0;   // for it
  };
  Cost cost() const;

 private:
  using Digests = std::array<std::uint64_t, 3>;  // gate, up, down; 0: not read yet

  struct Check {
    ExpertStore::Key key;
    std::span<const std::byte> slot;
    std::function<void(bool)> done;
  };

  std::vector<std::byte> encode() const HEARTH_REQUIRES(mutex_);
  std::string describe(ExpertStore::Key key, std::size_t part, bool files_changed) const;
  void work();

  const ExpertStore& store_;
  const std::uint64_t fingerprint_;
  const std::uint64_t stamps_;  // of the files as they are
  const std::function<void(const std::string&)> note_;
  std::atomic<std::uint64_t> differences_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::uint64_t> nanoseconds_ = 0;
  std::atomic<std::uint64_t> waited_nanoseconds_ = 0;

  mutable Mutex mutex_;
  std::vector<Digests> digests_ HEARTH_GUARDED_BY(mutex_);  // by key
  // The files' stamps when the first of these digests was taken.
  std::uint64_t known_under_ HEARTH_GUARDED_BY(mutex_);
  // Of differences_, those whose state is gone.
  std::uint64_t dropped_ HEARTH_GUARDED_BY(mutex_) = 0;
  // Of digests_, the table itself the first; and of these, those that are on disk or on their way.
  std::uint64_t changes_ HEARTH_GUARDED_BY(mutex_) = 1;
  std::uint64_t saved_ HEARTH_GUARDED_BY(mutex_) = 0;
  std::uint64_t saving_ HEARTH_GUARDED_BY(mutex_) = 0;
  // Empty: there was none, or no memory to say it.
  std::string last_difference_ HEARTH_GUARDED_BY(mutex_);

  Mutex queue_mutex_;  // never held together with the other
  Condition changed_;
  std::deque<Check> queue_ HEARTH_GUARDED_BY(queue_mutex_);
  std::uint64_t begun_ HEARTH_GUARDED_BY(queue_mutex_) = 0;  // checks, in order
  std::uint64_t ended_ HEARTH_GUARDED_BY(queue_mutex_) = 0;
  bool stopping_ HEARTH_GUARDED_BY(queue_mutex_) = false;
  std::thread thread_;
};

}  // namespace hearth::engine
