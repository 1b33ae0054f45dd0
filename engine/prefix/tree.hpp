// The nodes of the PrefixCache's tree, and how a prompt is matched against them. Owns no policy.
//
// A node is a span of tokens with its KV, and what the layers had become at its end: the
// recurrent state, the final-norm hidden, sometimes logits. It branches off its parent, at the
// parent's end or anywhere within its span (where two prompts part), and needs the KV up to
// there only. A node without a state carries KV for those that stand on it. A node never changes
// its span; what it holds in RAM, and whether it has a file, does change.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/prefix/file.hpp"

namespace hearth::engine {

// Why a state was taken; what it is worth follows from that.
enum class CheckpointKind : std::uint8_t {
  regular,     // at a multiple of the regular distance
  boundary,    // at a boundary that the prompt names
  before_end,  // some tokens before a prompt's end: typing changes what is behind
  end,         // after a whole prompt
  typed,       // the same, but few tokens differ from one before it
  answer,      // inside an answer that is being written
};

struct PrefixNode {
  PrefixNode* parent = nullptr;
  std::vector<std::unique_ptr<PrefixNode>> children;
  PrefixPlace place;
  std::vector<TokenId> tokens;  // [place.begin, place.end)
  CheckpointKind kind = CheckpointKind::regular;
  std::int64_t decoded_from = 0;  // as PrefixRecord's
  std::int64_t used = 0;          // ns since 1970

  // In RAM; each may be missing.
  StateSnapshot kv;
  StateSnapshot state;
  std::vector<float> hidden;
  std::vector<float> logits;
  std::size_t states_held = 0;  // states in RAM, of this node and all that stand on it
  double credit = 0;            // see PrefixCache::evict_one
  std::int64_t reach = 0;       // end of the longest node on its end; see there, too

  // On disk. A queued node keeps what it holds in RAM.
  enum class File : std::uint8_t { none, queued, written } file = File::none;
  bool file_has_state = false;
  bool file_has_logits = false;
  std::uint64_t file_bytes = 0;
  std::int64_t touched = 0;  // when the file was last told that it is used

  bool on_disk() const { return file == File::written; }
  bool has_state() const { return static_cast<bool>(state) || (on_disk() && file_has_state); }
  bool has_logits() const { return state ? !logits.empty() : on_disk() && file_has_logits; }
};

struct PrefixSearch {
  PrefixNode* deepest = nullptr;   // the node that matches furthest …
  std::int64_t matched = 0;        // … and how far
  std::vector<PrefixNode*> whole;  // nodes that match to their end, by rising end
};
PrefixSearch search(PrefixNode& root, std::span<const TokenId> tokens);

// The nodes whose KV makes up a node's, from the first, each with where the next one branches off.
struct PrefixStep {
  PrefixNode* node = nullptr;
  std::int64_t to = 0;  // its KV counts from place.begin up to here
};
std::vector<PrefixStep> path_to(PrefixNode& node);

// All nodes but the root, parents before children.
std::vector<PrefixNode*> all_nodes(PrefixNode& root);

}  // namespace hearth::engine
