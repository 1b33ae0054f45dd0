// Carries one answer's events from the computing thread to the Host's. What waits on the way is
// bounded: text is joined and progress replaced until the Host's thread has taken them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/support/mutex.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Thread-safe. Made by make_shared.
class EventCoalescer : public std::enable_shared_from_this<EventCoalescer> {
 public:
  EventCoalescer(lsp::Host& host, lsp::GenerationEvents events);

  void progress(const lsp::GenerationProgress& progress);
  // More of the thought: delivered before all else that comes later.
  void thought(std::string_view text);
  // Of tokens whose text comes later.
  void probabilities(std::vector<lsp::TokenProbability> more);
  // Tokens and the text that became visible with them: what is delivered at once holds either both
  // or neither.
  void wrote(std::span<const std::int32_t> tokens, std::string_view text);
  // The last event, with the last of those.
  void done(lsp::Result<lsp::Answer> result, std::span<const std::int32_t> tokens = {},
            std::string_view text = {});

 private:
  void add(std::span<const std::int32_t> tokens, std::string_view text) HEARTH_REQUIRES(mutex_);
  void wake();
  void deliver();  // on the Host's thread

  lsp::Host& host_;
  const lsp::GenerationEvents events_;
  engine::Mutex mutex_;
  bool on_its_way_ HEARTH_GUARDED_BY(mutex_) = false;
  std::vector<std::int32_t> tokens_ HEARTH_GUARDED_BY(mutex_);
  std::string text_ HEARTH_GUARDED_BY(mutex_);
  std::vector<lsp::TokenProbability> probabilities_ HEARTH_GUARDED_BY(mutex_);
  std::string thought_ HEARTH_GUARDED_BY(mutex_);
  std::optional<lsp::GenerationProgress> progress_ HEARTH_GUARDED_BY(mutex_);
  std::optional<lsp::Result<lsp::Answer>> done_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth::daemon
