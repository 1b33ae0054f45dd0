// PrefixCache: finds, adds and drops checkpoints.
#include "engine/prefix/cache.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/support/digest.hpp"

namespace hearth::engine {

namespace {

constexpr double newest_share = 0.3;  // of a new measurement in the running mean

std::uint64_t number_hash(std::uint64_t value, std::uint64_t hash) {
  return digest(std::as_bytes(std::span(&value, 1)), hash);
}

// The layout too: the same checkpoint without its MTP head has other sections.
std::uint64_t bound_to(std::uint64_t engine, const PrefixLayout& layout) {
  std::uint64_t hash = number_hash(engine, 0);
  for (const std::size_t value :
       {layout.caches, layout.row_bytes, layout.state_bytes(), layout.state_parts.size(),
        layout.hidden, layout.vocab, std::size_t{layout.mtp}}) {
    hash = number_hash(value, hash);
  }
  return hash;
}

std::int64_t nanoseconds_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

PrefixCache::PrefixCache(const PrefixOptions& options, PrefixLayout layout,
                         std::uint64_t fingerprint)
    : options_(options),
      layout_(std::move(layout)),
      fingerprint_(bound_to(fingerprint, layout_)),
      root_(std::make_unique<PrefixNode>()) {
  root_->place.id = id_of({});
  if (!options_.directory.empty()) {
    PrefixDiskOptions disk;
    disk.directory = options_.directory;
    disk.daily_bytes = options_.daily_bytes;
    // What waits to be written cannot be evicted: half is left for what is being computed.
    disk.queue_bytes = options_.ram_bytes / 2;
    disk.note = options_.note;
    disk.digests = options_.digests;
    disk.write = options_.write;
    disk.today = options_.today;
    PrefixDisk::Contents contents;
    disk_ = PrefixDisk::open(std::move(disk), layout_, fingerprint_, contents);
    load_index(std::move(contents));
  }
  publish();
}

PrefixCache::~PrefixCache() = default;

std::uint64_t PrefixCache::id_of(Tokens tokens) const {
  return digest(std::as_bytes(tokens), number_hash(fingerprint_, 0));
}

// The furthest node that a prompt can go on from; it needs logits where the prompt ends there.
PrefixNode* PrefixCache::best(Tokens tokens, std::size_t prompt) const {
  const PrefixSearch found = search(*root_, tokens);
  const auto all = static_cast<std::int64_t>(tokens.size());
  for (auto at = found.whole.rbegin(); at != found.whole.rend(); ++at) {
    PrefixNode* const node = *at;
    const bool inside_answer = static_cast<std::size_t>(node->place.end) > prompt;
    if (inside_answer && static_cast<std::size_t>(node->decoded_from) != prompt) continue;
    if (node->has_state() && (node->place.end < all || node->has_logits())) return node;
  }
  return nullptr;
}

PrefixNode* PrefixCache::node_at(Tokens tokens) const {
  const PrefixSearch found = search(*root_, tokens);
  const bool there = !found.whole.empty() &&
                     found.whole.back()->place.end == static_cast<std::int64_t>(tokens.size());
  return there ? found.whole.back() : nullptr;
}

std::uint64_t PrefixCache::differences() const {
  return options_.digests == nullptr ? 0 : options_.digests->differences();
}

// Before anything is taken or kept.
void PrefixCache::drop_outdated() {
  const std::uint64_t now = differences();
  if (now == differences_) return;
  differences_ = now;
  while (!root_->children.empty()) forget(*root_->children.back(), false);
  const auto dropped = [digests = options_.digests, now] { digests->dropped(now); };
  if (disk_) {
    disk_->remove_all(dropped);
  } else {
    dropped();
  }
  publish();
}

void PrefixCache::forget_all() {
  while (!root_->children.empty()) forget(*root_->children.back(), true);
  if (disk_) {
    for (const PrefixDisk::StaleFile& file : stale_) {
      disk_->remove(file);
      disk_bytes_ -= file.bytes;
    }
    stale_.clear();
    disk_->flush();
    collect_written();  // removes what was on its way
    disk_->flush();
  }
  publish();
}

std::size_t PrefixCache::find(Tokens tokens, std::size_t prompt) const {
  if (differences() != differences_) return 0;
  const PrefixNode* const node = best(tokens, prompt);
  return node == nullptr ? 0 : static_cast<std::size_t>(node->place.end);
}

// Whoever comes back to a prefix may come back to a shorter one of it.
void PrefixCache::use(PrefixNode& node) {
  constexpr std::int64_t touch_every = 60'000'000'000;
  now_ = std::max(now_ + 1, nanoseconds_now());
  for (PrefixNode* at = &node; at->parent != nullptr; at = at->parent) {
    at->used = now_;
    at->credit = inflation_;
    if (!at->on_disk() || now_ - at->touched < touch_every) continue;
    at->touched = now_;
    disk_->touch(at->place.id);
  }
}

// What was decoded stands on its prompt alone: none of its KV is then what a prefill of the same
// tokens computed, and it can go without anything else.
bool PrefixCache::add(const Checkpoint& checkpoint, const std::atomic<bool>* interrupt) {
  collect_written();
  drop_outdated();
  if (checkpoint.differences != differences_) return true;  // not worth keeping
  const auto end = static_cast<std::int64_t>(checkpoint.tokens.size());
  const std::uint64_t state_bytes =
      checkpoint.state.bytes() +
      (checkpoint.hidden.size() + checkpoint.logits.size()) * sizeof(float);
  const Tokens below =
      checkpoint.decoded_from == 0
          ? checkpoint.tokens
          : checkpoint.tokens.first(static_cast<std::size_t>(checkpoint.decoded_from));
  // Making room may take away what was found.
  PrefixSearch found = search(*root_, below);
  const auto needed = [&] {
    const std::vector<std::size_t> kv = layout_.kv_parts(found.matched, end);
    std::uint64_t bytes = state_bytes;
    for (const std::size_t part : kv) bytes += part;
    return bytes + static_cast<std::uint64_t>(end - found.matched) * sizeof(TokenId);
  };
  PrefixNode* node = node_at(checkpoint.tokens);
  if (node != nullptr && node->state && (checkpoint.logits.empty() || !node->logits.empty())) {
    use(*node);
    return true;
  }
  const bool readable =
      checkpoint.kind == CheckpointKind::answer && answer_share * needed() > options_.ram_bytes;
  while (!fits(needed())) {
    if (needed() > options_.ram_bytes || !evict_one(readable)) {
      publish();
      return true;
    }
    found = search(*root_, below);
  }

  // Copied before anything is changed, so that it is kept whole or not at all.
  StateSnapshot state = checkpoint.state;
  std::vector<float> hidden = checkpoint.hidden;
  std::vector<float> logits = checkpoint.logits;
  node = node_at(checkpoint.tokens);
  const bool known = node != nullptr;
  if (!known) {
    const std::int64_t begin = found.matched;
    StateSnapshot kv = checkpoint.kv(begin, end, interrupt);
    if (!kv) return false;
    const Tokens own = checkpoint.tokens.subspan(static_cast<std::size_t>(begin));
    node = &link(*found.deepest, {id_of(checkpoint.tokens), found.deepest->place.id, begin, end},
                 {own.begin(), own.end()});
    set_kv(*node, std::move(kv));
    node->decoded_from = checkpoint.decoded_from;
  } else if (node->decoded_from != checkpoint.decoded_from) {
    node->decoded_from = 0;  // its KV is another's
  }
  // The more valuable of two reasons.
  const bool worth_little = node->kind == CheckpointKind::regular ||
                            node->kind == CheckpointKind::typed ||
                            node->kind == CheckpointKind::answer;
  if (!known || worth_little) node->kind = checkpoint.kind;
  set_state(*node, std::move(state), std::move(hidden), std::move(logits));
  use(*node);
  publish();
  return true;
}

PrefixNode& PrefixCache::link(PrefixNode& parent, PrefixPlace place, std::vector<TokenId> tokens) {
  auto node = std::make_unique<PrefixNode>();
  node->parent = &parent;
  node->place = place;
  node->tokens = std::move(tokens);
  PrefixNode& linked = *node;
  parent.children.reserve(parent.children.size() + 1);
  by_id_[place.id] = &linked;
  parent.children.push_back(std::move(node));
  return linked;
}

void PrefixCache::measured(std::size_t tokens, double seconds) {
  const double now = seconds / static_cast<double>(tokens);
  seconds_per_token_ = seconds_per_token_ == 0
                           ? now
                           : seconds_per_token_ + newest_share * (now - seconds_per_token_);
}

std::size_t PrefixCache::reserve_states(std::size_t wanted) {
  const std::uint64_t each = layout_.state_bytes();
  std::size_t granted = wanted;
  // Half of the budget: states that one chunk takes must not push out all that others need.
  if (each > 0) granted = std::min<std::size_t>(wanted, options_.ram_bytes / 2 / each);
  while (granted > 0 && !make_room(granted * each)) --granted;
  reserved_bytes_ += granted * each;
  return granted;
}

void PrefixCache::release_states(std::size_t count) {
  reserved_bytes_ -= count * layout_.state_bytes();
}

void PrefixCache::publish() {
  PrefixStatistics now;
  for (const PrefixNode* node : all_nodes(*root_)) {
    if (node->state) ++now.ram_checkpoints;
    if (node->on_disk() && node->file_has_state) ++now.disk_checkpoints;
  }
  const Lock lock(statistics_mutex_);
  statistics_.ram_bytes = ram_bytes_ + reserved_bytes_;
  statistics_.ram_limit = options_.ram_bytes;
  statistics_.ram_checkpoints = now.ram_checkpoints;
  statistics_.disk = disk_ != nullptr;
  statistics_.disk_bytes = disk_bytes_;
  statistics_.disk_limit = options_.disk_bytes;
  statistics_.disk_checkpoints = now.disk_checkpoints;
  statistics_.daily_limit = options_.daily_bytes;
}

PrefixStatistics PrefixCache::statistics() const {
  const std::uint64_t written = disk_ ? disk_->written_today() : 0;
  const Lock lock(statistics_mutex_);
  PrefixStatistics copied = statistics_;
  copied.written_today = written;
  return copied;
}

void PrefixCache::flush() {
  if (!disk_) return;
  disk_->flush();
  collect_written();
  publish();
}

}  // namespace hearth::engine
