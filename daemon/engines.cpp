// Engines: made in the order in which they need each other.
#include "daemon/engines.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/models/signature.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/insist.hpp"
#include "daemon/platform/power.hpp"
#include "daemon/remote_options.hpp"
#include "daemon/status.hpp"

namespace hearth::daemon {
namespace {

// Why a server does not answer.
std::string notice_of(const RemoteModel& remote, const std::string& behind) {
  const RemoteStatus status = remote.status();
  if (status.why.empty() || status.state == RemoteStatus::State::looking) return {};
  return status.why + behind;
}

}  // namespace

Engines::Engines(lsp::Host& host, const Config& config, const std::filesystem::path& local,
                 const std::filesystem::path& state, std::function<void()> changed)
    : host_(host),
      changed_(std::move(changed)),
      small_configured_(!config.inline_model.empty()),
      pair_(model_pair(config, local, state, engine::read_memory())),
      room_(pair_.small_bytes) {
  if (!local.empty()) {
    local_ = std::make_unique<LocalModel>(host, large_options());
    gpu_rest_ = std::make_unique<GpuRest>(host, *local_, config.memory_vram_idle,
                                          [] { return on_battery(); });
  }
  if (!config.model_remote.url.empty()) {
    remote_ = std::make_unique<RemoteModel>(host, model_remote_options(config), [this] { look(); });
  }
  if (remote_ && local_) {
    backed_ = std::make_unique<BackedModel>(
        *remote_,
        BackedModel::Behind{*local_, local.string(),
                            [this] { return signature_of(local_->status()); }},
        [this] { return remote_->away(); });
  }
  model_ = backed_   ? static_cast<lsp::Model*>(backed_.get())
           : remote_ ? static_cast<lsp::Model*>(remote_.get())
                     : local_.get();
  if (pair_.small) {
    small_ = std::make_unique<SmallModel>(host_, *pair_.small, pair_.small_bytes,
                                          config.inline_drafts, local_.get(), *model_, changed_);
  }
  lsp::Model* const without_server = small_ ? &small_->completions() : model_;
  if (!config.inline_remote.url.empty()) {
    inline_remote_ =
        std::make_unique<RemoteModel>(host, inline_remote_options(config), [this] { look(); });
    const BackedModel::Behind behind{
        *without_server, pair_.small ? pair_.small->model.string() : name(),
        [this] { return local_ ? signature_of(local_->status()) : std::string(); }};
    inline_backed_ = std::make_unique<BackedModel>(*inline_remote_, behind,
                                                   [this] { return inline_remote_->away(); });
  }
  completions_ = inline_backed_ ? inline_backed_.get() : without_server;
  if (!pair_.refusal.empty()) host_.log(lsp::LogLevel::warn, pair_.refusal);
}

// It looks at the memory for both.
engine::EngineOptions Engines::large_options() {
  engine::EngineOptions options = pair_.large;
  if (pair_.small) {
    options.experts.looked = [this](const engine::MemoryLook& look) {
      const auto wish = room_.look(look);
      if (wish) insist([&] { host_.post([this, wish] { small_->obey(*wish); }); });
    };
  }
  return options;
}

// Where a server's state changed.
void Engines::look() {
  if (backed_) backed_->look();
  if (inline_backed_) inline_backed_->look();
  changed_();
}

lsp::Model& Engines::local_completions() {
  return small_ && !remote_ ? static_cast<lsp::Model&>(small_->completions()) : *local_;
}

std::string Engines::device() const {
  if (!remote_ || (local_ && remote_->away())) return local_->status().device;
  return "the server " + remote_->status().url;
}

std::string Engines::name() const {
  return local_ ? local_->status().directory : remote_->status().url;
}

std::vector<std::string> Engines::sent_to() const {
  std::vector<std::string> hosts;
  for (const RemoteModel* remote : {remote_.get(), inline_remote_.get()}) {
    if (remote == nullptr) continue;
    const RemoteStatus status = remote->status();
    if (status.leaves_machine && (hosts.empty() || hosts.back() != status.host))
      hosts.push_back(status.host);
  }
  return hosts;
}

std::size_t Engines::waiting() const {
  std::size_t count = 0;
  if (local_) count += local_->status().waiting;
  if (small_) count += small_->status().waiting;
  for (const RemoteModel* remote : {remote_.get(), inline_remote_.get()}) {
    if (remote == nullptr) continue;
    const RemoteStatus status = remote->status();
    count += status.running + status.waiting;
  }
  return count;
}

std::vector<std::string> Engines::notices() const {
  std::vector<std::string> notices{small_ ? small_->refusal() : pair_.refusal};
  if (remote_)
    notices.push_back(notice_of(*remote_, backed_ ? "; meanwhile " + name() + " answers" : ""));
  if (inline_remote_)
    notices.push_back(notice_of(*inline_remote_, "; completions come from another one meanwhile"));
  std::erase(notices, std::string());
  return notices;
}

void Engines::add_status(nlohmann::json& status) const {
  status["model"] = local_ ? to_json(local_->status()) : nlohmann::json();
  if (small_configured_) {
    status["inlineModel"] = small_ ? inline_model_status(small_->status(), small_->refusal(),
                                                         small_->bytes(), pair_.expert_bytes)
                                   : inline_model_refused(pair_.refusal);
  }
  status["servers"] = nlohmann::json::array();
  if (remote_) status["servers"].push_back(to_json(remote_->status(), "model"));
  if (inline_remote_) status["servers"].push_back(to_json(inline_remote_->status(), "inline"));
}

ModelStatus Engines::completing() const {
  if (inline_remote_ && !inline_remote_->away()) return {};
  if (small_ && small_->serves()) return small_->status();
  return local_ && (!remote_ || remote_->away()) ? local_->status() : ModelStatus{};
}

nlohmann::json Engines::use_gpu(bool take) {
  if (!local_) throw Error("no engine of this machine runs: " + name() + " answers");
  if (take) {
    local_->take_gpu();
  } else {
    local_->release_gpu();
  }
  return gpu_json(local_->status());
}

bool Engines::forget_prompts(std::function<void()> done) {
  if (small_) small_->forget_prompts();
  return local_ && local_->forget_prompts(std::move(done));
}

void Engines::hold() {
  for (RemoteModel* remote : {remote_.get(), inline_remote_.get()}) {
    if (remote != nullptr) remote->hold();
  }
  if (local_) local_->hold();
  if (small_) small_->hold();
}

}  // namespace hearth::daemon
