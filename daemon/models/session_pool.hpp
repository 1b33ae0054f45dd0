// The few sequences that are under way: the one that is on its way to a prompt serves it, the least
// recently used makes room. What is common to several is in the engine's prefix checkpoints. Used
// by the computing thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::daemon {

class SessionPool {
  struct Entry;

 public:
  // Gives the session back at its end.
  class Lease {
   public:
    explicit Lease(Entry& entry);
    Lease(Lease&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    engine::Session& session() const;

   private:
    Entry* entry_;
  };

  SessionPool(std::shared_ptr<engine::Runtime> runtime, std::size_t size);
  ~SessionPool();

  // A session for this prompt; sync() is left to its user. More sessions than `size` exist only
  // while all of them are lent.
  Lease acquire(std::span<const engine::TokenId> prompt);
  // The most tokens of the prompt that any session or checkpoint can go on from.
  std::size_t common(std::span<const engine::TokenId> prompt) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const;  // of everything the sessions keep

 private:
  Entry* best_match(std::span<const engine::TokenId> prompt);
  Entry* room();  // an idle entry to be overwritten, or a new one

  std::shared_ptr<engine::Runtime> runtime_;
  std::size_t size_;
  std::uint64_t clock_ = 0;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace hearth::daemon
