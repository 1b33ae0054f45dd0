// What the PrefixCache holds in RAM, and what goes when its budget is reached.
#include <algorithm>
#include <limits>
#include <utility>

#include "engine/prefix/cache.hpp"

namespace hearth::engine {

namespace {

// A pass over few tokens still reads many experts: as much as for about so many more tokens.
constexpr double pass_tokens = 128;
// How much likelier than at a regular distance a prompt comes back here.
double weight(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::boundary:
    case CheckpointKind::end:
    case CheckpointKind::answer:
      return 4;
    case CheckpointKind::before_end:
      return 2;
    case CheckpointKind::regular:
    case CheckpointKind::typed:
      return 1;
  }
  return 1;
}
constexpr double on_disk_share = 1.0 / 8;  // of the cost, where it can be read back

std::uint64_t output_bytes(const PrefixNode& node) {
  return (node.hidden.size() + node.logits.size()) * sizeof(float);
}

std::uint64_t kv_bytes(const PrefixNode& node) {
  return node.kv.bytes() + node.tokens.size() * sizeof(TokenId);
}

// What a state saves counts half where a prompt that parts there computes so many tokens anyway.
constexpr double usual_rest = 1024;

// Tokens to be computed again without this node's state. At a regular distance they are weighed
// against those that a prompt that parts here computes anyway: what stays of a long prompt gets
// denser towards its end.
double cost(const PrefixNode& node) {
  std::int64_t before = 0;
  std::int64_t to = node.place.begin;
  for (const PrefixNode* at = node.parent; at->parent != nullptr; at = at->parent) {
    if (at->place.end <= to && at->has_state()) {
      before = at->place.end;
      break;
    }
    to = std::min(to, at->place.begin);
  }
  double tokens = static_cast<double>(node.place.end - before) + pass_tokens;
  if (node.kind == CheckpointKind::regular)
    tokens /= 1 + static_cast<double>(node.reach - node.place.end) / usual_rest;
  const bool readable = node.on_disk() && node.file_has_state;
  return tokens * weight(node.kind) * (readable ? on_disk_share : 1.0);
}

}  // namespace

void PrefixCache::set_kv(PrefixNode& node, StateSnapshot kv) {
  drop_kv(node);
  node.kv = std::move(kv);
  ram_bytes_ += kv_bytes(node);
}

void PrefixCache::drop_kv(PrefixNode& node) {
  if (!node.kv) return;
  ram_bytes_ -= kv_bytes(node);
  node.kv = {};
}

void PrefixCache::set_state(PrefixNode& node, StateSnapshot state, std::vector<float> hidden,
                            std::vector<float> logits) {
  if (node.state) {
    ram_bytes_ -= node.state.bytes() + output_bytes(node);
  } else {
    for (PrefixNode* at = &node; at != nullptr; at = at->parent) ++at->states_held;
  }
  node.state = std::move(state);
  node.hidden = std::move(hidden);
  node.logits = std::move(logits);
  ram_bytes_ += node.state.bytes() + output_bytes(node);
}

void PrefixCache::drop_state(PrefixNode& node) {
  if (!node.state) return;
  ram_bytes_ -= node.state.bytes() + output_bytes(node);
  node.state = {};
  node.hidden = {};
  node.logits = {};
  for (PrefixNode* at = &node; at != nullptr; at = at->parent) --at->states_held;
}

// From the node down to the root: KV that no state in RAM needs, and nodes that hold nothing.
void PrefixCache::drop_unneeded(PrefixNode& node) {
  PrefixNode* at = &node;
  while (at->parent != nullptr && at->states_held == 0 && at->file != File::queued) {
    PrefixNode* const parent = at->parent;
    if (at->on_disk()) {
      drop_kv(*at);
    } else if (at->children.empty()) {
      unlink(*at);
    } else {
      return;
    }
    at = parent;
  }
}

// Takes a node without descendants and state out of the tree.
void PrefixCache::unlink(PrefixNode& node) {
  drop_kv(node);
  by_id_.erase(node.place.id);
  std::erase_if(node.parent->children, [&](const auto& child) { return child.get() == &node; });
}

bool PrefixCache::fits(std::uint64_t bytes) const {
  return ram_bytes_ + reserved_bytes_ + bytes <= options_.ram_bytes;
}

bool PrefixCache::make_room(std::uint64_t bytes) {
  if (bytes > options_.ram_bytes) return false;
  while (!fits(bytes)) {
    if (!evict_one()) return false;
  }
  return true;
}

// GreedyDual (Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms", 1997): a state is worth
// what it costs to compute per byte that its end frees, plus the inflation at the time of its last
// use. The least one goes, and its worth becomes the inflation: so the unused age. `readable`: only
// one that the disk has, too.
bool PrefixCache::evict_one(bool readable) {
  const std::vector<PrefixNode*> nodes = all_nodes(*root_);
  for (PrefixNode* node : nodes) node->reach = node->place.end;
  for (auto at = nodes.rbegin(); at != nodes.rend(); ++at) {
    PrefixNode& below = *(*at)->parent;
    if ((*at)->place.begin >= below.place.end) below.reach = std::max(below.reach, (*at)->reach);
  }
  PrefixNode* lowest = nullptr;
  double least_worth = std::numeric_limits<double>::infinity();
  for (PrefixNode* node : nodes) {
    if (!node->state || node->file == File::queued) continue;
    if (readable && !(node->on_disk() && node->file_has_state)) continue;
    std::uint64_t bytes = node->state.bytes() + output_bytes(*node) + 1;
    if (node->states_held == 1) bytes += kv_bytes(*node);
    const double worth = node->credit + cost(*node) / static_cast<double>(bytes);
    if (worth >= least_worth) continue;
    lowest = node;
    least_worth = worth;
  }
  if (lowest == nullptr) return false;
  inflation_ = least_worth;
  drop_state(*lowest);
  drop_unneeded(*lowest);
  return true;
}

}  // namespace hearth::engine
