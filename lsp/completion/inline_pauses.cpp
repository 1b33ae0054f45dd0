// Automatic requests that are put off: for a moment, as the next keystroke may follow at once; and
// to a pause where reading a keystroke's prompt takes too long, but for where a line begins.
#include <algorithm>
#include <utility>

#include "lsp/completion/inline_completion.hpp"
#include "lsp/completion/lines.hpp"
#include "lsp/context/reading.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// Who has not typed for so long is waiting for something.
constexpr std::chrono::milliseconds long_pause{400};

}  // namespace

void InlineCompletions::learn_model() {
  session_.completion_model.describe(
      lifetime_.guard([this](const Result<ModelDescription>& description) {
        if (const auto* model = std::get_if<ModelDescription>(&description)) {
          steps_aside_ = model->capabilities.parking;
          reads_too_slowly_ =
              reads_too_slowly(model->profile.fim_order, model->profile.completion_speed,
                               session_.options.inline_max_read);
        }
      }));
}

// None for what is there already or under way.
std::chrono::milliseconds InlineCompletions::pause_before(const Place& place) const {
  const bool known = std::ranges::any_of(completions_, [&](const auto& entry) {
    return entry.second.typed_toward(*place.snapshot, place.cursor).has_value();
  });
  if (known) return std::chrono::milliseconds{0};
  const std::chrono::milliseconds debounce = session_.options.inline_debounce;
  const Text& text = *place.snapshot->text;
  const bool begins_line = is_blank(line_before(text.view({text.begin(), place.cursor})));
  return reads_too_slowly_ && !begins_line ? std::max(long_pause, debounce) : debounce;
}

void InlineCompletions::wait_for_pause(Waiter waiter, std::chrono::milliseconds pause) {
  const std::string uri = waiter.place.snapshot->uri;
  supersede(uri, 0, waiter.id);
  const auto timer = session_.host.after(pause, lifetime_.guard([this, uri] { paused(uri); }));
  Pause& waiting = pauses_.emplace(uri, Pause{waiter.place, std::nullopt, timer}).first->second;
  if (longest_hold() <= pause) {
    waiter.reply.result(nullptr);
    return;
  }
  waiter.reply.on_cancel(lifetime_.guard([this, uri] { end_pause(uri); }));
  waiting.waiter = std::move(waiter);
}

void InlineCompletions::paused(const std::string& uri) {
  auto waited = take_pause(uri);
  if (!waited) return;
  if (waited->waiter) return serve(std::move(*waited->waiter));
  Completion& completion = find_or_start(waited->place)->second;
  if (!completion.answer) completion.keep = true;
}

std::optional<InlineCompletions::Pause> InlineCompletions::take_pause(const std::string& uri) {
  auto node = pauses_.extract(uri);
  if (node.empty()) return std::nullopt;
  session_.host.cancel_timer(node.mapped().timer);
  return std::move(node.mapped());
}

void InlineCompletions::end_pause(const std::string& uri) {
  auto waited = take_pause(uri);
  if (waited && waited->waiter) waited->waiter->reply.result(nullptr);
}

}  // namespace hearth::lsp
