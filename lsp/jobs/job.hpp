// A job as a value: what is asked of the model for an action, how far that is, and what became of
// the answer. All of it can be written down (lsp/jobs/journal.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "lsp/edits/sent.hpp"
#include "lsp/edits/target.hpp"
#include "lsp/jobs/store.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

// The same action on many files, each of which is a job.
struct Batch {
  JobId id = 0;           // a number as jobs have them, which is no job's
  std::string title;      // for people: "Edit: add type hints"
  std::int64_t size = 0;  // jobs, in all
};

// What is asked of the model for an action; with the answer it is all that its apply() gets.
struct Request {
  std::string action;  // the action's id: "explain"
  std::string title;   // for people: "Explain average"
  // JSON: what the action was chosen for, as long as there is no prompt: a session that knows the
  // document makes it. Empty: there is one.
  std::string place = {};
  bool has_prompt() const { return place.empty(); }
  Prompt prompt;
  GenerateOptions options;
  std::vector<Target> targets;
  // The URI of the folder that the answer may propose new files in; empty: none.
  std::string new_files_in = {};
  std::optional<AnswerForm> form = {};  // in which code was asked for; empty: the answer is text
  std::vector<ContextPiece> left_out = {};  // of the prompt, for people who look at it
  bool repairs = false;                     // asks once more, as an answer before could not be used
  std::optional<Batch> batch = {};          // that it is part of
  bool review = false;                      // its edits wait for a person, whoever asked for them
};

// Where a job is from.
struct Origin {
  // The URI of the workspace's folder or, outside of any, of the document: what came of the job is
  // for sessions that have it open.
  std::string workspace;
  // The editor's process. Its edits go there unasked; anybody else is asked first. Empty: nobody's.
  std::string editor;
};

// What is left of an ended job's answer for a person to read; no text: its edits were all of it.
struct Settled {
  std::optional<std::string> text;
};

struct Job {
  JobId id = 0;
  Origin origin = {};
  Request request;
  JobState state = JobState::queued;
  bool waits_for_editor = false;  // that has its document open: it has no prompt and no session
  GenerationProgress progress;
  std::string text;                          // the answer so far
  std::string thought = {};                  // before it, so far: for people who look at it alone
  FinishReason finish = FinishReason::stop;  // of an answer that is whole
  bool thought_cut = false;                  // as the Answer says
  // The tokens of thought and answer so far, as on_tokens has them; once the answer is whole, as
  // the Answer says: a question that follows needs them.
  std::vector<std::int32_t> generated;
  std::string model = {};                    // whose tokens these are: ModelDescription::identity
  std::string error;                         // why it failed
  std::vector<SentEdit> sent = {};           // went to an editor that has not answered
  std::optional<Settled> settled;            // once its edits were made, or could not be
  std::string offer = {};                    // of a waiting job, as Markdown: what is to be decided
  bool shown = false;                        // a session has shown how it ended
  std::string by = {};                       // as Answer::by, from the first word on
  std::chrono::milliseconds prompt_time{0};  // of a whole answer: what the two parts took
  std::chrono::milliseconds answer_time{0};
  std::chrono::system_clock::time_point created;
  std::chrono::system_clock::time_point changed;  // when its state did
};

}  // namespace hearth::lsp
