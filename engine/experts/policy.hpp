// The eviction policies of the expert cache. Policies know keys and the order in which they
// were used, nothing of memory; so a recorded trace can be replayed through them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace hearth::engine {

// Keys are 0 … size-1. Not thread-safe.
class Policy {
 public:
  using Key = std::int32_t;

  virtual ~Policy() = default;
  // How often each key was used before the first used() here, as far as that is known.
  virtual void remember(std::span<const float> uses) = 0;
  // The key was asked for and is resident from now on.
  virtual void used(Key key) = 0;
  // The key is no longer resident.
  virtual void dropped(Key key) = 0;
  // The resident key to give up first among those that `may` be; empty when there is none. It stays
  // resident until dropped().
  virtual std::optional<Key> victim(const std::function<bool(Key)>& may) = 0;
  // The greater, the later a key that was used should go; a difference of 1 is a clear one.
  virtual double rank(Key key) const = 0;
  // Whether a key's place in a faster memory is better given to `other`: by so much that they do
  // not change places all the time.
  bool should_yield(Key key, Key other) const { return rank(key) + 1 < rank(other); }
};

// lrfu is the default: over the recorded routing of real text it had more hits at every size of the
// cache (`hearth trace` compares them), whatever the half-life within a factor of ten. Much less
// than some uses of every key leaves too little to tell the often used from the rest.
enum class PolicyKind : std::uint8_t {
  lru,   // least recently used
  lrfu,  // least used, a use counting half after half_life further uses of every key, on average
};
std::string_view name(PolicyKind kind);
std::optional<PolicyKind> parse_policy(std::string_view name);

// Half-life of lrfu: see PolicyKind.
constexpr double default_half_life = 16;
std::unique_ptr<Policy> make_policy(PolicyKind kind, std::size_t size, double half_life);

}  // namespace hearth::engine
