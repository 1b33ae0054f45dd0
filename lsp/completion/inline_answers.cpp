// What a client is told of completions: items, that one is ready, and what became of those shown.
#include <algorithm>
#include <utility>

#include "lsp/completion/inline_completion.hpp"
#include "lsp/completion/text.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {
namespace {

extension::CompletionDetail detail_of(const Answer& answer, bool reused) {
  return {reused,
          answer.prompt_tokens,
          answer.cached_tokens,
          answer.answer_tokens,
          answer.prompt_time.count(),
          answer.answer_time.count(),
          answer.by.empty() ? std::nullopt : std::optional(valid_utf8(answer.by))};
}

}  // namespace

// The completion and its alternatives, behind what was typed since.
std::vector<std::string> InlineCompletions::candidates(const Completion& completion,
                                                       const Waiter& waiter) {
  std::vector<std::string> rests;
  const auto add = [&](const std::string& text) {
    if (!text.starts_with(waiter.typed) || text.size() == waiter.typed.size()) return;
    std::string rest = text.substr(waiter.typed.size());
    if (std::ranges::find(rests, rest) == rests.end()) rests.push_back(std::move(rest));
  };
  add(completion.text);
  if (waiter.invoked) std::ranges::for_each(completion.alternatives, add);
  return rests;
}

void InlineCompletions::answer(Waiter waiter, Entry entry, bool reused) {
  if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
  const auto& [id, completion] = *entry;
  Json items = Json::array();
  for (const std::string& rest : candidates(completion, waiter)) {
    std::string text = waiter.place.selected + rest;
    if (session_.client.adds_line_endings) {
      text = without_common_ending(*waiter.place.snapshot->text, std::move(text));
    }
    Json item{
        {"insertText", std::move(text)},
        {"range", waiter.place.replaced},
        {"command",
         {{"title", "Accepted"}, {"command", accepted_command}, {"arguments", Json::array({id})}}}};
    if (session_.client.has(extension::feature_inline_completion)) {
      item["hearth"] = detail_of(*completion.answer, reused);
    }
    items.push_back(std::move(item));
  }
  if (items.empty()) return waiter.reply.result(nullptr);
  count_shown(waiter.place.snapshot->uri, id);
  waiter.reply.result({{"items", std::move(items)}});
}

// One that is replaced without having been accepted was rejected, whatever the reason.
void InlineCompletions::count_shown(const std::string& uri, CompletionId id) {
  const auto [shown, is_first] = shown_.try_emplace(uri, id);
  if (!is_first && shown->second == id) return;  // typed along
  if (!is_first) ++counts().rejected;
  ++counts().shown;
  shown->second = id;
}

// What an editor says that has inserted an item: nothing but that is counted, and nothing logged.
void InlineCompletions::accepted(const Json& params, Reply& reply) {
  const Json& arguments = array_member(params, "arguments");
  for (auto shown = shown_.begin(); shown != shown_.end(); ++shown) {
    if (arguments.empty() || arguments.front() != shown->second) continue;
    ++counts().accepted;
    shown_.erase(shown);
    break;
  }
  reply.result(nullptr);
}

InlineCounts& InlineCompletions::counts() {
  return session_.options.inline_counts != nullptr ? *session_.options.inline_counts : own_counts_;
}

// Only to clients that know what it means: the completion can be fetched now.
void InlineCompletions::announce(const Completion& completion) {
  if (!session_.client.has(extension::feature_inline_completion)) return;
  const Snapshot& then = *completion.place.snapshot;
  const SnapshotPtr now = session_.documents.find(then.uri);
  if (!now || completion.text.empty()) return;
  extension::InlineCompletionReady ready{then.uri, now->version, completion.place.position};
  if (now->version != then.version) {
    const auto typed = typed_now(completion);
    if (!typed) return;
    ready.position = now->text->position(Byte{completion.place.cursor.value + typed->size()},
                                         session_.documents.encoding());
  }
  session_.rpc.notify(extension::InlineCompletionReady::method, ready);
}

}  // namespace hearth::lsp
