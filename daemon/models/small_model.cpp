// SmallModel: loading, unloading, and what is said of both.
#include "daemon/models/small_model.hpp"

#include <utility>

#include "daemon/models/signature.hpp"

namespace hearth::daemon {

SmallModel::SmallModel(lsp::Host& host, engine::EngineOptions options, std::uint64_t bytes,
                       bool drafts, LocalModel* large, lsp::Model& other,
                       std::function<void()> changed)
    : host_(host),
      options_(std::move(options)),
      bytes_(bytes),
      drafts_(drafts && large != nullptr),
      large_(large),
      changed_(std::move(changed)),
      model_(std::make_unique<LocalModel>(host, options_, large)),
      completions_(
          *model_, other, [this](const std::string& why) { refuse(why); },
          [this](bool small) {
            const LocalModel* const model = small ? model_.get() : large_;
            return model != nullptr ? signature_of(model->status()) : std::string();
          }) {
  begin();
}

// Loading says whether it can serve.
void SmallModel::begin() {
  completions_.describe([this](const auto&) {
    if (drafts_) large_->draft_with(model_->for_drafts());
  });
}

void SmallModel::refuse(const std::string& why) {
  refusal_ = "inline.model cannot be used: " + why + "; completions come from the other model";
  host_.log(lsp::LogLevel::warn, refusal_);
  changed_();
}

void SmallModel::obey(RoomForSmall::Wish wish) {
  wish == RoomForSmall::Wish::load ? load() : unload();
}

void SmallModel::unload() {
  if (!serves()) return;  // it could not be loaded
  if (drafts_) large_->draft_with(nullptr);
  model_->unload("memory is short, and it waits until there is more");
  completions_.describe([](const auto&) {});
}

// What the one before it had posted was posted before this.
void SmallModel::load() {
  if (serves() || model_->status().state != ModelStatus::State::failed) return;
  model_ = std::make_unique<LocalModel>(host_, options_, large_);
  completions_.use(*model_);
  refusal_.clear();
  host_.log(lsp::LogLevel::info, "there is memory again: inline.model is loaded");
  changed_();
  begin();
}

}  // namespace hearth::daemon
