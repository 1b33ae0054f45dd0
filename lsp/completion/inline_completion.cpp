// Requests, waiting and reuse of inline completions.
#include "lsp/completion/inline_completion.hpp"

#include <algorithm>
#include <utility>

#include "lsp/completion/text.hpp"
#include "lsp/protocol/constants.hpp"
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

// The item selected in a client's popup, which a completion has to begin with.
struct Hint {
  std::string text;
  Range range;
};

// An array of two positions is how some language clients write their own ranges. A hint that cannot
// be read, or that takes the place of more than one line's text, is none: the request is still
// about the cursor.
std::optional<Hint> read_hint(const Json& params) {
  const Json* item = find_path(params, {"context", "selectedCompletionInfo"});
  if (item == nullptr) return std::nullopt;
  try {
    const Json& range = member(*item, "range");
    std::string text = string_member(*item, "text");
    if (range.is_array() && range.size() != 2) return std::nullopt;
    const Range place = range.is_array() ? Range{range[0].get<Position>(), range[1].get<Position>()}
                                         : range.get<Range>();
    if (place.start.line != place.end.line) return std::nullopt;
    return Hint{std::move(text), place};
  } catch (const InvalidParams&) {
    return std::nullopt;
  }
}

bool is_automatic(const Json& params) {
  const Json* trigger = find_path(params, {"context", "triggerKind"});
  return trigger != nullptr && *trigger == inline_completion_trigger::automatic;
}

bool is_inside_word(const Snapshot& snapshot, Byte cursor) {
  const Text& text = *snapshot.text;
  return inside_word(text.view({text.begin(), cursor}),
                     text.view({cursor, Byte{text.str().size()}}));
}

extension::CompletionDetail detail_of(const Answer& answer, bool reused) {
  return {reused,
          answer.prompt_tokens,
          answer.cached_tokens,
          answer.answer_tokens,
          answer.prompt_time.count(),
          answer.answer_time.count()};
}

}  // namespace

bool InlineCompletions::Completion::agrees_with(std::string_view typed) const {
  if (!answer) return text.starts_with(typed) || typed.starts_with(text);
  return text.starts_with(typed) && (typed.empty() || typed.size() < text.size());
}

std::optional<std::string> InlineCompletions::Completion::typed_toward(const Snapshot& now,
                                                                       Byte cursor) const {
  if (now.uri != place.snapshot->uri) return std::nullopt;
  const auto typed =
      typed_between(place.snapshot->text->str(), place.cursor, now.text->str(), cursor);
  if (!typed || !agrees_with(*typed)) return std::nullopt;
  return std::string(*typed);
}

InlineCompletions::InlineCompletions(Session& session) : session_(session) {
  session.rpc.on_request("textDocument/inlineCompletion",
                         [this](const Json& params, Reply& reply) { request(params, reply); });
}

InlineCompletions::~InlineCompletions() {
  for (auto& [id, completion] : completions_) {
    for (const Waiter& waiter : completion.waiters) {
      if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
    }
    if (completion.generation && !completion.answer) session_.model.cancel(*completion.generation);
  }
}

void InlineCompletions::changed(const SnapshotPtr& now) {
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
  std::vector<CompletionId> of_document;
  for (auto& [id, completion] : completions_) {
    if (completion.place.snapshot->uri != uri) continue;
    for (Waiter& waiter : std::exchange(completion.waiters, {})) {
      if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
      waiter.reply.result(nullptr);
    }
    completion.keep = false;
    of_document.push_back(id);
  }
  for (const CompletionId id : of_document) {
    stop_unwanted(id);
    completions_.erase(id);
  }
}

void InlineCompletions::request(const Json& params, Reply& reply) {
  const Place place = read_place(params);
  const bool automatic = is_automatic(params);
  if (automatic && (is_quiet(*place.snapshot) || is_inside_word(*place.snapshot, place.cursor))) {
    reply.result(nullptr);
    supersede(place.snapshot->uri, 0, ++last_id_);
    return;
  }
  const Entry entry = find_or_start(place);
  auto& [id, completion] = *entry;

  Waiter waiter{++last_id_, std::move(reply), !automatic, place, session_.host.now(),
                {},         std::nullopt};
  waiter.typed = completion.typed_toward(*place.snapshot, place.cursor).value_or("");
  const std::uint64_t waiter_id = waiter.id;
  if (completion.answer) {
    answer(std::move(waiter), completion, true);
  } else if (automatic && longest_hold() == std::chrono::milliseconds{0}) {
    completion.keep = true;
    waiter.reply.result(nullptr);
  } else {
    wait(entry, std::move(waiter));
  }
  supersede(place.snapshot->uri, id, waiter_id);
}

bool InlineCompletions::is_quiet(const Snapshot& snapshot) const {
  return !session_.settings.completes || session_.host.now() < session_.snoozed_until ||
         is_off(session_.settings, snapshot, session_.folders);
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
  for (auto entry = completions_.begin(); entry != completions_.end(); ++entry) {
    if (entry->second.typed_toward(*place.snapshot, place.cursor)) return entry;
  }
  return start(place);
}

InlineCompletions::Entry InlineCompletions::start(const Place& place) {
  forget_oldest();
  const CompletionId id = ++last_id_;
  const Entry entry = completions_.emplace(id, Completion{place, {}, 0, {}, {}, false, {}}).first;
  make_prompt(
      session_.host, session_.model, session_.token_counts,
      [syntax = session_.syntax, snapshot = place.snapshot, cursor = place.cursor,
       tokens = session_.options.inline_max_tokens](const ModelProfile& profile) {
        return plan_inline(*syntax, snapshot, cursor, profile, tokens);
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
  for (auto& [id, completion] : completions_) {
    for (Waiter& waiter : completion.waiters) {
      if (!waiter.hold) continue;
      goes_on_waiting_ = true;
      session_.host.cancel_timer(*waiter.hold);
      waiter.hold = hold(id, waiter);
    }
  }
}

void InlineCompletions::answer(Waiter waiter, const Completion& completion, bool reused) {
  if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
  const std::string rest = completion.text.substr(waiter.typed.size());
  if (rest.empty()) {
    waiter.reply.result(nullptr);
    return;
  }
  std::string text = waiter.place.selected + rest;
  if (session_.client.adds_line_endings) {
    text = without_common_ending(*waiter.place.snapshot->text, std::move(text));
  }
  Json item{{"insertText", std::move(text)}, {"range", waiter.place.replaced}};
  if (session_.client.has(extension::feature_inline_completion)) {
    item["hearth"] = detail_of(*completion.answer, reused);
  }
  waiter.reply.result({{"items", Json::array({std::move(item)})}});
}

void InlineCompletions::planned(CompletionId id, Result<Planned> result) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;  // stopped meanwhile
  if (const auto* error = std::get_if<ModelError>(&result)) {
    fail(entry, *error);
    return;
  }
  Completion& completion = entry->second;
  const Text& document = *completion.place.snapshot->text;
  const Byte cursor = completion.place.cursor;
  GenerateOptions options;
  options.priority = Priority::inline_completion;
  options.max_tokens = session_.options.inline_max_tokens;
  const bool one_line = stays_on_line(document.view({document.begin(), cursor}),
                                      document.view({cursor, Byte{document.str().size()}}));
  if (one_line) options.stop_strings = {"\n"};
  GenerationEvents events;
  events.on_text = lifetime_.guard([this, id](const std::string& text) { wrote(id, text); });
  events.on_done =
      lifetime_.guard([this, id](Result<Answer> answer) { finished(id, std::move(answer)); });
  Prompt& prompt = std::get<Planned>(result).prompt;
  completion.prompt_bytes = bytes_of(prompt);
  completion.generation =
      session_.model.generate(std::move(prompt), std::move(options), std::move(events));
}

void InlineCompletions::wrote(CompletionId id, const std::string& text) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  const Place& place = completion.place;
  completion.text +=
      with_line_endings(place.snapshot->text->line_ending(place.cursor), valid_utf8(text));

  std::vector<Waiter> parted;
  std::vector<Waiter> along;
  for (Waiter& waiter : std::exchange(completion.waiters, {})) {
    (completion.agrees_with(waiter.typed) ? along : parted).push_back(std::move(waiter));
  }
  completion.waiters = std::move(along);
  const bool contradicted =
      completion.waiters.empty() && completion.place.selected.empty() && !typed_now(completion);
  if (!parted.empty() || contradicted) completion.keep = false;
  stop_unwanted(id);
  restart(std::move(parted));
}

void InlineCompletions::finished(CompletionId id, Result<Answer> result) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  if (const auto* error = std::get_if<ModelError>(&result)) {
    fail(entry, *error);
    return;
  }
  const auto answer = std::make_shared<Answer>(std::move(std::get<Answer>(result)));
  const auto text = std::make_shared<std::string>();
  session_.token_counts->learn(entry->second.prompt_bytes, answer->prompt_tokens);
  const Place& place = entry->second.place;
  session_.host.background(
      [text, answer, syntax = session_.syntax, snapshot = place.snapshot, cursor = place.cursor] {
        *text = fitted_completion(answer->text, answer->finish != FinishReason::stop, *syntax,
                                  snapshot, cursor);
      },
      lifetime_.guard([this, id, text, answer] { fitted(id, std::move(*text), *answer); }));
}

void InlineCompletions::fitted(CompletionId id, std::string text, Answer answer_of_model) {
  const Entry entry = completions_.find(id);
  if (entry == completions_.end()) return;
  Completion& completion = entry->second;
  completion.answer = std::move(answer_of_model);
  completion.text = std::move(text);
  if (completion.waiters.empty()) announce(completion);
  std::vector<Waiter> parted;
  for (Waiter& waiter : std::exchange(completion.waiters, {})) {
    if (completion.agrees_with(waiter.typed)) {
      answer(std::move(waiter), completion, false);
    } else {
      parted.push_back(std::move(waiter));
    }
  }
  restart(std::move(parted));
}

void InlineCompletions::fail(Entry entry, const ModelError& error) {
  const std::string message = valid_utf8(error.message);
  if (error.kind != ModelError::Kind::cancelled)
    session_.host.log(LogLevel::warn, "inline completion: " + message);
  std::vector<Waiter> waiters = std::move(entry->second.waiters);
  completions_.erase(entry);
  for (Waiter& waiter : waiters) {
    if (waiter.hold) session_.host.cancel_timer(*waiter.hold);
    if (waiter.invoked) {
      waiter.reply.error(error_code::request_failed, message);
    } else {
      waiter.reply.result(nullptr);
    }
  }
}

// Those who typed something else than the model wrote get a completion of their own.
void InlineCompletions::restart(std::vector<Waiter> waiters) {
  for (Waiter& waiter : waiters) {
    const Entry entry = find_or_start(waiter.place);
    waiter.typed =
        entry->second.typed_toward(*waiter.place.snapshot, waiter.place.cursor).value_or("");
    if (entry->second.answer) {
      answer(std::move(waiter), entry->second, true);
    } else {
      wait(entry, std::move(waiter));
    }
  }
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
  const Completion& completion = entry->second;
  if (completion.answer || completion.keep || !completion.waiters.empty()) return;
  const auto generation = completion.generation;
  completions_.erase(entry);
  if (generation) session_.model.cancel(*generation);
}

void InlineCompletions::forget_oldest() {
  auto ready = std::count_if(completions_.begin(), completions_.end(),
                             [](const auto& entry) { return entry.second.answer.has_value(); });
  for (auto entry = completions_.begin(); entry != completions_.end() && ready >= remembered;) {
    if (!entry->second.answer) {
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
