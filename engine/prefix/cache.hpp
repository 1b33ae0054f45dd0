// The checkpoints that prompts go back to, in RAM and, where there is a directory, on disk. Found
// by longest common token prefix; KV that two of them share is held once (engine/prefix/tree.hpp).
// Decides what is kept, what goes and what is written; the files are PrefixDisk's.
//
// Threading: the computing thread. statistics() is for any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/experts/digests.hpp"
#include "engine/prefix/data.hpp"
#include "engine/prefix/disk.hpp"
#include "engine/prefix/statistics.hpp"
#include "engine/prefix/tree.hpp"
#include "engine/support/mutex.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {

struct PrefixOptions {
  std::uint64_t ram_bytes = 0;
  std::filesystem::path directory;  // empty: RAM only
  std::uint64_t disk_bytes = 0;
  std::uint64_t daily_bytes = 0;
  double disk_min_seconds = 0;  // what is computed again faster than this is not written
  // Of an answer that is being written, and of the prompt of one, a checkpoint goes to disk at most
  // every so many seconds (0: none does) and at most at so many bytes a second.
  double answer_seconds = 0;
  std::uint64_t answer_bytes = 0;
  std::function<void(const std::string&)> note;  // from any thread
  // What states were computed from: none is kept longer than that. Null: nothing is known of it.
  ExpertDigests* digests = nullptr;
  // What tests replace; see PrefixDiskOptions.
  WriteFunction write;
  std::function<std::int64_t()> today;
};

// A checkpoint inside an answer pushes out what prompts go back to only where it is at most one so
// manieth of the budget.
inline constexpr std::uint64_t answer_share = 8;

class PrefixCache {
 public:
  using Tokens = std::span<const TokenId>;

  PrefixCache(const PrefixOptions& options, PrefixLayout layout, std::uint64_t fingerprint);
  ~PrefixCache();  // after what is queued is written

  const PrefixLayout& layout() const { return layout_; }

  // How many of the tokens a checkpoint covers; all of them only where it has logits. Those behind
  // the first `prompt` are an answer: decoding has other bits than prefill, so of checkpoints in
  // there only those count that were decoded behind the same prompt.
  static constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();
  std::size_t find(Tokens tokens, std::size_t prompt = whole) const;

  // All that is needed to go on from a checkpoint.
  struct Restored {
    struct KvSpan {
      StateSnapshot kv;  // of tokens from `begin` on
      std::int64_t begin = 0;
      std::int64_t from = 0;  // of them, [from, to) are wanted
      std::int64_t to = 0;
    };
    std::int64_t position = 0;  // 0: there is no checkpoint
    std::vector<KvSpan> spans;
    StateSnapshot state;
    std::vector<float> hidden;
    std::vector<float> logits;
    std::int64_t decoded_from = 0;  // as PrefixRecord's
  };
  // Says where in a session's buffers the parts go; sees a Restored without content yet.
  using Destination = std::function<StateRestore(const Restored&)>;
  // The longest prefix of more than `beyond` tokens; KV of the first `kv_from` tokens is not
  // wanted. What is on disk is read, checked and copied to its destination all at once. What is
  // damaged there is forgotten and the next best taken, with a destination of its own. Empty:
  // interrupted; what is at the destination then is of no use.
  std::optional<Restored> take(Tokens tokens, std::size_t beyond, std::size_t kv_from,
                               const Destination& destination, const std::atomic<bool>* interrupt,
                               std::size_t prompt = whole);

  struct Checkpoint {
    Tokens tokens;  // all that lead to it
    CheckpointKind kind = CheckpointKind::regular;
    StateSnapshot state;
    std::vector<float> hidden;
    std::vector<float> logits;
    std::uint64_t differences = 0;  // PrefixCache::differences() before any of it was computed
    // Saves that span; empty: interrupted.
    std::function<StateSnapshot(std::int64_t begin, std::int64_t end,
                                const std::atomic<bool>* interrupt)>
        kv;
    std::int64_t decoded_from = 0;  // as PrefixRecord's
  };
  // Keeps it, as far as the budget allows. False: interrupted, and it is not kept.
  bool add(const Checkpoint& checkpoint, const std::atomic<bool>* interrupt = nullptr);

  // Writes what is worth it of the checkpoints of these tokens. The last `computed` tokens were
  // computed one after another, in one go.
  void persist(Tokens tokens, std::size_t computed);
  // Whether a checkpoint at the end of these tokens is worth a file because another process may
  // have to go on with the prompt that they begin.
  bool prompt_due(Tokens tokens);
  // Writes the checkpoint of these tokens, if there is one and it is due, and waits for the disk
  // until it is there, a second at most. False: interrupted; nothing is lost.
  bool secure(Tokens tokens, const std::atomic<bool>* interrupt);
  // Whether a checkpoint of an answer is worth it that was decoded behind the first `prompt` of the
  // tokens, and of which `seconds` of decoding have none yet.
  bool answer_due(Tokens tokens, std::size_t prompt, double seconds);
  // Keeps one and writes it; of the same answer only the one before it stays: what is known to have
  // been written may be a few tokens behind the last. False: interrupted, and it is not kept.
  bool add_answer(const Checkpoint& checkpoint, const std::atomic<bool>* interrupt);
  // The answer has ended: nobody goes on inside it any more.
  void drop_answer(Tokens tokens, std::size_t prompt);
  // Prefill ran so many tokens in so much time.
  void measured(std::size_t tokens, double seconds);

  // How often the weights turned out not to be what they were: what was computed before the last
  // time is of no use, and is dropped here.
  std::uint64_t differences() const;  // waits: see ExpertDigests

  // Nothing is kept any more, of other checkpoints neither; waits for the disk.
  void forget_all();

  // How many of the wanted states a chunk may take. Their memory counts until it is released.
  std::size_t reserve_states(std::size_t wanted);
  void release_states(std::size_t count);

  PrefixStatistics statistics() const;
  void flush();  // waits until the disk has what it was given

 private:
  using File = PrefixNode::File;

  // cache.cpp
  PrefixNode* best(Tokens tokens, std::size_t prompt) const;
  PrefixNode* node_at(Tokens tokens) const;
  void use(PrefixNode& node);
  std::uint64_t id_of(Tokens tokens) const;
  void drop_outdated();
  PrefixNode& link(PrefixNode& parent, PrefixPlace place, std::vector<TokenId> tokens);
  void publish();

  // restore.cpp: on the way to a session
  struct Source;
  Progress load(PrefixNode& node, std::int64_t kv_from, const Destination& destination,
                const std::atomic<bool>* interrupt, Restored& restored);
  bool fetch(std::vector<Source>& sources, const StateRestore& restore,
             const std::atomic<bool>* interrupt);
  bool forget_failed(const std::vector<Source>& sources);
  void keep_read(const std::vector<Source>& sources);

  // evict.cpp: what is in RAM
  void set_kv(PrefixNode& node, StateSnapshot kv);
  void set_state(PrefixNode& node, StateSnapshot state, std::vector<float> hidden,
                 std::vector<float> logits);
  void drop_kv(PrefixNode& node);
  void drop_state(PrefixNode& node);
  void drop_unneeded(PrefixNode& node);
  void unlink(PrefixNode& node);
  bool make_room(std::uint64_t bytes);
  bool fits(std::uint64_t bytes) const;
  bool evict_one(bool readable = false);

  // persist.cpp: what is on disk
  static std::uint64_t file_bytes(const PrefixNode& node, bool with_state);
  void load_index(PrefixDisk::Contents contents);
  bool affordable(double seconds, std::int64_t from, Tokens tokens) const;
  std::unordered_set<std::uint64_t> choose_written(const std::vector<std::uint64_t>& wanted) const;
  bool enqueue(PrefixNode& node, bool with_state);
  bool make_disk_room(std::uint64_t bytes, const PrefixNode& standing_on);
  void drop_file(PrefixNode& node);
  void forget(PrefixNode& node, bool files_too);
  void collect_written();

  // answers.cpp: inside answers that are being written
  std::vector<PrefixNode*> inside_answer(Tokens tokens, std::size_t prompt) const;
  bool write_with_ancestors(PrefixNode& node);
  void drop_inside(PrefixNode& node);

  const PrefixOptions options_;
  const PrefixLayout layout_;
  const std::uint64_t fingerprint_;
  std::unique_ptr<PrefixNode> root_;
  std::unordered_map<std::uint64_t, PrefixNode*> by_id_;
  std::int64_t now_ = 0;           // of PrefixNode::used
  std::uint64_t differences_ = 0;  // that were heeded

  std::uint64_t ram_bytes_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  double inflation_ = 0;  // see evict_one

  std::unique_ptr<PrefixDisk> disk_;  // null: none
  std::vector<PrefixDisk::StaleFile> stale_;
  std::uint64_t disk_bytes_ = 0;
  double seconds_per_token_ = 0;

  mutable Mutex statistics_mutex_;
  PrefixStatistics statistics_ HEARTH_GUARDED_BY(statistics_mutex_);
};

}  // namespace hearth::engine
