// Carries one answer's events from the computing thread to the Host's. What waits on the way is
// bounded: text is joined and progress replaced until the Host's thread has taken them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/support/mutex.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Thread-safe. Made by make_shared.
class EventCoalescer : public std::enable_shared_from_this<EventCoalescer> {
 public:
  EventCoalescer(lsp::Host& host, lsp::GenerationEvents events);

  void progress(const lsp::GenerationProgress& progress);
  void text(std::string_view text);
  void done(lsp::Result<lsp::Answer> result);  // the last event

 private:
  void wake();
  void deliver();  // on the Host's thread

  lsp::Host& host_;
  const lsp::GenerationEvents events_;
  engine::Mutex mutex_;
  bool on_its_way_ HEARTH_GUARDED_BY(mutex_) = false;
  std::string text_ HEARTH_GUARDED_BY(mutex_);
  std::optional<lsp::GenerationProgress> progress_ HEARTH_GUARDED_BY(mutex_);
  std::optional<lsp::Result<lsp::Answer>> done_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth::daemon
