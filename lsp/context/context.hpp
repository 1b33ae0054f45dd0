// What the model sees for a task or an inline completion: which code, beside what, within a budget
// of tokens. Makes Prompt values; where declarations begin is syntax.hpp's, templates are the
// model's.
//
// Planning has two steps, because only the model can count tokens and it answers later:
//   plan = plan_task(…);  count plan.texts() with the model;  prompt = plan.fit(counts).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/syntax.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// Left free for what the model's template adds to a prompt's texts: roles, special tokens, a system
// line of its own.
constexpr std::int64_t template_tokens = 48;

// A value: copy it, keep it, share it between threads.
class ContextPlan {
 public:
  struct Parts;

  // Why there is no prompt: the document may not be shown to a model, or the model has no such
  // task. Empty: go on. A refused plan has no texts and its prompt is empty.
  const std::string& refused() const { return refused_; }
  // Count these with the model's tokenizer.
  const std::vector<std::string>& texts() const { return texts_; }
  // Pure. `counts` has the tokens of each text; a missing one is taken as its bytes. The prompt,
  // the template and the answer fit the profile's limits together.
  Prompt fit(std::span<const std::int64_t> counts) const;

  // What the prompt is about: the code that was meant, or the cursor.
  ByteRange range() const { return range_; }
  // For people: "average", or "stats.py, lines 3 to 7" where the code has no name.
  const std::string& subject() const { return subject_; }

 private:
  friend ContextPlan plan_task(const Syntax&, const SnapshotPtr&, ByteRange, const ModelProfile&,
                               std::string_view, std::int64_t, std::span<const std::string>);
  friend ContextPlan plan_inline(const Syntax&, const SnapshotPtr&, Byte, const ModelProfile&,
                                 std::int64_t);
  std::string refused_;
  std::vector<std::string> texts_;
  std::shared_ptr<const Parts> parts_;  // how the texts make a prompt
  ByteRange range_;
  std::string subject_;
};

// `task` is a key of profile.tasks. `folders` are the workspace's, as URIs: the file's name in the
// prompt is relative to the one that contains it; outside of them only its own name is shown.
//
// An empty selection, or one inside a function or class, means that function or class; one across
// several of them means its whole lines. Parses: call it off the server's thread.
ContextPlan plan_task(const Syntax& syntax, const SnapshotPtr& snapshot, ByteRange selection,
                      const ModelProfile& profile, std::string_view task,
                      std::int64_t answer_tokens, std::span<const std::string> folders = {});

// Text before and after the cursor, with '\n' at every line's end whatever the document has. While
// a person types on, the prefix only grows at its end, except that now and then its start moves on
// by a large step. May parse: call it off the server's thread.
ContextPlan plan_inline(const Syntax& syntax, const SnapshotPtr& snapshot, Byte cursor,
                        const ModelProfile& profile, std::int64_t answer_tokens);

}  // namespace hearth::lsp
