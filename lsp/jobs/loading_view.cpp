// One look at the model every half second, and what it sends.
#include "lsp/jobs/loading_view.hpp"

#include <algorithm>
#include <utility>

#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds unnoticed{300};  // what loads faster shows nothing
constexpr milliseconds interval{500};
constexpr milliseconds told_after{3000};  // where there is no progress

// Not that of an earlier daemon, which the client may remember.
std::string token_at(std::chrono::steady_clock::time_point now) {
  const auto since = std::chrono::duration_cast<milliseconds>(now.time_since_epoch());
  return "hearth-loading-" + std::to_string(since.count());
}

}  // namespace

LoadingView::LoadingView(Session& session, std::function<void(const LoadingProgress&)> progressed)
    : session_(session),
      progressed_(std::move(progressed)),
      token_(token_at(session.host.now())),
      began_(session.host.now()) {
  if (!session.client.work_done_progress) state_ = State::none;
  look_later(unnoticed);
}

LoadingView::~LoadingView() {
  if (timer_) session_.host.cancel_timer(*timer_);
}

void LoadingView::end(const std::string& message) {
  if (timer_) session_.host.cancel_timer(*timer_);
  timer_.reset();
  if (state_ == State::begun) send({{"kind", "end"}, {"message", message}});
  state_ = State::none;
}

void LoadingView::look_later(milliseconds delay) {
  timer_ = session_.host.after(delay, [this] { look(); });
}

void LoadingView::look() {
  look_later(interval);
  const LoadingProgress progress = session_.model.loading();
  if (state_ == State::waiting) ask();
  show(progress);
  progressed_(progress);
}

void LoadingView::ask() {
  state_ = State::asked;
  session_.rpc.request("window/workDoneProgress/create", {{"token", token_}},
                       lifetime_.guard([this](const std::variant<Json, RpcError>& answer) {
                         if (state_ != State::asked) return;
                         const bool refused = std::holds_alternative<RpcError>(answer);
                         state_ = refused ? State::none : State::created;
                         if (!refused) show(session_.model.loading());
                       }));
}

void LoadingView::show(const LoadingProgress& progress) {
  if (state_ == State::none) return tell(progress);
  std::string message = loading_message(progress);
  const std::int64_t percentage = std::max(percentage_, progress.percentage);
  if (state_ == State::created) {
    state_ = State::begun;
    send({{"kind", "begin"},
          {"title", "hearth"},
          {"cancellable", false},
          {"message", message},
          {"percentage", percentage}});
  } else if (state_ == State::begun && (percentage != percentage_ || message != message_)) {
    send({{"kind", "report"}, {"message", message}, {"percentage", percentage}});
  }
  percentage_ = percentage;
  message_ = std::move(message);
}

void LoadingView::tell(const LoadingProgress& progress) {
  if (told_ || session_.client.has(extension::feature_status)) return;
  if (session_.host.now() - began_ < told_after) return;
  told_ = true;
  session_.rpc.notify("window/showMessage", {{"type", message_type::info},
                                             {"message", "hearth: " + loading_message(progress)}});
}

void LoadingView::send(Json value) {
  session_.rpc.notify("$/progress", {{"token", token_}, {"value", std::move(value)}});
}

}  // namespace hearth::lsp
