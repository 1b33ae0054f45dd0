// From a model's answer to edits that may be offered to a person. The answer is untrusted text: it
// becomes edits that do exactly what it says, or a refusal with a reason, never a guess.
//
// Pure functions of their arguments: no session, no model, no files. assemble() is meant for the
// server's thread (milliseconds for usual sizes, linear for any). check() parses; call it off that
// thread. Whether to ask the model again is the caller's decision.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/syntax.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/edits/refusal.hpp"
#include "lsp/edits/target.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// How the model was asked to answer.
enum class AnswerForm : std::uint8_t {
  whole_code,  // the new text of the first target's range, in one fenced block
  hunks,       // SEARCH/REPLACE blocks; which target each is about is told by a path or its lines
};

// The sentences that ask for a form. They end a wording, and may hold its variable {unit}.
// `new_files`: of hunks, which may be whole files that are not there yet.
std::string form_wording(AnswerForm form, bool new_files = false);

// The newest snapshot of a document; null: it is not open.
using FindSnapshot = std::function<SnapshotPtr(const std::string& uri)>;

// The edits that turn the newest snapshots into what the answer asks for, one FileEdit for each
// document that changes, of that snapshot's version: the smallest ones, line by line. Indentation,
// line endings, byte order mark and final newline are the document's, whatever the answer has.
//
// `finished`: the model ended the answer itself. `targets`: the code that the model was asked
// about, dedented or not. For the whole code it must have been shown in full: what was left out of
// the prompt would be taken for deleted. Targets of one document must not overlap. What has changed
// in the documents since is merged; changes of the same lines are refused.
//
// `new_files_in`: the URI of the folder that files may be proposed for, by paths relative to it;
// empty: none may. They come first. What is on the disk is the caller's to look at.
Checked<std::vector<FileEdit>> assemble(AnswerForm form, std::string_view answer, bool finished,
                                        std::span<const Target> targets,
                                        const FindSnapshot& find_snapshot,
                                        std::string_view new_files_in = {});

// What edits do to a document's syntax.
struct SyntaxCheck {
  bool parsed = false;     // false: there is no grammar, or parsing took too long; nothing is said
  std::size_t before = 0;  // places that do not parse
  std::size_t after = 0;
  std::vector<std::size_t> lines;  // of the new ones, zero-based in the edited text, at most 10
  // For the model, to repair its answer once: a paragraph that quotes those lines. Empty where the
  // edits break nothing.
  std::string complaint;
  bool operator==(const SyntaxCheck&) const = default;
};
// Parses the snapshot, and a copy with the edits made, on the caller's thread.
SyntaxCheck check(const Syntax& syntax, const SnapshotPtr& snapshot,
                  std::span<const TextEdit> edits);

}  // namespace hearth::lsp
