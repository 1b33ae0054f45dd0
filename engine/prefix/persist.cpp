// What the PrefixCache has on disk: which checkpoints are worth a file, which file has to go.
#include <algorithm>
#include <limits>
#include <new>
#include <tuple>
#include <utility>

#include "engine/prefix/cache.hpp"
#include "engine/prefix/positions.hpp"

namespace hearth::engine {

namespace {

void note(const PrefixOptions& options, const std::string& text) {
  if (options.note) options.note(text);
}

PrefixRecord record_of(const PrefixNode& node, bool with_state) {
  PrefixRecord record;
  record.place = node.place;
  record.tokens = node.tokens;
  record.kv = node.kv;
  record.decoded_from = node.decoded_from;
  if (with_state) {
    record.state = node.state;
    record.hidden = node.hidden;
    record.logits = node.logits;
  }
  return record;
}

bool stands_on(const PrefixNode& node, const PrefixNode& below) {
  for (const PrefixNode* at = &node; at != nullptr; at = at->parent) {
    if (at == &below) return true;
  }
  return false;
}

}  // namespace

std::uint64_t PrefixCache::file_bytes(const PrefixNode& node, bool with_state) {
  return prefix_file_bytes(record_of(node, with_state));
}

// Puts found files into the tree. What lacks its parent, or is not what its name
// says, is removed.
void PrefixCache::load_index(PrefixDisk::Contents contents) {
  stale_ = std::move(contents.stale);
  for (const PrefixDisk::StaleFile& file : stale_) disk_bytes_ += file.bytes;

  std::unordered_multimap<std::uint64_t, PrefixDisk::Found*> by_parent;
  for (PrefixDisk::Found& found : contents.nodes)
    by_parent.emplace(found.head.place.parent, &found);
  std::size_t orphans = contents.nodes.size();
  std::vector<std::pair<PrefixNode*, std::vector<TokenId>>> open;  // nodes and all their tokens
  open.emplace_back(root_.get(), std::vector<TokenId>{});
  while (!open.empty()) {
    auto [parent, tokens] = std::move(open.back());
    open.pop_back();
    const auto [first, last] = by_parent.equal_range(parent->place.id);
    for (auto at = first; at != last; ++at) {
      PrefixHead& head = at->second->head;
      const PrefixPlace& place = head.place;
      if (place.begin < parent->place.begin || place.begin > parent->place.end) continue;
      std::vector<TokenId> all(tokens.begin(), tokens.begin() + place.begin);
      all.insert(all.end(), head.tokens.begin(), head.tokens.end());
      if (id_of(all) != place.id || by_id_.contains(place.id)) continue;
      PrefixNode& node = link(*parent, place, std::move(head.tokens));
      node.used = node.touched = at->second->used;
      node.decoded_from = head.decoded_from;
      if (node.decoded_from > 0) node.kind = CheckpointKind::answer;
      node.file = File::written;
      node.file_has_state = head.has_state;
      node.file_has_logits = head.has_logits;
      node.file_bytes = head.bytes;
      disk_bytes_ += head.bytes;
      now_ = std::max(now_, node.used);
      --orphans;
      open.emplace_back(&node, std::move(all));
    }
  }
  if (orphans > 0) {
    note(options_,
         std::to_string(orphans) + " files of prefix checkpoints lack what they stand on; removed");
    for (const PrefixDisk::Found& found : contents.nodes) {
      if (!by_id_.contains(found.head.place.id)) disk_->remove(found.head.place.id);
    }
  }
  make_disk_room(0, *root_);  // the budget may be a smaller one than the last time
}

// A state is worth a file when computing it again, from the nearest one that has a file, takes
// some seconds. Where a person named a boundary, or a whole prompt that took as long ends, it is
// enough that the computation as a whole did.
void PrefixCache::persist(Tokens tokens, std::size_t computed) {
  if (!disk_) return;
  collect_written();
  drop_outdated();
  const auto seconds = [&](std::int64_t count) {
    return static_cast<double>(count) * seconds_per_token_;
  };
  // Not for a keystroke, however slow the machine.
  const bool took_long = computed >= keystroke_tokens &&
                         seconds(static_cast<std::int64_t>(computed)) >= options_.disk_min_seconds;
  if (!took_long) return;

  std::vector<std::uint64_t> wanted;
  std::int64_t last = 0;  // the last position that the disk has a state of
  for (const PrefixNode* node : search(*root_, tokens).whole) {
    const std::int64_t end = node->place.end;
    const std::int64_t behind = end - last;
    bool worth = false;
    if (node->file != File::none) {
      if (node->file_has_state) last = end;
    } else if (end == static_cast<std::int64_t>(tokens.size()) &&
               node->kind == CheckpointKind::end) {
      worth = true;
    } else if (node->kind == CheckpointKind::boundary) {
      worth = behind >= static_cast<std::int64_t>(keystroke_tokens);
    } else if (node->kind == CheckpointKind::regular || node->kind == CheckpointKind::end) {
      worth = seconds(behind) >= options_.disk_min_seconds;
    }
    if (!worth || !node->state) continue;
    wanted.push_back(node->place.id);
    last = end;
  }
  const std::unordered_set<std::uint64_t> chosen = choose_written(wanted);
  for (const std::uint64_t id : wanted) {
    const auto at = by_id_.find(id);  // making room on disk may have taken it away
    if (at == by_id_.end() || !chosen.contains(id)) continue;
    // Its ancestors first, for their KV.
    for (const PrefixStep& step : path_to(*at->second)) {
      if (step.node->file != File::none) continue;
      if (!enqueue(*step.node, chosen.contains(step.node->place.id))) return publish();
    }
  }
  publish();
}

// Chooses what the queue has room for among what is worth a file: the end of the prompt first, then
// boundaries, then the others from the last on.
std::unordered_set<std::uint64_t> PrefixCache::choose_written(
    const std::vector<std::uint64_t>& wanted) const {
  const auto rank = [](const PrefixNode* node) {
    const bool regular = node->kind == CheckpointKind::regular;
    return std::tuple(node->kind != CheckpointKind::end, regular, -node->place.end);
  };
  std::vector<PrefixNode*> nodes;
  nodes.reserve(wanted.size());
  for (const std::uint64_t id : wanted) nodes.push_back(by_id_.at(id));
  std::ranges::sort(nodes, {}, rank);

  std::unordered_set<std::uint64_t> chosen;
  std::unordered_set<const PrefixNode*> carried;  // those whose KV is written
  std::uint64_t room = disk_->room();
  for (PrefixNode* node : nodes) {
    std::uint64_t bytes = file_bytes(*node, true) - file_bytes(*node, false);
    std::vector<const PrefixNode*> more;
    for (const PrefixStep& step : path_to(*node)) {
      if (step.node->file != File::none || carried.contains(step.node)) continue;
      more.push_back(step.node);
      bytes += file_bytes(*step.node, false);
    }
    if (bytes > room) continue;
    room -= bytes;
    carried.insert(more.begin(), more.end());
    chosen.insert(node->place.id);
  }
  return chosen;
}

bool PrefixCache::enqueue(PrefixNode& node, bool with_state) {
  PrefixRecord record = record_of(node, with_state);
  const std::uint64_t bytes = prefix_file_bytes(record);
  if (!make_disk_room(bytes, node) || !disk_->write(std::move(record))) return false;
  node.file = File::queued;
  node.file_has_state = with_state;
  node.file_has_logits = with_state && !node.logits.empty();
  node.file_bytes = bytes;
  disk_bytes_ += bytes;
  return true;
}

// Removes the files used longest ago without descendants on disk, but none that `standing_on`
// needs.
bool PrefixCache::make_disk_room(std::uint64_t bytes, const PrefixNode& standing_on) {
  while (disk_bytes_ + bytes > options_.disk_bytes) {
    PrefixNode* oldest = nullptr;
    for (PrefixNode* node : all_nodes(*root_)) {
      const bool needed = std::ranges::any_of(
          node->children, [](const auto& child) { return child->file != File::none; });
      if (!node->on_disk() || needed || stands_on(standing_on, *node)) continue;
      if (oldest == nullptr || node->used < oldest->used) oldest = node;
    }
    const auto stale = std::ranges::min_element(stale_, {}, &PrefixDisk::StaleFile::used);
    const bool has_stale = stale != stale_.end();
    if (has_stale && (oldest == nullptr || stale->used < oldest->used)) {
      disk_->remove(*stale);
      disk_bytes_ -= stale->bytes;
      stale_.erase(stale);
    } else if (oldest != nullptr) {
      drop_file(*oldest);
    } else {
      return false;
    }
  }
  return true;
}

void PrefixCache::drop_file(PrefixNode& node) {
  if (!node.kv) return forget(node, true);  // its descendants in RAM need it
  disk_->remove(node.place.id);
  disk_bytes_ -= node.file_bytes;
  node.file = File::none;
  node.file_has_state = false;
  node.file_has_logits = false;
  drop_unneeded(node);
}

// With all its descendants.
void PrefixCache::forget(PrefixNode& node, bool files_too) {
  PrefixNode& parent = *node.parent;
  std::vector<PrefixNode*> gone = all_nodes(node);
  gone.insert(gone.begin(), &node);
  for (auto at = gone.rbegin(); at != gone.rend(); ++at) {  // children first
    PrefixNode& each = **at;
    if (each.on_disk() && files_too) disk_->remove(each.place.id);
    drop_state(each);
    if (each.file != File::none) disk_bytes_ -= each.file_bytes;
    unlink(each);
  }
  drop_unneeded(parent);
}

void PrefixCache::collect_written() {
  if (!disk_) return;
  for (const PrefixDisk::Written& written : disk_->take_written()) {
    const auto at = by_id_.find(written.id);
    if (at == by_id_.end() || at->second->file != File::queued) {
      try {
        if (written.done) disk_->remove(written.id);  // forgotten meanwhile
      } catch (const std::bad_alloc&) {
        // It stays, and counts again after the next start.
      }
      continue;
    }
    PrefixNode& node = *at->second;
    node.touched = node.used;
    node.file = written.done ? File::written : File::none;
    if (!written.done) {
      disk_bytes_ -= node.file_bytes;
      node.file_has_state = false;
      node.file_has_logits = false;
    }
    drop_unneeded(node);
  }
}

}  // namespace hearth::engine
