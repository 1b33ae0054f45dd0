// See expert_policy.hpp.
#include "engine/expert_policy.hpp"

#include <cmath>

namespace hearth::engine {
namespace {

// A list through the keys, the one used longest ago first.
class Lru final : public Policy {
 public:
  explicit Lru(std::size_t size) : links_(size + 1), end_(static_cast<Key>(size)) {
    links_.back() = {end_, end_};
  }

  void used(Key key) override {
    if (resident(key)) unlink(key);
    const Key last = at(end_).before;
    at(key) = {last, end_};
    at(last).after = key;
    at(end_).before = key;
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
  Key end_;
};

// Uses with decay, kept as the logarithm of what they would count at the beginning of time: so
// nothing has to be aged. A victim is the least of all resident keys; there are thousands at most.
class Lrfu final : public Policy {
 public:
  Lrfu(std::size_t size, double half_life) : scores_(size), per_use_(1 / half_life) {}

  void used(Key key) override {
    Score& score = scores_[static_cast<std::size_t>(key)];
    const double now = per_use_ * static_cast<double>(++uses_);
    score.value = score.value < now - 60 ? now : now + std::log2(1 + std::exp2(score.value - now));
    if (score.place < 0) {
      score.place = static_cast<Key>(resident_.size());
      resident_.push_back(key);
    }
  }
  void dropped(Key key) override {
    Score& score = scores_[static_cast<std::size_t>(key)];
    if (score.place < 0) return;
    const Key last = resident_.back();
    resident_[static_cast<std::size_t>(score.place)] = last;
    scores_[static_cast<std::size_t>(last)].place = score.place;
    resident_.pop_back();
    score.place = -1;  // its score stays: uses count also while it is away
  }
  std::optional<Key> victim(const std::function<bool(Key)>& may) override {
    std::optional<Key> least;
    for (const Key key : resident_) {
      if (least && value(key) >= value(*least)) continue;
      if (may(key)) least = key;
    }
    return least;
  }

 private:
  struct Score {
    double value = -1e300;
    Key place = -1;  // in resident_; -1: not resident
  };
  double value(Key key) const { return scores_[static_cast<std::size_t>(key)].value; }

  std::vector<Score> scores_;
  std::vector<Key> resident_;
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
