// The second engine of the daemon, inline.model: it completes in place of the large one as long as
// it can be loaded and there is memory for it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "daemon/models/completion_model.hpp"
#include "daemon/models/local.hpp"
#include "daemon/models/room_for_small.hpp"

namespace hearth::daemon {

// On the Host's thread.
class SmallModel {
 public:
  // Begins to load at once; takes `bytes` in all. `large`, whose cores it takes and for which it
  // drafts if `drafts`, is null where no other engine computes here. `other` completes where this
  // one cannot. Host and both outlive it. `changed`: refusal() says something else.
  SmallModel(lsp::Host& host, engine::EngineOptions options, std::uint64_t bytes, bool drafts,
             LocalModel* large, lsp::Model& other, std::function<void()> changed);

  CompletionModel& completions() { return completions_; }
  bool serves() const { return completions_.small_serves(); }
  // Why completions come from the other model, in a sentence; empty: they do not.
  const std::string& refusal() const { return refusal_; }
  ModelStatus status() const { return model_->status(); }
  std::uint64_t bytes() const { return bytes_; }

  void forget_prompts() {
    model_->forget_prompts([] {});
  }
  void hold() { model_->hold(); }  // LocalModel::hold

  // What is wished twice is done once.
  void obey(RoomForSmall::Wish wish);

 private:
  void refuse(const std::string& why);
  void begin();
  void unload();
  void load();

  lsp::Host& host_;
  const engine::EngineOptions options_;
  const std::uint64_t bytes_;
  const bool drafts_;
  LocalModel* const large_;
  const std::function<void()> changed_;
  std::string refusal_;
  std::unique_ptr<LocalModel> model_;
  CompletionModel completions_;
};

}  // namespace hearth::daemon
