// EventCoalescer: at most one posted task at a time.
#include "daemon/models/event_coalescer.hpp"

#include <new>
#include <utility>

#include "daemon/platform/insist.hpp"

namespace hearth::daemon {

EventCoalescer::EventCoalescer(lsp::Host& host, lsp::GenerationEvents events)
    : host_(host), events_(std::move(events)) {}

void EventCoalescer::progress(const lsp::GenerationProgress& progress) {
  {
    const engine::Lock lock(mutex_);
    progress_ = progress;
  }
  wake();
}

void EventCoalescer::thought(std::string_view text) {
  if (text.empty()) return;
  {
    const engine::Lock lock(mutex_);
    thought_ += text;
  }
  wake();
}

void EventCoalescer::probabilities(std::vector<lsp::TokenProbability> more) {
  if (more.empty()) return;
  {
    const engine::Lock lock(mutex_);
    for (lsp::TokenProbability& each : more) probabilities_.push_back(std::move(each));
  }
  wake();
}

void EventCoalescer::wrote(std::span<const std::int32_t> tokens, std::string_view text) {
  if (tokens.empty() && text.empty()) return;
  {
    const engine::Lock lock(mutex_);
    add(tokens, text);
  }
  wake();
}

void EventCoalescer::done(lsp::Result<lsp::Answer> result, std::span<const std::int32_t> tokens,
                          std::string_view text) {
  {
    const engine::Lock lock(mutex_);
    add(tokens, text);
    done_ = std::move(result);
  }
  wake();
}

// Both or, where there is no memory, neither.
void EventCoalescer::add(std::span<const std::int32_t> tokens, std::string_view text) {
  text_.reserve(text_.size() + text.size());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  text_ += text;
}

void EventCoalescer::wake() {
  {
    const engine::Lock lock(mutex_);
    if (std::exchange(on_its_way_, true)) return;
  }
  const bool posted =
      insist([this] { host_.post([self = shared_from_this()] { self->deliver(); }); });
  if (posted) return;
  const engine::Lock lock(mutex_);
  on_its_way_ = false;  // what comes next is posted again
  throw std::bad_alloc();
}

void EventCoalescer::deliver() {
  engine::Lock lock(mutex_);
  on_its_way_ = false;
  auto tokens = std::exchange(tokens_, {});
  const auto text = std::exchange(text_, {});
  auto thought = std::exchange(thought_, {});
  auto probabilities = std::exchange(probabilities_, {});
  const auto progress = std::exchange(progress_, std::nullopt);
  auto done = std::exchange(done_, std::nullopt);
  lock.unlock();
  if (!thought.empty() && events_.on_thought) events_.on_thought(std::move(thought));
  if (progress && events_.on_progress) events_.on_progress(*progress);
  if (!probabilities.empty() && events_.on_probabilities)
    events_.on_probabilities(std::move(probabilities));
  if (!tokens.empty() && events_.on_tokens) events_.on_tokens(std::move(tokens));
  if (!text.empty() && events_.on_text) events_.on_text(text);
  if (done) events_.on_done(std::move(*done));
}

}  // namespace hearth::daemon
