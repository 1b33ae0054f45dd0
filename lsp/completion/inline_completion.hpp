// Inline completion for one session: which generation answers which request, for how long a request
// is held, what is reused of what was typed along, and when a generation is stopped. What the model
// sees is context.hpp's, trimming is text.hpp's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/text.hpp"
#include "lsp/context/context.hpp"
#include "lsp/context/planning.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class InlineCompletions {
 public:
  // Of the items that are shown: an editor runs it when it has inserted one.
  static constexpr const char* accepted_command = "hearth.server.accepted";

  // Registers its method, and its command beside those that are registered already. The session
  // outlives it.
  explicit InlineCompletions(Session& session);
  ~InlineCompletions();  // stops what it alone was waiting for

  // To be told of each request and notification of the client, before it is handled: one that
  // speaks while it waits for an automatic completion does not block.
  void heard(std::string_view method);
  // To be told of each change, after it was applied.
  void changed(const SnapshotPtr& now);
  void closed(const std::string& uri);

 private:
  // Where a completion is asked for.
  struct Place {
    SnapshotPtr snapshot;  // with the popup's selected item in it, as if it were accepted
    Byte cursor;           // in that snapshot
    std::string selected;  // the item's text, which a result has to begin with
    Range replaced;        // what a result replaces in the client's document
    Position position;     // the cursor as the client gave it
  };
  struct Waiter {
    std::uint64_t id = 0;
    Reply reply;
    bool invoked = false;
    Place place;
    std::chrono::steady_clock::time_point since;
    std::string typed;  // since the completion's own place
    std::optional<Host::TimerId> hold;
  };
  // An automatic request that is served, and costs something, once nothing was typed for a while.
  struct Pause {
    Place place;
    std::optional<Waiter> waiter;  // empty: its client was answered at once
    Host::TimerId timer = 0;
  };
  // One completion, from planning to ready.
  struct Completion {
    Place place;
    std::shared_ptr<const Prompt> prompt = {};    // null: not made yet
    std::optional<GenerationId> generation = {};  // from then on
    std::string text = {};                        // so far; once ready, trimmed
    std::optional<Answer> answer = {};            // set: ready
    bool keep = false;                            // goes on with nobody waiting
    std::vector<Waiter> waiters = {};
    // Whether its node closes in the text is found out line by line.
    std::size_t looked_at = 0;  // bytes of the text
    bool looking = false;
    GenerationProgress progress = {};
    std::chrono::steady_clock::time_point begun = {};       // when its prompt was made
    std::chrono::steady_clock::time_point first_text = {};  // when there was some
    // Of an invoked request, trimmed; those that are being written, by seed.
    std::vector<std::string> alternatives = {};
    std::map<std::uint64_t, GenerationId> drawing = {};
    bool drawn = false;  // they were asked for

    bool agrees_with(std::string_view typed) const;
    std::optional<std::string> typed_toward(const Snapshot& now, Byte cursor) const;
  };
  using CompletionId = std::uint64_t;
  using Entry = std::map<CompletionId, Completion>::iterator;

  // A request's way to a completion.
  void request(const Json& params, Reply& reply);
  bool is_quiet(const Snapshot& snapshot) const;  // nothing is completed there unasked
  void serve(Waiter waiter);
  Place read_place(const Json& params) const;
  Entry find_or_start(const Place& place);
  Entry start(const Place& place);
  void wait(Entry entry, Waiter waiter);
  Host::TimerId hold(CompletionId completion, const Waiter& waiter);
  std::chrono::milliseconds longest_hold() const;  // of an automatic request; 0: not at all

  // What clients are told, and what becomes of it.
  static std::vector<std::string> candidates(const Completion& completion, const Waiter& waiter);
  void answer(Waiter waiter, Entry entry, bool reused);
  void count_shown(const std::string& uri, CompletionId id);
  void accepted(const Json& params, Reply& reply);
  InlineCounts& counts();
  void announce(const Completion& completion);

  // Where the next keystroke may follow at once, or one takes too long to read.
  void learn_model();
  std::chrono::milliseconds pause_before(const Place& place) const;  // 0: none
  void wait_for_pause(Waiter waiter, std::chrono::milliseconds pause);
  void paused(const std::string& uri);
  std::optional<Pause> take_pause(const std::string& uri);
  void end_pause(const std::string& uri);

  // A completion's way to its text.
  void planned(CompletionId id, Result<Planned> result);
  void wrote(CompletionId id, const std::string& text);
  void finished(CompletionId id, Result<Answer> result);
  void fitted(CompletionId id, std::string text, Answer answer_of_model);
  GenerateOptions options_at(const Place& place) const;
  void fit(const Place& place, std::shared_ptr<const Answer> answer,
           std::function<void(std::string)> then);
  void look_for_end(CompletionId id);
  void looked(CompletionId id, FittedCompletion fitted);
  void answer_waiters(Entry entry);
  void fail(Entry entry, const ModelError& error);
  void restart(std::vector<Waiter> waiters);

  // Several candidates, where somebody asked for them.
  std::size_t most_candidates(const Place& place) const;
  bool has_more_to_draw(const Completion& completion) const;
  void draw_alternatives(Entry entry);
  void drew(CompletionId id, std::uint64_t seed, Result<Answer> result);
  void alternative(CompletionId id, std::uint64_t seed, std::string text);
  void stop_drawing(Completion& completion);

  // When nobody wants it any more.
  void supersede(const std::string& uri, CompletionId chosen, std::uint64_t newest);
  void hold_expired(CompletionId id, std::uint64_t waiter);
  void client_cancelled(CompletionId id, std::uint64_t waiter);
  void dismiss_automatic(Completion& completion, std::uint64_t except);
  std::optional<Waiter> take_waiter(Completion& completion, std::uint64_t waiter);
  void stop_waiting(CompletionId id);
  void stop_unwanted(CompletionId id);
  void forget_oldest();

  // What was typed since, in the document as it is now; nothing: another way was taken.
  std::optional<std::string> typed_now(const Completion& completion) const;

  Session& session_;
  std::map<CompletionId, Completion> completions_;
  std::map<std::string, SuffixEnd> suffix_ends_;  // by document; as long as it is open
  std::map<std::string, CompletionId> shown_;     // by document; not accepted so far
  InlineCounts own_counts_;
  std::map<std::string, Pause> pauses_;  // by document
  bool steps_aside_ = true;              // the model, in the middle of a job
  bool reads_too_slowly_ = false;        // as was last measured
  std::uint64_t last_id_ = 0;
  bool goes_on_waiting_ = false;  // learnt of a client whose waiting is unknown
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
