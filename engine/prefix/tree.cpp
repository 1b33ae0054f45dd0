// Matches prompts against the nodes of the tree.
#include "engine/prefix/tree.hpp"

#include <algorithm>

namespace hearth::engine {

PrefixSearch search(PrefixNode& root, std::span<const TokenId> tokens) {
  PrefixSearch found{&root, 0, {}};
  std::vector<PrefixStep> open{{&root, 0}};
  while (!open.empty()) {
    const PrefixStep step = open.back();
    open.pop_back();
    // Strictly further: a node that adds nothing to its parent is nothing to stand on.
    if (step.to > found.matched) {
      found.deepest = step.node;
      found.matched = step.to;
    }
    if (step.node != &root && step.to == step.node->place.end) found.whole.push_back(step.node);
    for (const auto& child : step.node->children) {
      if (child->place.begin > step.to) continue;
      const auto begin = static_cast<std::size_t>(child->place.begin);
      const std::span<const TokenId> rest = tokens.subspan(begin);
      const auto common = std::ranges::mismatch(child->tokens, rest).in1 - child->tokens.begin();
      open.push_back({child.get(), child->place.begin + common});
    }
  }
  std::ranges::sort(found.whole, {}, [](const PrefixNode* node) { return node->place.end; });
  return found;
}

std::vector<PrefixStep> path_to(PrefixNode& node) {
  std::vector<PrefixStep> path;
  std::int64_t to = node.place.end;
  for (PrefixNode* at = &node; at->parent != nullptr; at = at->parent) {
    path.push_back({at, to});
    to = std::min(to, at->place.begin);
  }
  std::ranges::reverse(path);
  return path;
}

std::vector<PrefixNode*> all_nodes(PrefixNode& root) {
  std::vector<PrefixNode*> nodes{&root};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const auto& child : nodes[i]->children) nodes.push_back(child.get());
  }
  nodes.erase(nodes.begin());
  return nodes;
}

}  // namespace hearth::engine
