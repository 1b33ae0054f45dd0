// Checkpoints inside answers that are being written, from which a process that starts again goes
// on: when one is due, what it may push out, and when it goes.
#include <algorithm>
#include <utility>

#include "engine/prefix/cache.hpp"

namespace hearth::engine {

// What was decoded behind this prompt, by rising end.
std::vector<PrefixNode*> PrefixCache::inside_answer(Tokens tokens, std::size_t prompt) const {
  std::vector<PrefixNode*> inside = search(*root_, tokens).whole;
  std::erase_if(inside, [&](const PrefixNode* node) {
    return node->kind != CheckpointKind::answer ||
           static_cast<std::size_t>(node->decoded_from) != prompt;
  });
  return inside;
}

// Half of a day's bytes are the prompts'. The less is left of the other half, the rarer these get,
// so that they never end.
bool PrefixCache::answer_due(Tokens tokens, std::size_t prompt, double seconds) {
  if (!disk_ || options_.answer_seconds <= 0 || seconds < options_.answer_seconds) return false;
  collect_written();
  const std::vector<PrefixNode*> inside = inside_answer(tokens, prompt);
  const bool waits = std::ranges::any_of(
      inside, [](const PrefixNode* node) { return node->file == File::queued; });
  if (waits) return false;
  const double all = static_cast<double>(options_.daily_bytes) / 2;
  const double left = all - static_cast<double>(disk_->written_today());
  if (left <= 0) return false;
  std::uint64_t bytes = layout_.state_bytes() + layout_.hidden * sizeof(float);
  const std::vector<std::size_t> kv =
      layout_.kv_parts(static_cast<std::int64_t>(prompt), static_cast<std::int64_t>(tokens.size()));
  for (const std::size_t part : kv) bytes += part;
  return static_cast<double>(bytes) <=
         seconds * static_cast<double>(options_.answer_bytes) * left / all;
}

bool PrefixCache::add_answer(const Checkpoint& checkpoint, const std::atomic<bool>* interrupt) {
  if (!disk_) return true;
  collect_written();
  const auto prompt = static_cast<std::size_t>(checkpoint.decoded_from);
  std::vector<PrefixNode*> written = inside_answer(checkpoint.tokens, prompt);
  std::erase_if(written, [](const PrefixNode* each) { return !each->on_disk(); });
  for (PrefixNode* each : written) {  // a file is all that they are for
    drop_state(*each);
    drop_unneeded(*each);
  }
  if (!add(checkpoint, interrupt)) return false;
  PrefixNode* const node = node_at(checkpoint.tokens);
  const bool kept = node != nullptr && node->state && node->kind == CheckpointKind::answer &&
                    static_cast<std::size_t>(node->decoded_from) == prompt;
  if (kept && node->file == File::none && !write_answer(*node)) drop_inside(*node);

  written = inside_answer(checkpoint.tokens, prompt);
  std::erase_if(written, [](const PrefixNode* each) { return !each->on_disk(); });
  if (!written.empty()) written.pop_back();
  for (PrefixNode* each : written) drop_inside(*each);
  publish();
  return true;
}

// False: there is no room for its file.
bool PrefixCache::write_answer(PrefixNode& node) {
  const std::vector<PrefixStep> path = path_to(node);
  std::uint64_t bytes = 0;
  for (const PrefixStep& step : path)
    if (step.node->file == File::none) bytes += file_bytes(*step.node, step.node == &node);
  const bool displaces = disk_bytes_ + bytes > options_.disk_bytes;
  if (bytes > disk_->room() || (displaces && answer_share * bytes > options_.disk_bytes))
    return false;
  for (const PrefixStep& step : path) {  // its ancestors first, for their KV
    if (step.node->file == File::none && !enqueue(*step.node, step.node == &node)) return false;
  }
  return true;
}

void PrefixCache::drop_answer(Tokens tokens, std::size_t prompt) {
  if (!disk_) return;
  collect_written();
  for (PrefixNode* node : inside_answer(tokens, prompt)) drop_inside(*node);
  publish();
}

// With the files that only carried KV for it; not where a prompt stands on it.
void PrefixCache::drop_inside(PrefixNode& node) {
  if (!node.children.empty()) return;
  std::vector<std::uint64_t> below;
  for (const PrefixStep& step : path_to(node)) below.push_back(step.node->place.id);
  forget(node, true);
  below.pop_back();
  while (!below.empty()) {
    const auto at = by_id_.find(below.back());
    below.pop_back();
    if (at == by_id_.end()) continue;
    PrefixNode& carrier = *at->second;
    const bool needed = !carrier.children.empty() || carrier.has_state() || carrier.file_has_state;
    if (needed || carrier.file == File::none) return;
    forget(carrier, true);
  }
}

}  // namespace hearth::engine
