// signed_by: the name is asked for once, as progress is told with each token.
#include "daemon/models/signature.hpp"

#include <memory>
#include <utility>
#include <variant>

namespace hearth::daemon {
namespace {

constexpr std::string_view on_this_machine = " on this machine";

}  // namespace

std::string signature_of(const ModelStatus& status) {
  return status.name.empty() ? std::string() : status.name + std::string(on_this_machine);
}

bool is_signed_here(std::string_view by) {
  return by.ends_with(on_this_machine);
}

lsp::GenerationEvents signed_by(lsp::GenerationEvents events, std::function<std::string()> by) {
  const auto sign = [known = std::make_shared<std::string>(),
                     by = std::move(by)](std::string& signature) {
    if (!signature.empty()) return;
    if (known->empty()) *known = by();
    signature = *known;
  };
  if (events.on_progress) {
    events.on_progress = [sign,
                          tell = std::move(events.on_progress)](lsp::GenerationProgress progress) {
      sign(progress.by);
      tell(progress);
    };
  }
  if (events.on_done) {
    events.on_done = [sign, tell = std::move(events.on_done)](lsp::Result<lsp::Answer> result) {
      if (auto* const answer = std::get_if<lsp::Answer>(&result)) sign(answer->by);
      tell(std::move(result));
    };
  }
  return events;
}

}  // namespace hearth::daemon
