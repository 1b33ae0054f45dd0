// SessionPool: chooses the session that serves a prompt.
#include "daemon/models/session_pool.hpp"

#include <algorithm>
#include <tuple>

namespace hearth::daemon {

using Tokens = std::span<const engine::TokenId>;

struct SessionPool::Entry {
  engine::Session session;
  std::vector<engine::TokenId> prompt;  // what it was last lent for
  bool lent = false;
  std::uint64_t used = 0;
};

namespace {

constexpr std::size_t worth_keeping = 64;  // tokens that computing again would cost

std::size_t shared(Tokens a, Tokens b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

SessionPool::Lease::Lease(Entry& entry) : entry_(&entry) {
  entry.lent = true;
}
SessionPool::Lease::~Lease() {
  if (entry_ != nullptr) entry_->lent = false;
}
engine::Session& SessionPool::Lease::session() const {
  return entry_->session;
}

SessionPool::SessionPool(std::shared_ptr<engine::Runtime> runtime, std::size_t size)
    : runtime_(std::move(runtime)), size_(size) {}
SessionPool::~SessionPool() = default;

SessionPool::Lease SessionPool::acquire(Tokens prompt) {
  Entry* chosen = best_match(prompt);
  if (chosen == nullptr) chosen = room();
  chosen->prompt.assign(prompt.begin(), prompt.end());
  chosen->used = ++clock_;
  return Lease(*chosen);
}

std::size_t SessionPool::common(Tokens prompt) const {
  std::size_t max = runtime_->cached_prefix(prompt);
  for (const auto& entry : entries_) max = std::max(max, entry->session.common(prompt));
  return max;
}

std::size_t SessionPool::bytes() const {
  std::size_t total = 0;
  for (const auto& entry : entries_) total += entry->session.bytes();
  return total;
}

// The session that is furthest along the prompt: it goes on, or at least has the KV. Null where
// none is on its way to it: what only begins alike is left to what it was lent for, and the
// beginning comes from a checkpoint.
SessionPool::Entry* SessionPool::best_match(Tokens prompt) {
  Entry* best = nullptr;
  std::tuple<std::size_t, std::size_t, std::uint64_t> best_score{0, 0, 0};
  for (const auto& entry : entries_) {
    if (entry->lent) continue;
    const std::vector<engine::TokenId>& computed = entry->session.tokens();
    const std::size_t kept = shared(computed, prompt);
    const std::size_t along = shared(entry->prompt, prompt);  // with a parked chunk
    if (kept == 0 && along == 0) continue;
    if (2 * kept < computed.size()) continue;
    const std::tuple score{kept, along, entry->used};
    if (score > best_score) {
      best = entry.get();
      best_score = score;
    }
  }
  return best;
}

SessionPool::Entry* SessionPool::room() {
  Entry* oldest = nullptr;
  for (const auto& entry : entries_) {
    if (!entry->lent && (oldest == nullptr || entry->used < oldest->used)) oldest = entry.get();
  }
  if (oldest != nullptr && entries_.size() >= size_) {
    // Its own sequence may go on some day; the answer at its end has no checkpoint yet.
    engine::Session& session = oldest->session;
    const std::size_t cached = runtime_->cached_prefix(session.tokens());
    if (session.tokens().size() >= cached + worth_keeping) session.keep();
    return oldest;
  }
  entries_.push_back(std::make_unique<Entry>(Entry{engine::Session(runtime_), {}}));
  return entries_.back().get();
}

}  // namespace hearth::daemon
