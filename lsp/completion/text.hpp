// What becomes of a completion's text between the model and the editor. Pure functions; where lines
// begin and which of them are there already is lines.hpp's.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// What a person typed at `base_cursor` of `base` to get `now` with the cursor behind it; nothing
// where the two texts differ in any other way.
std::optional<std::string_view> typed_between(std::string_view base, Byte base_cursor,
                                              std::string_view now, Byte now_cursor);

// The same where the two texts may differ further away: what of `completion` stands before
// `now_cursor`, if around that and the cursor the lines are as they were around `base_cursor`.
std::optional<std::string_view> typed_nearby(std::string_view base, Byte base_cursor,
                                             std::string_view now, Byte now_cursor,
                                             std::string_view completion);

// Every line ending as `ending`; "\n" where that is empty.
std::string with_line_endings(std::string_view ending, std::string_view completion);
// The completion as an editor has to insert it that adds line endings of its own: the document's
// where all lines share them. Where they differ, such an editor takes them for text.
std::string without_common_ending(const Text& document, std::string completion);

// The place of a completion: the document on both sides of the cursor, and what its syntax tells.
struct CompletionPlace {
  std::string_view before;
  std::string_view after;
  std::string_view comment_begin = {};  // of the language; empty: not known
  bool in_comment = false;
  // How many errors the document has with this text at the cursor; nothing: there is no tree.
  // Empty: the same.
  std::function<std::optional<std::size_t>(std::string_view inserted)> errors = {};
};

// Whether the cursor is between two characters of a word: nothing is offered there unasked.
bool inside_word(std::string_view before, std::string_view after);

// Whether something follows the cursor on its line that binds a completion to it: code does, what
// closes brackets or tags does not; a string that ends with its line does.
bool stays_on_line(std::string_view before, std::string_view after);

// The part of a generated text that is worth inserting at `place`, with "\n" at every line's end:
// on one line where it must be, on a new one where the cursor's is finished, not indented twice,
// without an unfinished last line (`cut_short`: the model ran out of tokens), without what closes
// what is closed behind the cursor, without lines that follow already. Empty: nothing is.
std::string useful_completion(std::string_view generated, bool cut_short,
                              const CompletionPlace& place);

struct FittedCompletion {
  std::string text;
  bool closed = false;  // its node closes there, and more was generated behind that
};

// The same for the place `cursor` of a document, by its syntax where it has a tree, up to where the
// node closes that it belongs to, and with the document's line endings. Parses: call it off the
// server's thread.
FittedCompletion fitted_completion(std::string_view generated, bool cut_short, const Syntax& syntax,
                                   const SnapshotPtr& snapshot, Byte cursor);

}  // namespace hearth::lsp
