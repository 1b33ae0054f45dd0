// What a prefix checkpoint holds, as bytes in host memory that nobody changes any more, and how a
// model's state is divided into them. Knows neither the tree of checkpoints nor files.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/forward/state.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Page-aligned host memory of undefined content, taken from the system and given back to it whole,
// so that what a budget says is what the process has.
class HostBlock {
 public:
  explicit HostBlock(std::size_t bytes);  // std::bad_alloc where there is none
  ~HostBlock();
  HostBlock(const HostBlock&) = delete;
  HostBlock& operator=(const HostBlock&) = delete;
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Parts of host memory that live and die together. A copy shares them; any thread may read.
class StateSnapshot {
 public:
  StateSnapshot() = default;
  StateSnapshot(std::shared_ptr<const void> owner, std::vector<std::span<const std::byte>> parts);
  explicit operator bool() const { return owner_ != nullptr; }
  std::span<const std::span<const std::byte>> parts() const { return parts_; }
  std::size_t bytes() const;

 private:
  std::shared_ptr<const void> owner_;  // not null even where all parts are empty
  std::vector<std::span<const std::byte>> parts_;
};

// The first bytes of a block, divided into parts of these sizes.
StateSnapshot split_block(std::shared_ptr<HostBlock> block, std::span<const std::size_t> sizes);

// Shapes of one model's state.
struct PrefixLayout {
  std::size_t caches = 0;     // KV caches, one per full-attention layer, then the MTP head's
  bool mtp = false;           // whether the last cache is the MTP head's
  std::size_t row_bytes = 0;  // keys, or values, of one position in one cache
  std::vector<std::size_t> state_parts;  // bytes: delta and conv of each linear layer, in turn
  std::size_t hidden = 0;                // values
  std::size_t vocab = 0;                 // values

  static PrefixLayout of(const ModelConfig& config, KvType kv, bool mtp);

  // The rows of a cache that tokens [begin, end) fill. Those of the MTP head are one behind: its
  // row p needs the token at p + 1.
  struct RowRange {
    std::int64_t first = 0;
    std::int64_t count = 0;
  };
  RowRange rows(std::size_t cache, std::int64_t begin, std::int64_t end) const;
  // Bytes of keys and values of each cache, in turn.
  std::vector<std::size_t> kv_parts(std::int64_t begin, std::int64_t end) const;
  std::size_t state_bytes() const;
};

// Whether somebody waits; null: nobody can.
bool is_set(const std::atomic<bool>* interrupt);
// How many threads copy so many bytes: much of the time goes into the first touch of memory, which
// they share.
std::size_t copying_threads(std::size_t bytes);

// The KV of tokens [begin, end) out of a session's caches; empty: interrupted.
StateSnapshot save_kv(const StateHomes& homes, const PrefixLayout& layout,
                      std::span<const kernels::KvCache> caches, std::int64_t begin,
                      std::int64_t end, const std::atomic<bool>* interrupt);
// Takes the state over if it is in host memory, else copies it there.
StateSnapshot save_state(const StateHomes& homes, RecurrentState state);
// A copy in host memory.
StateSnapshot copy_state(const StateHomes& homes, const RecurrentState& state);

// Where in a session's buffers the parts of a snapshot go, so that they can be copied as they
// come, in any order and by several threads.
class StateRestore {
 public:
  StateRestore() = default;  // they go nowhere
  explicit StateRestore(const StateHomes& homes) : homes_(&homes) {}

  // `snapshot` holds the KV of tokens [begin, …); that of [from, to) is restored; the
  // caches have room.
  void kv(const PrefixLayout& layout, const StateSnapshot& snapshot, std::int64_t begin,
          std::int64_t from, std::int64_t to, std::span<const kernels::KvCache> caches);
  // Into buffers of the same shapes.
  void state(const StateSnapshot& snapshot, const RecurrentState& state);
  // Call after the last kv() or state().
  void sort();

  // Copies what is wanted of a part that is there. From any threads. False: interrupted.
  bool copy(std::span<const std::byte> part, const std::atomic<bool>* interrupt) const;
  // After all parts: those that do not go to host memory. No buffer moved since they were named.
  void finish() const;

 private:
  struct Piece {
    kernels::Backend* backend = nullptr;
    const kernels::Buffer* buffer = nullptr;
    std::size_t offset = 0;
    std::span<const std::byte> from;
    std::span<std::byte> to;  // the same place in host memory; empty: it is not there
  };
  void add(kernels::Backend& backend, const kernels::Buffer& to, std::size_t offset,
           std::span<const std::byte> from);

  const StateHomes* homes_ = nullptr;
  std::vector<Piece> pieces_;  // sorted by where they come from
};

}  // namespace hearth::engine
