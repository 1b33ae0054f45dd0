// What the model sees for a task or an inline completion: which code, beside what, within a budget
// of tokens. Makes Prompt values; where declarations begin is syntax.hpp's, templates are the
// model's.
//
// Planning has two steps, because only the model can count tokens and it answers later:
//   plan = plan_task(…);  count plan.texts() with the model;  prompt = plan.fit(counts).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/index.hpp"
#include "lsp/document/diagnostics.hpp"
#include "lsp/document/syntax.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// Left free for what the model's template adds to a prompt's texts: roles, special tokens, a system
// line of its own.
constexpr std::int64_t template_tokens = 48;

// A file that a person wants the model to see whatever they ask.
struct PinnedText {
  std::string path;      // as the prompt names it
  std::string language;  // in fences; may be empty
  std::string text;
};

// Lines of an open document that were changed lately, as they are now.
struct RecentEdit {
  std::string uri;
  std::size_t first_line = 0;
  std::string lines;
};

// What a task is about, as it was chosen in an editor. A value: it goes to another thread.
struct TaskInput {
  SnapshotPtr snapshot;
  ByteRange selection;                  // within the snapshot's text
  std::vector<Diagnostic> diagnostics;  // that the client sent with it
  std::shared_ptr<const Syntax> syntax;
  bool invoked = true;      // a person opened the menu or chose; else the cursor just moved there
  std::string instruction;  // what the person asks for in their own words; may be empty
  std::string diff;         // of a task about a change: no document then
  bool secrets_allowed = false;      // the person has said that this document may be shown
  std::vector<std::string> folders;  // of the workspace, as URIs
  std::int64_t answer_tokens = 0;    // what the context is to leave to the answer
  std::shared_ptr<const WorkspaceIndex> index;  // null: nothing is known of other files
  std::vector<PinnedText> pinned;
  std::vector<PinnedText> attached;      // the person named them with what they ask
  std::vector<RecentEdit> recent_edits;  // the newest first
};

// Where the text ends that a completion is shown behind the cursor. It is kept from one completion
// to the next, so that it stays while the cursor is in one node.
struct SuffixEnd {
  SnapshotPtr snapshot;  // null: there was none yet
  ByteRange node;        // the declaration or statement around the cursor
  Byte end;
};

// How a completion is read.
struct InlineReading {
  std::int64_t answer_tokens = 0;             // what the context is to leave to the completion
  std::chrono::milliseconds max_read{1'000};  // what is new at a keystroke, at most
  SuffixEnd last = {};                        // of the document's completion before
};

// A value: copy it, keep it, share it between threads.
class ContextPlan {
 public:
  struct Parts;

  // Why there is no prompt: the document may not be shown to a model, or the wording has a variable
  // that does not exist. Empty: go on. A refused plan has no texts and its prompt is empty.
  const std::string& refused() const { return refused_; }
  // Count these with the model's tokenizer.
  const std::vector<std::string>& texts() const { return texts_; }
  // Pure. `counts` has the tokens of each text; a missing one is taken as its bytes. The prompt,
  // the template and the answer fit the profile's limits together.
  Prompt fit(std::span<const std::int64_t> counts) const;
  // What fit() has in that prompt, in its order, and then what it left out.
  std::vector<ContextPiece> pieces(std::span<const std::int64_t> counts) const;

  // What the prompt is about: the code that was meant, or the cursor.
  ByteRange range() const { return range_; }
  // For people: "average", or "stats.py, lines 3 to 7" where the code has no name.
  const std::string& subject() const { return subject_; }
  // Of a completion whose prompt is `prompt`.
  SuffixEnd suffix_end(const Prompt& prompt) const;

 private:
  friend ContextPlan plan_task(const TaskInput&, const ModelProfile&, const Wording&);
  friend ContextPlan plan_diff(const TaskInput&, const ModelProfile&, const Wording&);
  friend ContextPlan plan_words(const TaskInput&, const ModelProfile&, const Wording&, std::string);
  friend ContextPlan plan_inline(const Syntax&, const SnapshotPtr&, Byte, const ModelProfile&,
                                 const InlineReading&);
  std::string refused_;
  std::vector<std::string> texts_;
  std::shared_ptr<const Parts> parts_;  // how the texts make a prompt
  ByteRange range_;
  std::string subject_;
  SnapshotPtr snapshot_;  // of a completion
  ByteRange node_;        // around its cursor
};

// The code in question, what surrounds it and what it uses of other files, then the wording. What
// is beside the code never holds a line that looks like a secret. The file's name in the prompt is
// relative to the folder that contains it; outside of all of them only its own name is shown.
//
// An empty selection, or one inside a function or class, means that function or class; one across
// several of them means its whole lines. Parses: call it off the server's thread.
ContextPlan plan_task(const TaskInput& input, const ModelProfile& profile, const Wording& wording);

// The change `input.diff`, a unified diff, then the wording. Of large files the end is cut, of
// files of secrets only the name is shown, and no line that looks like a secret.
ContextPlan plan_diff(const TaskInput& input, const ModelProfile& profile, const Wording& wording);
// The paths in a diff that are never shown.
std::vector<std::string> secret_files(std::string_view diff);

// What is pinned and attached, then the wording. Of what does not fit the end is cut; nothing that
// looks like a secret is shown. `subject`: the question in a few words, for people.
ContextPlan plan_words(const TaskInput& input, const ModelProfile& profile, const Wording& wording,
                       std::string subject);

// Text before and after the cursor, with '\n' at every line's end whatever the document has. While
// a person types on, the prefix only grows at its end, except that now and then its start moves on
// by a large step, and the suffix keeps its end. That is where a node ends, as far as may be read
// at each keystroke where the model reads the suffix last. Parses: call it off the server's thread.
ContextPlan plan_inline(const Syntax& syntax, const SnapshotPtr& snapshot, Byte cursor,
                        const ModelProfile& profile, const InlineReading& reading);

}  // namespace hearth::lsp
