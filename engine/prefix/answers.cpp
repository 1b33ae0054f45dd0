// Checkpoints inside answers that are being written, and inside their prompts, from which a process
// that starts again goes on: when one is due, what it may push out, and when it goes.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/prefix/cache.hpp"
#include "engine/prefix/positions.hpp"

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

// Whether the bytes of a checkpoint, with the KV of the tokens behind `from`, may be written for so
// many seconds of computation. Half of a day's bytes are those of persist(). The less is left of
// the other half, the rarer these get, so that they never end.
bool PrefixCache::affordable(double seconds, std::int64_t from, Tokens tokens) const {
  const double all = static_cast<double>(options_.daily_bytes) / 2;
  const double left = all - static_cast<double>(disk_->written_today());
  if (left <= 0) return false;
  std::uint64_t bytes = layout_.state_bytes() + layout_.hidden * sizeof(float);
  for (const std::size_t part : layout_.kv_parts(from, static_cast<std::int64_t>(tokens.size())))
    bytes += part;
  return static_cast<double>(bytes) <=
         seconds * static_cast<double>(options_.answer_bytes) * left / all;
}

bool PrefixCache::prompt_due(Tokens tokens) {
  if (!disk_ || options_.answer_seconds <= 0) return false;
  collect_written();
  std::int64_t last = 0;  // the last position that the disk has, or will have, a state of
  for (const PrefixNode* node : search(*root_, tokens).whole)
    if (node->file != File::none && node->file_has_state) last = node->place.end;
  const std::int64_t behind = static_cast<std::int64_t>(tokens.size()) - last;
  if (behind < static_cast<std::int64_t>(keystroke_tokens)) return false;
  const double seconds = static_cast<double>(behind) * seconds_per_token_;
  return seconds >= std::min(options_.answer_seconds, options_.disk_min_seconds) &&
         affordable(seconds, last, tokens);
}

bool PrefixCache::secure(Tokens tokens, const std::atomic<bool>* interrupt) {
  constexpr std::chrono::seconds max_wait{1};
  if (!disk_) return true;
  drop_outdated();
  const bool due = prompt_due(tokens);
  PrefixNode* node = node_at(tokens);
  if (node == nullptr) return true;
  if (due && node->file == File::none && node->state) write_with_ancestors(*node);
  if (node->file == File::queued && !disk_->wait(max_wait, interrupt)) return false;
  collect_written();
  publish();
  return true;
}

bool PrefixCache::answer_due(Tokens tokens, std::size_t prompt, double seconds) {
  if (!disk_ || options_.answer_seconds <= 0 || seconds < options_.answer_seconds) return false;
  collect_written();
  const std::vector<PrefixNode*> inside = inside_answer(tokens, prompt);
  const bool waits = std::ranges::any_of(
      inside, [](const PrefixNode* node) { return node->file == File::queued; });
  if (waits) return false;
  return affordable(seconds, static_cast<std::int64_t>(prompt), tokens);
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
  if (kept && node->file == File::none && !write_with_ancestors(*node)) drop_inside(*node);

  written = inside_answer(checkpoint.tokens, prompt);
  std::erase_if(written, [](const PrefixNode* each) { return !each->on_disk(); });
  if (!written.empty()) written.pop_back();
  for (PrefixNode* each : written) drop_inside(*each);
  publish();
  return true;
}

// False: there is no room for its file.
bool PrefixCache::write_with_ancestors(PrefixNode& node) {
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
