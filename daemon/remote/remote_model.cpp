// The queue of requests to another engine, and their way to an answer.
#include "daemon/remote/remote_model.hpp"

#include <utility>

#include "daemon/platform/error.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::daemon {

class RemoteModel::Impl {
 public:
  Impl(lsp::Host& host, RemoteOptions options, std::function<void()> changed)
      : host_(host), options_(std::move(options)), changed_(std::move(changed)) {
    status_.url = options_.url.shown();
    status_.host = options_.url.host;
    status_.leaves_machine = !options_.url.is_loopback();
    status_.key = !options_.key.empty();
    status_.why = "hearth is looking for " + status_.host;
    if (status_.key && !options_.url.tls && status_.leaves_machine) {
      throw Error("the key for " + status_.url +
                  " would be sent in the open: use an address that begins with https://");
    }
  }

  template <typename T>
  void refuse(lsp::Callback<T> done) {
    host_.post(lifetime_.guard([done = std::move(done), why = status_.why] {
      done(lsp::ModelError{why, lsp::ModelError::Kind::unavailable});
    }));
  }

  lsp::Host& host_;
  const RemoteOptions options_;
  const std::function<void()> changed_;
  RemoteStatus status_;
  std::vector<lsp::Callback<lsp::ModelDescription>> described_;
  lsp::GenerationId last_id_ = 0;
  lsp::Lifetime lifetime_;
};

RemoteModel::RemoteModel(lsp::Host& host, RemoteOptions options, std::function<void()> changed)
    : impl_(std::make_shared<Impl>(host, std::move(options), std::move(changed))) {}

RemoteModel::~RemoteModel() = default;

void RemoteModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  impl_->described_.push_back(std::move(done));
}

lsp::LoadingProgress RemoteModel::loading() const {
  return {};
}

void RemoteModel::count_tokens(std::vector<std::string> /*texts*/,
                               lsp::Callback<std::vector<std::int64_t>> done) {
  impl_->refuse(std::move(done));
}

void RemoteModel::estimate(lsp::Prompt /*prompt*/, lsp::Callback<lsp::Estimate> done) {
  impl_->refuse(std::move(done));
}

void RemoteModel::inspect(lsp::Prompt /*prompt*/, const lsp::GenerateOptions& /*options*/,
                          lsp::Callback<std::vector<lsp::PromptPiece>> done) {
  impl_->refuse(std::move(done));
}

std::optional<std::chrono::milliseconds> RemoteModel::usual_time(
    lsp::Prompt::Kind /*kind*/, std::int64_t /*prompt_tokens*/,
    const lsp::GenerateOptions& /*options*/) const {
  return std::nullopt;
}

lsp::GenerationId RemoteModel::prefill(lsp::Prompt /*prompt*/, lsp::Callback<lsp::Estimate> done) {
  impl_->refuse(std::move(done));
  return ++impl_->last_id_;
}

lsp::GenerationId RemoteModel::generate(lsp::Prompt /*prompt*/, lsp::GenerateOptions /*options*/,
                                        lsp::GenerationEvents events) {
  impl_->refuse(std::move(events.on_done));
  return ++impl_->last_id_;
}

void RemoteModel::cancel(lsp::GenerationId /*id*/) {}

void RemoteModel::hold() {}

RemoteStatus RemoteModel::status() const {
  return impl_->status_;
}

bool RemoteModel::away() const {
  return impl_->status_.state != RemoteStatus::State::ready;
}

}  // namespace hearth::daemon
