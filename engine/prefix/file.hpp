// One prefix checkpoint as a file: a header that binds it to a checkpoint, its numerics and its
// place in the tree, then sections of tokens, KV, output and state, each padded to whole pages and
// checksummed. Files are untrusted: whatever does not fit is an Error that names the file.
//
//   page 0     header (its last 8 bytes: the checksum of those before)
//   tokens     i32 [end - begin]
//   KV         keys, values of each cache for those tokens (PrefixLayout::kv_parts)
//   output     f32 hidden [hidden], logits [vocab]; either may be absent, hidden only with state
//   state      delta, conv of each linear layer (PrefixLayout::state_parts)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "engine/prefix/data.hpp"
#include "engine/support/atomic_file.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {

class PrefixInput;  // engine/prefix/file.cpp: a file whose header was checked

// The position of a node in the tree: its own tokens are [begin, end) of the sequence; those before
// are the first `begin` of its parent's.
struct PrefixPlace {
  std::uint64_t id = 0;      // chained hash of fingerprint and tokens [0, end)
  std::uint64_t parent = 0;  // its id
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// The file is cut short, changed, or not what its name says, and cannot be used.
class CorruptCheckpoint : public Error {
 public:
  using Error::Error;
};

struct PrefixRecord {
  PrefixPlace place;
  std::vector<TokenId> tokens;  // [begin, end)
  StateSnapshot kv;
  StateSnapshot state;  // empty: the node only carries KV for those behind it
  std::vector<float> hidden;
  std::vector<float> logits;
  // All tokens behind these were decoded, and so is their KV, which is in [begin, end). 0: prefill
  // read the last ones, or nobody knows.
  std::int64_t decoded_from = 0;
};

// What the first pages say.
struct PrefixHead {
  PrefixPlace place;
  std::vector<TokenId> tokens;
  bool has_state = false;
  bool has_logits = false;
  std::uint64_t bytes = 0;        // of the file
  std::int64_t decoded_from = 0;  // as PrefixRecord's
};

// What a node's file takes on disk.
std::uint64_t prefix_file_bytes(const PrefixRecord& record);

// Writes beside, syncs, renames, syncs the directory. On an Error nothing is left behind.
void write_prefix_file(const std::filesystem::path& path, std::uint64_t fingerprint,
                       const PrefixRecord& record, const WriteFunction& write);

// Another file of the same directory, written like them.
void write_whole_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const WriteFunction& write);

// Whether it was written by an earlier version, whose files are of no use any more.
bool is_old_prefix_file(const std::filesystem::path& path);

// Throws CorruptCheckpoint, or Error where the file cannot be opened or read.
PrefixHead read_prefix_head(const std::filesystem::path& path, std::uint64_t fingerprint,
                            const PrefixLayout& layout);

struct RequestedParts {
  bool kv = false;
  bool state = false;  // with the output
};

// A node's file on its way into memory, in pieces, so that the disk always has several to read
// while others are checked: at the disk's speed, and without leaving pages in the cache where the
// file system allows that.
//
// Threading: read() from any threads at once, each piece once; the rest from one.
class PrefixReading {
 public:
  // A part of the KV or of the state, whole in memory.
  using Arrived = std::function<void(std::span<const std::byte> part)>;

  // Opens the file, looks at its header and takes memory, which is not filled yet. Throws as
  // read_prefix_head does.
  PrefixReading(const std::filesystem::path& path, std::uint64_t fingerprint,
                const PrefixLayout& layout, const PrefixPlace& expected, RequestedParts requested);
  ~PrefixReading();

  // The destination of the KV and the state.
  const PrefixRecord& record() const { return record_; }
  std::size_t pieces() const { return pieces_.size(); }
  // Calls `arrived` for the parts that the piece was the last of. They are only to be believed once
  // finish() has returned.
  void read(std::size_t piece, const Arrived& arrived);
  // After all pieces. Throws CorruptCheckpoint where a checksum is wrong, else the output is there,
  // too.
  void finish();

 private:
  struct Section;
  struct Piece {
    Section* section = nullptr;
    std::size_t offset = 0;  // in the section
  };
  StateSnapshot want(std::size_t section, std::span<const std::size_t> parts);

  std::unique_ptr<const PrefixInput> input_;
  PrefixRecord record_;
  std::vector<std::unique_ptr<Section>> sections_;
  std::vector<Piece> pieces_;
};

}  // namespace hearth::engine
