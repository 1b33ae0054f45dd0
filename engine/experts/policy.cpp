// The eviction policies LRU and LRFU.
#include "engine/experts/policy.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hearth::engine {
namespace {

// A list through the keys, the one used longest ago first.
class Lru final : public Policy {
 public:
  explicit Lru(std::size_t size) : links_(size + 1), last_use_(size), end_(static_cast<Key>(size)) {
    links_.back() = {end_, end_};
  }

  void remember(std::span<const float>) override {}  // how often, not when
  void used(Key key) override {
    if (resident(key)) unlink(key);
    const Key last = at(end_).before;
    at(key) = {last, end_};
    at(last).after = key;
    at(end_).before = key;
    last_use_[static_cast<std::size_t>(key)] = ++uses_;
  }
  void dropped(Key key) override {
    if (resident(key)) unlink(key);
    at(key) = {};
  }
  std::optional<Key> victim(const std::function<bool(Key)>& may) override {
    for (Key key = at(end_).after; key != end_; key = at(key).after) {
      if (may(key)) return key;
    }
    return std::nullopt;
  }
  // When it was used last, in uses of every key.
  double rank(Key key) const override {
    return static_cast<double>(last_use_[static_cast<std::size_t>(key)]) /
           static_cast<double>(last_use_.size());
  }

 private:
  struct Link {
    Key before = -1;  // -1: not resident
    Key after = -1;
  };
  Link& at(Key key) { return links_[static_cast<std::size_t>(key)]; }
  bool resident(Key key) { return at(key).before >= 0; }
  void unlink(Key key) {
    const Link link = at(key);
    at(link.before).after = link.after;
    at(link.after).before = link.before;
  }

  std::vector<Link> links_;
  std::vector<std::uint64_t> last_use_;  // by key: of uses_
  std::uint64_t uses_ = 0;
  Key end_;
};

// Uses with decay, kept as the logarithm of what they would count at the beginning of time: so
// nothing has to be aged, and a score only rises. The resident keys are a heap, the least score at
// its root.
class Lrfu final : public Policy {
 public:
  Lrfu(std::size_t size, double half_life)
      : keys_(size), per_use_(1 / (half_life * static_cast<double>(size))) {
    heap_.reserve(size);  // that something was used must never fail
  }

  // They count together as much as all uses of a long life would by now, at most.
  void remember(std::span<const float> uses) override {
    const double all = std::accumulate(uses.begin(), uses.end(), 0.0);
    const double share = std::min(1.0, 1 / (per_use_ * std::log(2.0) * all));
    for (std::size_t key = 0; key < keys_.size(); ++key)
      if (uses[key] > 0) keys_[key].score = std::log2(share * uses[key]);
  }
  void used(Key key) override {
    Entry& entry = at(key);
    const double now = per_use_ * static_cast<double>(++uses_);
    entry.score = entry.score < now - 60 ? now : now + std::log2(1 + std::exp2(entry.score - now));
    if (entry.place == away) {
      heap_.push_back(key);
      rise(heap_.size() - 1);
    } else {
      sink(entry.place);
    }
  }
  void dropped(Key key) override {
    const std::size_t place = at(key).place;
    if (place == away) return;
    at(key).place = away;  // its score stays: uses count also while it is away
    const Key last = heap_.back();
    heap_.pop_back();
    if (last == key) return;
    put(last, place);
    rise(place);
    sink(at(last).place);
  }
  // From the root on, always the least of what is reached: what may not go opens the way to the two
  // below it.
  std::optional<Key> victim(const std::function<bool(Key)>& may) override {
    const auto more = [this](std::size_t a, std::size_t b) { return score(a) > score(b); };
    std::vector<std::size_t> reached;
    if (!heap_.empty()) reached.push_back(0);
    while (!reached.empty()) {
      std::pop_heap(reached.begin(), reached.end(), more);
      const std::size_t place = reached.back();
      reached.pop_back();
      if (may(heap_[place])) return heap_[place];
      for (std::size_t below = 2 * place + 1; below <= 2 * place + 2; ++below) {
        if (below >= heap_.size()) break;
        reached.push_back(below);
        std::push_heap(reached.begin(), reached.end(), more);
      }
    }
    return std::nullopt;
  }
  // Doublings: twice as much is 1 more.
  double rank(Key key) const override { return keys_[static_cast<std::size_t>(key)].score; }

 private:
  static constexpr std::size_t away = ~std::size_t{0};
  struct Entry {
    double score = -1e300;
    std::size_t place = away;  // in heap_
  };
  Entry& at(Key key) { return keys_[static_cast<std::size_t>(key)]; }
  double score(std::size_t place) { return at(heap_[place]).score; }

  void put(Key key, std::size_t place) {
    heap_[place] = key;
    at(key).place = place;
  }
  void rise(std::size_t place) {
    const Key key = heap_[place];
    for (; place > 0 && at(key).score < score((place - 1) / 2); place = (place - 1) / 2)
      put(heap_[(place - 1) / 2], place);
    put(key, place);
  }
  void sink(std::size_t place) {
    const Key key = heap_[place];
    for (std::size_t below = 2 * place + 1; below < heap_.size(); below = 2 * place + 1) {
      if (below + 1 < heap_.size() && score(below + 1) < score(below)) ++below;
      if (at(key).score <= score(below)) break;
      put(heap_[below], place);
      place = below;
    }
    put(key, place);
  }

  std::vector<Entry> keys_;
  std::vector<Key> heap_;
  double per_use_;
  std::uint64_t uses_ = 0;
};

}  // namespace

std::string_view name(PolicyKind kind) {
  return kind == PolicyKind::lru ? "lru" : "lrfu";
}

std::optional<PolicyKind> parse_policy(std::string_view text) {
  for (const PolicyKind kind : {PolicyKind::lru, PolicyKind::lrfu}) {
    if (text == name(kind)) return kind;
  }
  return std::nullopt;
}

std::unique_ptr<Policy> make_policy(PolicyKind kind, std::size_t size, double half_life) {
  if (kind == PolicyKind::lru) return std::make_unique<Lru>(size);
  return std::make_unique<Lrfu>(size, half_life);
}

}  // namespace hearth::engine
