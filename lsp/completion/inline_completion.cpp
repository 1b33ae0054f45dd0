// Requests, waiting and reuse of inline completions.
#include "lsp/completion/inline_completion.hpp"

#include <algorithm>
#include <utility>

#include "lsp/completion/inline_request.hpp"
#include "lsp/completion/text.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/protocol/settings.hpp"

namespace hearth::lsp {
namespace {

constexpr std::ptrdiff_t remembered = 8;  // ready completions
// A client that cancels because it will ask again does so within this.
constexpr std::chrono::milliseconds grace{2000};
// Nobody notices an editor that blocks for so long; one that does not may speak meanwhile.
constexpr std::chrono::milliseconds trial{150};
// Whoever spoke while it waited goes on while it waits, as far as we have seen; if not, it is not
// held longer than clients bear that block.
constexpr std::chrono::milliseconds learnt_hold{8000};

bool is_inside_word(const Snapshot& snapshot, Byte cursor) {
  const Text& text = *snapshot.text;
  return inside_word(text.view({text.begin(), cursor}),
                     text.view({cursor, Byte{text.str().size()}}));
}

}  // namespace

bool InlineCompletions::Completion::agrees_with(std::string_view typed) const {
  if (!answer) return text.starts_with(typed) || typed.starts_with(text);
  return text.starts_with(typed) && (typed.empty() || typed.size() < text.size());
}

std::optional<std::string> InlineCompletions::Completion::typed_toward(const Snapshot& now,
                                                                       Byte cursor) const {
  if (now.uri != place.snapshot->uri) return std::nullopt;
  const std::string& then = place.snapshot->text->str();
  auto typed = typed_between(then, place.cursor, now.text->str(), cursor);
  if (!typed && answer) typed = typed_nearby(then, place.cursor, now.text->str(), cursor, text);
  if (!typed || !agrees_with(*typed)) return std::nullopt;
  return std::string(*typed);
}

InlineCompletions::InlineCompletions(Session& session) : session_(session) {
  learn_model();
  session.rpc.on_request("textDocument/inlineCompletion",
                         [this](const Json& params, Reply& reply) { request(params, reply); });
  const std::string execute = "workspace/executeCommand";
  auto others = session.rpc.handler(execute);
  session.rpc.on_request(execute, [this, others](const Json& params, Reply& reply) {
    if (string_member(params, "command") == accepted_command) return accepted(params, reply);
    others(params, reply);
  });
}

InlineCompletions::~InlineCompletions() {
  for (const auto& [uri, waiting] : pauses_) session_.host.cancel_timer(waiting.timer);
  for (auto& [id, completion] : completions_) {
    for (const Waiter& waiter : completion.waiters) {
      if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
    }
    if (completion.generation && !completion.answer)
      session_.completion_model.cancel(*completion.generation);
    stop_drawing(completion);
  }
}

void InlineCompletions::changed(const SnapshotPtr& now) {
  end_pause(now->uri);
  std::vector<CompletionId> diverged;
  for (auto& [id, completion] : completions_) {
    // With a popup's item in it, the text never was the document's: the next request will tell.
    const bool comparable = completion.place.snapshot->uri == now->uri && !completion.answer &&
                            completion.place.selected.empty();
    if (!comparable || typed_now(completion)) continue;
    dismiss_automatic(completion, 0);
    completion.keep = false;
    diverged.push_back(id);
  }
  for (const CompletionId id : diverged) stop_unwanted(id);
}

void InlineCompletions::closed(const std::string& uri) {
  suffix_ends_.erase(uri);
  shown_.erase(uri);
  end_pause(uri);
  std::vector<CompletionId> of_document;
  for (auto& [id, completion] : completions_) {
    if (completion.place.snapshot->uri != uri) continue;
    for (Waiter& waiter : std::exchange(completion.waiters, {})) {
      if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
      waiter.reply.result(nullptr);
    }
    completion.keep = false;
    stop_drawing(completion);
    of_document.push_back(id);
  }
  for (const CompletionId id : of_document) {
    stop_unwanted(id);
    completions_.erase(id);
  }
}

void InlineCompletions::request(const Json& params, Reply& reply) {
  Place place = read_place(params);
  const bool automatic = is_automatic(params);
  end_pause(place.snapshot->uri);
  if (automatic && (is_quiet(*place.snapshot) || is_inside_word(*place.snapshot, place.cursor))) {
    reply.result(nullptr);
    supersede(place.snapshot->uri, 0, ++last_id_);
    return;
  }
  Waiter waiter{++last_id_, std::move(reply), !automatic, std::move(place), session_.host.now(),
                {},         std::nullopt};
  const auto pause = automatic ? pause_before(waiter.place) : std::chrono::milliseconds{0};
  if (pause.count() > 0) {
    wait_for_pause(std::move(waiter), pause);
  } else {
    serve(std::move(waiter));
  }
}

void InlineCompletions::serve(Waiter waiter) {
  const std::string uri = waiter.place.snapshot->uri;
  const std::uint64_t waiter_id = waiter.id;
  const Entry entry = find_or_start(waiter.place);
  auto& [id, completion] = *entry;
  waiter.typed = completion.typed_toward(*waiter.place.snapshot, waiter.place.cursor).value_or("");
  if (completion.answer && !(waiter.invoked && has_more_to_draw(completion))) {
    answer(std::move(waiter), entry, true);
  } else if (!waiter.invoked && longest_hold() == std::chrono::milliseconds{0}) {
    completion.keep = true;
    waiter.reply.result(nullptr);
  } else {
    wait(entry, std::move(waiter));
  }
  supersede(uri, id, waiter_id);
}

bool InlineCompletions::is_quiet(const Snapshot& snapshot) const {
  return !session_.settings.completes || session_.host.now() < session_.snoozed_until ||
         is_off(session_.settings, snapshot, session_.folders) ||
         // Behind a job that does not step aside it would come when nobody wants it any more.
         (!steps_aside_ && session_.jobs.is_any_running());
}

InlineCompletions::Place InlineCompletions::read_place(const Json& params) const {
  const SnapshotPtr snapshot = session_.documents.required(document_uri(params));
  const Encoding encoding = session_.documents.encoding();
  const Position position = position_member(params, "position");
  const Text& text = *snapshot->text;
  const std::optional<Hint> hint = read_hint(params);
  if (!hint) {
    const Byte cursor = text.offset(position, encoding);
    return {snapshot, cursor, {}, text.range({cursor, cursor}, encoding), position};
  }
  const ByteRange replaced = text.bytes(hint->range, encoding);
  const std::string selected = valid_utf8(hint->text);
  const auto accepted = std::make_shared<const Snapshot>(
      Snapshot{snapshot->uri, snapshot->language_id, snapshot->version,
               std::make_shared<const Text>(text.edited(replaced, selected))});
  return {accepted, Byte{replaced.begin.value + selected.size()}, selected,
          text.range(replaced, encoding), position};
}

InlineCompletions::Entry InlineCompletions::find_or_start(const Place& place) {
  for (auto entry = completions_.end(); entry != completions_.begin();) {
    --entry;  // the newest first
    if (entry->second.typed_toward(*place.snapshot, place.cursor)) return entry;
  }
  return start(place);
}

InlineCompletions::Entry InlineCompletions::start(const Place& place) {
  forget_oldest();
  learn_model();
  const CompletionId id = ++last_id_;
  const Entry entry = completions_.emplace(id, Completion{place}).first;
  make_prompt(
      session_.host, session_.completion_model, session_.completion_counts,
      [syntax = session_.syntax, snapshot = place.snapshot, cursor = place.cursor,
       reading = InlineReading{session_.options.inline_max_tokens, session_.options.inline_max_read,
                               suffix_ends_[place.snapshot->uri]}](const ModelProfile& profile) {
        return plan_inline(*syntax, snapshot, cursor, profile, reading);
      },
      lifetime_.guard([this, id](Result<Planned> result) { planned(id, std::move(result)); }));
  return entry;
}

void InlineCompletions::wait(Entry entry, Waiter waiter) {
  const auto completion = entry->first;
  const auto id = waiter.id;
  waiter.reply.on_cancel(
      lifetime_.guard([this, completion, id] { client_cancelled(completion, id); }));
  if (waiter.hold) session_.host.cancel_timer(*std::exchange(waiter.hold, std::nullopt));
  if (!waiter.invoked) waiter.hold = hold(completion, waiter);
  entry->second.waiters.push_back(std::move(waiter));
  draw_alternatives(entry);
}

Host::TimerId InlineCompletions::hold(CompletionId completion, const Waiter& waiter) {
  using std::chrono::milliseconds;
  const auto waited = std::chrono::floor<milliseconds>(session_.host.now() - waiter.since);
  return session_.host.after(
      std::max(longest_hold() - waited, milliseconds{0}),
      lifetime_.guard([this, completion, id = waiter.id] { hold_expired(completion, id); }));
}

std::chrono::milliseconds InlineCompletions::longest_hold() const {
  const std::chrono::milliseconds max = session_.options.inline_hold;
  switch (session_.client.inline_waiting) {
    case InlineWaiting::blocks:
      return std::chrono::milliseconds{0};
    case InlineWaiting::asynchronous:
      return max;
    case InlineWaiting::unknown:
      break;
  }
  return std::min(max, goes_on_waiting_ ? learnt_hold : trial);
}

void InlineCompletions::heard(std::string_view method) {
  // A client that blocks may still cancel.
  const bool tells = session_.client.inline_waiting == InlineWaiting::unknown &&
                     !goes_on_waiting_ && !method.starts_with("$/");
  if (!tells) return;
  const auto waits = [](const auto& pause) { return pause.second.waiter.has_value(); };
  if (std::ranges::any_of(pauses_, waits)) goes_on_waiting_ = true;
  for (auto& [id, completion] : completions_) {
    for (Waiter& waiter : completion.waiters) {
      if (!waiter.hold) continue;
      goes_on_waiting_ = true;
      session_.host.cancel_timer(*waiter.hold);
      waiter.hold = hold(id, waiter);
    }
  }
}

// A newer request for the document: older automatic ones get nothing, and what nobody waits for any
// more is stopped.
void InlineCompletions::supersede(const std::string& uri, CompletionId chosen,
                                  std::uint64_t newest) {
  std::vector<CompletionId> others;
  for (auto& [id, completion] : completions_) {
    if (completion.place.snapshot->uri != uri) continue;
    dismiss_automatic(completion, newest);
    if (id == chosen) continue;
    completion.keep = false;
    others.push_back(id);
  }
  for (const CompletionId id : others) stop_unwanted(id);
}

void InlineCompletions::hold_expired(CompletionId id, std::uint64_t waiter) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  auto expired = take_waiter(entry->second, waiter);
  if (!expired) return;
  expired->reply.result(nullptr);
  entry->second.keep = true;
}

void InlineCompletions::client_cancelled(CompletionId id, std::uint64_t waiter) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  if (!take_waiter(completion, waiter)) return;
  const auto typed = typed_now(completion);
  completion.keep = typed && !typed->empty() && !completion.text.empty();  // typing along
  if (completion.keep) {
    session_.host.after(grace, lifetime_.guard([this, id] { stop_waiting(id); }));
  } else {
    stop_unwanted(id);
  }
}

void InlineCompletions::stop_waiting(CompletionId id) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  entry->second.keep = false;
  stop_unwanted(id);
}

void InlineCompletions::dismiss_automatic(Completion& completion, std::uint64_t except) {
  for (Waiter& waiter : std::exchange(completion.waiters, {})) {
    if (waiter.invoked || waiter.id == except) {
      completion.waiters.push_back(std::move(waiter));
      continue;
    }
    if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
    waiter.reply.result(nullptr);
  }
}

std::optional<InlineCompletions::Waiter> InlineCompletions::take_waiter(Completion& completion,
                                                                        std::uint64_t waiter) {
  const auto found = std::find_if(completion.waiters.begin(), completion.waiters.end(),
                                  [&](const Waiter& one) { return one.id == waiter; });
  if (found == completion.waiters.end()) return std::nullopt;
  std::optional<Waiter> taken = std::move(*found);
  completion.waiters.erase(found);
  if (taken->hold) session_.host.cancel_timer(*taken->hold);
  return taken;
}

void InlineCompletions::stop_unwanted(CompletionId id) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  const auto invoked = [](const Waiter& waiter) { return waiter.invoked; };
  if (std::ranges::none_of(completion.waiters, invoked)) stop_drawing(completion);
  if (completion.answer || completion.keep || !completion.waiters.empty()) return;
  const auto generation = completion.generation;
  completions_.erase(entry);
  if (generation) session_.completion_model.cancel(*generation);
}

void InlineCompletions::forget_oldest() {
  const auto is_done = [](const auto& entry) {
    return entry.second.answer.has_value() && entry.second.waiters.empty();
  };
  auto ready = std::ranges::count_if(completions_, is_done);
  for (auto entry = completions_.begin(); entry != completions_.end() && ready >= remembered;) {
    if (!is_done(*entry)) {
      ++entry;
      continue;
    }
    entry = completions_.erase(entry);
    --ready;
  }
}

std::optional<std::string> InlineCompletions::typed_now(const Completion& completion) const {
  const Snapshot& then = *completion.place.snapshot;
  const SnapshotPtr now = session_.documents.find(then.uri);
  if (!now) return std::nullopt;
  const std::size_t size = now->text->str().size();
  const std::size_t old_size = then.text->str().size();
  if (size < old_size) return std::nullopt;
  return completion.typed_toward(*now, Byte{completion.place.cursor.value + (size - old_size)});
}

}  // namespace hearth::lsp
