// Reads experts from the checkpoint's files into slots, has what came checked, and keeps the order
// in which they are read when nobody waits: what the next layer will want, then the warm start.
// Chooses no slot and gives up no expert.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/digests.hpp"
#include "engine/experts/reader.hpp"
#include "engine/experts/store.hpp"

namespace hearth::engine {

// Threading: the cache's mutex guards everything but withdraw.
class ExpertLoader {
 public:
  using Key = ExpertStore::Key;

  // What was read, and how that ended.
  struct Outcome {
    int slot = -1;
    Key key = -1;
    Urgency urgency = Urgency::demand;
    std::uint64_t bytes = 0;
    ReadResult result;
  };
  // Called without the mutex, on a reading thread or on that of withdraw, once for every read until
  // the loader is destroyed. Throws nothing; hands the outcome to ended.
  using Done = std::function<void(Outcome)>;
  // The same of a check: called without the mutex on the checking thread. `same`: the expert is
  // what it was.
  using Checked = std::function<void(int slot, bool same)>;

  // `digests`: what is checked against; null: nothing is. Keeps references.
  ExpertLoader(const ExpertStore& store, std::span<const std::unique_ptr<File>> files,
               std::optional<ReaderKind> kind, ExpertDigests* digests, Done done, Checked checked);
  // Waits for reads and checks that are under way; takes no mutex of the cache and begins none.
  ~ExpertLoader();
  ExpertLoader(const ExpertLoader&) = delete;
  ExpertLoader& operator=(const ExpertLoader&) = delete;

  std::string description() const { return description_; }  // "io_uring, past the page cache"

  // Begins to read an expert into a slot's memory. `interrupt`: see ReadJob. std::bad_alloc: it has
  // not begun.
  void load(Key key, int slot, std::span<std::byte> memory, Urgency urgency,
            const std::atomic<bool>* interrupt);
  void ended(const Outcome& outcome);
  // What a slot holds, once it was read; the slot must stay as it is until that was told. False:
  // nothing is checked. std::bad_alloc: it has not begun.
  bool begin_check(Key key, int slot, std::span<const std::byte> memory);
  // What begin_check has no memory for.
  bool check(Key key, std::span<const std::byte> memory) { return digests_->check(key, memory); }
  void check_ended() { --checking_; }
  std::string last_difference() const { return digests_->last_difference(); }

  bool checking() const { return checking_ > 0; }              // a check has not ended
  bool busy() const { return loading_ > 0 || checking_ > 0; }  // nor a read
  // Nobody waits any more: what was not begun is not read, and withdrawn.
  void withdraw() { reader_->withdraw(); }

  // What the next layer will want, the likeliest first. Replaces an earlier list.
  void look_ahead(std::span<const Key> keys) { ahead_.assign(keys.begin(), keys.end()); }
  std::deque<Key>& ahead() { return ahead_; }

  // The warm start: experts to be read while nothing else is. Replaces an earlier list.
  void warm(std::vector<Key> keys);
  // The next of them, which leaves the list; empty: none, or enough are under way.
  std::optional<Key> next_warm();
  void end_warm() { to_warm_.clear(); }  // what is under way ends
  bool warming() const { return !to_warm_.empty() || warming_ > 0; }
  bool reading_warm() const { return warming_ > 0; }  // of it something is under way
  bool will_warm(Key key) const { return std::ranges::find(to_warm_, key) != to_warm_.end(); }
  std::size_t warm_left() const { return to_warm_.size() + warming_; }
  // Once the warm start is over: all that it was to read, the most useful first.
  std::vector<Key> take_warmed();

 private:
  const ExpertStore& store_;
  ExpertDigests* const digests_;
  const Done done_;
  const Checked checked_;
  std::string description_;
  std::atomic<bool> stopping_ = false;
  std::size_t loading_ = 0;   // reads that have not ended
  std::size_t checking_ = 0;  // checks that have not
  std::deque<Key> ahead_;
  std::vector<Key> warm_list_;
  std::deque<Key> to_warm_;  // of the list, still to be read
  std::size_t warming_ = 0;  // of the list, being read

  // Goes after the reader: what its last reads had checked has ended when the slots go.
  struct LastChecks {
    ExpertDigests* digests;
    ~LastChecks() {
      if (digests != nullptr) digests->wait();
    }
  } last_checks_;
  std::unique_ptr<AsyncReader> reader_;  // last: it is the first to go, and calls back until then
};

}  // namespace hearth::engine
