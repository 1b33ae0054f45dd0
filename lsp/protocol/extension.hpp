// The hearth/* extension of LSP, whole: names, payloads, version. Editor plugins are written
// against this file; other clients never see any of it. Who sends what, and when, is beside
// each payload.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

// On the wire by these names.
enum class JobState : std::uint8_t {
  queued,
  prefilling,
  thinking,
  generating,
  paused,   // until a person goes on with it
  waiting,  // the answer is whole, and a person is to say what becomes of it
  done,
  failed,
  cancelled
};
std::string_view name(JobState state);
JobState job_state_member(const nlohmann::json& object,
                          const char* member);  // throws InvalidParams
// The model works on it, or is to.
bool runs(JobState state);
// Nothing more happens to it of its own.
bool ended(JobState state);

enum class ModelState : std::uint8_t { loading, ready, failed };
std::string_view name(ModelState state);

}  // namespace hearth::lsp

namespace hearth::lsp::extension {

// ── Negotiation ──────────────────────────────────────────────────────────────────────────────────
// The client, in InitializeParams:
//   "initializationOptions": {"hearth": {"protocol": 3, "features": ["jobs", "inlineCompletion",
//                                                                     "status"]}}
// The server, in InitializeResult.capabilities:
//   "experimental": {"hearth": {"protocol": 3, "features": [those it grants]}}
// `protocol` in the reply is the lower of both sides' versions. Nothing is sent that was not
// granted. A client older than oldest_protocol_version is granted nothing, and told so by
// window/showMessage. The requests hearth/status and hearth/cancelJob are always served.
// Version 2 renamed the job states "reading" and "writing" of version 1; version 3 has the states
// "paused" and "waiting", and tells of jobs that other sessions began.
inline constexpr std::int64_t protocol_version = 3;
inline constexpr std::int64_t oldest_protocol_version = 3;

// The client shows jobs and their answers itself: it gets hearth/jobState and hearth/textDelta, and
// no virtual document, file or window/showDocument. (Where it also announces
// window.workDoneProgress it gets standard progress as well.)
inline constexpr std::string_view feature_jobs = "jobs";
// The client asks for inline completions asynchronously: an Automatic request may be held (up to
// ServerOptions::inline_hold), hearth/inlineCompletionReady is sent, and items carry "hearth":
// CompletionDetail.
inline constexpr std::string_view feature_inline_completion = "inlineCompletion";
// The client gets the notification hearth/status when the model's state or the notices change.
inline constexpr std::string_view feature_status = "status";
// A client with "jobs" shows the thoughts of a thinking model too, apart from its answers: it gets
// hearth/thoughtDelta, and "thought" of hearth/jobState.
inline constexpr std::string_view feature_thoughts = "thoughts";
inline constexpr std::array all_features{feature_jobs, feature_inline_completion, feature_status,
                                         feature_thoughts};

// ── Choosing an action ───────────────────────────────────────────────────────────────────────────
// textDocument/codeAction answers, for a selection that is not blank:
//   [{"title": "Explain selection", "kind": "hearth.explain",
//     "command": {"title": "Explain selection", "command": "hearth.server.explain",
//                 "arguments": [{"uri": "file:///stats.py", "version": 3,
//                                "range": {"start": {…}, "end": {…}}, "hash": "9c0f…"}]}}]
// The client sends the command as it is with workspace/executeCommand. A plugin may also make the
// arguments itself: `version` and `hash` may be left out. With a `hash` that is not that of the
// text now standing in the range, the request fails: the selection is no longer what was meant.
// "diagnostics" (those of the code, as the client sent them with textDocument/codeAction) and
// "instruction" (what the person asks for, for the actions that need to be told) may be there too.
// Arguments with "asks": "What is to change?" (for clients with "jobs" only) have no instruction
// yet: the client asks the person that, and sends the arguments with their words as "instruction".
//
// "review": true may be there, too: the edits wait for a person, as those of another editor do
// ("waiting"), instead of being sent at once.
//
// "attached": [{"uri": "file:///p/a.py", "range": {…}}] may be there, too: files that the model is
// shown, or the lines of them that a range touches. An action that changes code may change them as
// well, whole, whatever their range: open or not, together with its own and in one edit.
//
// "prompt": {"name": "house-rules", "title": "House rules"} is there where the menu lists an action
// of the team's own, which is "ask" or "edit" in the words of .hearth/prompts/house-rules.md
// (lsp/actions/team_prompts.hpp).
//
// Two are about no document. "hearth.server.commit-message" has {"diff": "diff --git …"}, and
// "hearth.server.chat", with which a conversation begins, {"instruction": "What does it do?"}.
//
// Where a person is asked first, as for a file of secrets, and says no, executeCommand is answered
// with {"declined": "… was not shown to the model"}, and there is no job.
//
// Else it is answered with null once the job is written down. Then, in this order, a client
// with "jobs" gets
//   hearth/jobState  {"id": 7, "state": "queued", …}    straight after the reply
//   hearth/jobState  {"id": 7, "state": "prefilling", …}   as it goes on, at most four a second
//   hearth/textDelta {"id": 7, "text": "Adds "}         the answer, piece by piece: append them
//   hearth/jobState  {"id": 7, "state": "done", "text": "Adds the values.", …}   the last one
// A session hears of the jobs that it started, and of those of its workspace whose session is gone:
// the first message of these has what is written so far as "text".

// hearth/jobState, notification from the server:
//   {"id": 7, "action": "explain", "title": "Explain average", "uri": "file:///stats.py",
//    "range": {"start": {…}, "end": {…}},
//    "state": "queued" | "prefilling" | "thinking" | "generating" | "paused" | "waiting" |
//             "done" | "failed" | "cancelled",
//    "message": "prefilling 120 of 340 tokens, 10 to 25 s left",   for people, never empty
//    "percentage": 17,            0 … 100, never falls
//    "firstTokenMs": 3000,        until the first token is written, with the requests that are
//                                 served before; absent: unknown, or it is written
//    "etaMs": 12000,              until the end, most likely; absent: unknown
//    "endMs": [9000, 24000],      between these the end will be, in four of five cases, by how long
//                                 this action's answers were; absent: unknown
//    "promptTokens": 340, "cachedTokens": 80, "thoughtTokens": 0, "answerTokens": 0,
//    "promptMs": 900, "answerMs": 4100,   with "done": the time that each part took
//    "edits": true,               where the job changes code
//    "batch": {"id": 6, "title": "Edit: add types", "size": 40},   that it is one of
//    "thought": "…",              with "thoughts": all that is thought so far, in place of the
//                                 pieces; absent: what the pieces made of it holds
//    "text": "…",                 with "done": the whole answer, in Markdown; with "waiting": the
//                                 change; else all that is written so far, in place of the pieces
//    "by": "qwen3-coder at gpu.example.org",   where several engines answer, or another machine's:
//                                 which one does
//    "error": "…"}                with "failed": why; window/showMessage has said it too
// All times count from the message on. A job that waits for others is told anew when they change.
// "thinking": a thinking model writes its thought, which is no part of "text"; the answer follows.
// With "done", the message also says what was cut: "done, but the answer was cut after 512 tokens
// (answer.max_tokens)".
// A job with "edits" writes code on its way into a workspace/applyEdit, and "text" comes at its end
// only where there is something to read: why nothing was changed, or the reasons for what was.
// "waiting": its edits are not made before a person says so (hearth.session.apply).
// Three states end a job: done, failed, cancelled; only hearth.session.retry goes on from there.
// `range` is where the selection lay when the job was started (not in hearth/status, which lists
// the workspace's jobs). A job that waits for the model to load is "queued" and its message says
// "loading the model". No two jobs of a user have the same id, whichever daemon they ran in. A job
// goes on when its session ends, and when the daemon does; what comes of it is shown by the next
// session of its workspace.
struct JobStateParams {
  static constexpr std::string_view method = "hearth/jobState";
  std::uint64_t id = 0;
  std::string action;
  std::string title;
  std::string uri;
  std::optional<Range> range;
  JobState state = JobState::queued;
  std::string message;
  std::int64_t percentage = 0;
  std::optional<std::int64_t> first_token_ms;
  std::optional<std::int64_t> eta_ms;
  std::optional<std::array<std::int64_t, 2>> end_ms;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t thought_tokens = 0;
  std::int64_t answer_tokens = 0;
  std::optional<std::int64_t> prompt_ms;
  std::optional<std::int64_t> answer_ms;
  bool edits = false;
  struct Batch {
    std::uint64_t id = 0;
    std::string title;
    std::int64_t size = 0;
  };
  std::optional<Batch> batch = {};
  std::optional<std::string> thought = {};
  std::optional<std::string> text;
  std::optional<std::string> error;
  std::optional<std::string> by = {};
};

// hearth/thoughtDelta, notification from the server: {"id": 7, "text": "The loop "}, more of the
// thought before the answer, at most four a second.
struct ThoughtDelta {
  static constexpr std::string_view method = "hearth/thoughtDelta";
  std::uint64_t id = 0;
  std::string text;
};

// hearth/textDelta, notification from the server: {"id": 7, "text": "Adds "}
struct TextDelta {
  static constexpr std::string_view method = "hearth/textDelta";
  std::uint64_t id = 0;
  std::string text;
};

// hearth/cancelJob, request from the client: {"id": 7} → {"cancelled": true}, or false where no job
// that still runs has this id. hearth/jobState says "cancelled" once the computation has stopped.
struct CancelJobParams {
  static constexpr std::string_view method = "hearth/cancelJob";
  std::uint64_t id = 0;
};
struct CancelJobResult {
  bool cancelled = false;
};

// ── Commands of a session ────────────────────────────────────────────────────────────────────────
// workspace/executeCommand, with one argument:
//   hearth.session.followUp    {"job": 7, "question": "Why?"}   a job that goes on from the answer;
//                              "attached" may be there as for hearth.server.chat
//   hearth.session.showPrompt  {"job": 7}     shows all that the model was shown, as a document
//   hearth.session.pin         {"uri": "file:///p/a.py", "pinned": true}   shows the model that
//   file
//                              with every action of this session, or no longer; answered with
//                              {"pinned": [uri, …]}
//   hearth.session.snooze      {"minutes": 30}   nothing is completed unasked for so long; 0: again
//   hearth.session.pause       {"job": 7}     stops it where it is
//   hearth.session.resume      {"job": 7}     goes on with a paused one
//   hearth.session.cancel      {"job": 7}
//   hearth.session.retry       {"job": 7}     asks a failed or cancelled one again from its
//   beginning hearth.session.apply       {"job": 7}     makes the edits of one that is "waiting"
//   hearth.session.dismiss     {"job": 7}     ends one that is "waiting" without them
// These are answered with null, or with an error that says why not. A batch's number in place of a
// job's means all of its jobs.
//   hearth.session.runOnFiles  {"action": "edit", "instruction": "Add types.", "files": ["*.py"]}
//                              the action on each file of the workspace that matches a pattern (as
//                              git's pathspecs), one after the other at background priority; the
//                              changes wait for a person. Answered with {"batch": 6, "files": 40}

// hearth/status, request from the client (no params) and, with "status", notification from the
// server after `initialized` and whenever the model's state or the notices change:
//   {"version": "0.1.0", "protocol": 3,
//    "model": {"state": "loading" | "ready" | "failed", "name": "ember", "error": "…",
//              "percentage": 17, "etaMs": 12000, "sentTo": ["gpu.example.org"]},
//    "notices": ["config.toml changed: model.path needs `hearth restart`"],
//    "jobs": [JobStateParams of every job of the session's workspace, without "text"]}
// `notices`: what is wrong with the process beside the model, each a sentence for people that says
// what to do; absent: nothing is. `name` is there once the model is ready, `error` where it failed,
// `percentage` and `etaMs` while it loads: the notification comes about twice a second then.
// `sentTo`: other machines that texts of documents are sent to, for a client to show; absent: none.
struct Status {
  static constexpr std::string_view method = "hearth/status";
  std::string version;
  std::int64_t protocol = protocol_version;
  ModelState model_state = ModelState::loading;
  std::optional<std::string> model_name;
  std::optional<std::string> model_error;
  std::optional<std::int64_t> model_percentage;
  std::optional<std::int64_t> model_eta_ms;
  std::vector<JobStateParams> jobs;
  std::vector<std::string> notices;
  std::vector<std::string> sent_to;
};

// hearth/inlineCompletionReady, notification from the server: a completion whose request was
// answered with null before it was ready is there now. A client whose cursor is still at
// `position` of `version` asks again (textDocument/inlineCompletion) and is answered at once.
//   {"uri": "file:///stats.py", "version": 4, "position": {"line": 2, "character": 11}}
struct InlineCompletionReady {
  static constexpr std::string_view method = "hearth/inlineCompletionReady";
  std::string uri;
  std::int64_t version = 0;
  Position position;
};

// "hearth" of an inline completion item: what the completion cost, and who wrote it.
//   {"reused": true,   the text comes from an earlier completion that was typed along
//    "promptTokens": 210, "cachedTokens": 190, "answerTokens": 12,   of the generation that made it
//    "promptMs": 30, "answerMs": 250,
//    "by": "qwen3-coder at gpu.example.org"}   as hearth/jobState has it
struct CompletionDetail {
  bool reused = false;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t answer_tokens = 0;
  std::int64_t prompt_ms = 0;
  std::int64_t answer_ms = 0;
  std::optional<std::string> by = {};
};

void to_json(nlohmann::json& json, const JobStateParams& value);
void from_json(const nlohmann::json& json, JobStateParams& value);
void to_json(nlohmann::json& json, const ThoughtDelta& value);
void from_json(const nlohmann::json& json, ThoughtDelta& value);
void to_json(nlohmann::json& json, const TextDelta& value);
void from_json(const nlohmann::json& json, TextDelta& value);
void to_json(nlohmann::json& json, const CancelJobParams& value);
void from_json(const nlohmann::json& json, CancelJobParams& value);
void to_json(nlohmann::json& json, const CancelJobResult& value);
void from_json(const nlohmann::json& json, CancelJobResult& value);
void to_json(nlohmann::json& json, const Status& value);
void from_json(const nlohmann::json& json, Status& value);
void to_json(nlohmann::json& json, const InlineCompletionReady& value);
void from_json(const nlohmann::json& json, InlineCompletionReady& value);
void to_json(nlohmann::json& json, const CompletionDetail& value);
void from_json(const nlohmann::json& json, CompletionDetail& value);

}  // namespace hearth::lsp::extension
