// Shows a session that the model is still loading, from a moment after the editor attached until it
// is there: as standard progress where the client has it, else once in a message.
#pragma once

#include <functional>
#include <optional>

#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class LoadingView {
 public:
  // `progressed` is called at each look at the model, for what else is told. The session outlives
  // it.
  LoadingView(Session& session, std::function<void(const LoadingProgress&)> progressed);
  ~LoadingView();
  LoadingView(const LoadingView&) = delete;
  LoadingView& operator=(const LoadingView&) = delete;

  // Loading has ended: "ready", or "failed".
  void end(const std::string& message);

 private:
  enum class State { waiting, asked, created, begun, none };  // none: no progress is shown
  void look_later(std::chrono::milliseconds delay);
  void look();
  void show(const LoadingProgress& progress);
  void ask();
  void tell(const LoadingProgress& progress);
  void send(Json value);

  Session& session_;
  std::function<void(const LoadingProgress&)> progressed_;
  Json token_;
  std::chrono::steady_clock::time_point began_;
  State state_ = State::waiting;
  bool told_ = false;
  std::string message_;  // as sent
  std::int64_t percentage_ = 0;
  std::optional<Host::TimerId> timer_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
