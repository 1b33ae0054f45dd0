// What becomes of a completion's text between the model and the editor. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lsp/text.hpp"

namespace hearth::lsp {

// What a person typed at `base_cursor` of `base` to get `now` with the cursor behind it; nothing
// where the two texts differ in any other way.
std::optional<std::string_view> typed_between(std::string_view base, Byte base_cursor,
                                              std::string_view now, Byte now_cursor);

// Whether code follows the cursor on its line, so that a completion has to stay on it.
bool stays_on_line(std::string_view after);

// Line endings as the document has them.
std::string with_line_endings_of(std::string_view document, std::string_view completion);

// The part of a generated text that is worth inserting between `before` and `after`: on one line
// where it must be, without an unfinished last line (`cut_short`: the model ran out of tokens),
// without closing text or whole lines that stand after the cursor already. Empty: nothing is.
std::string useful_completion(std::string_view generated, bool cut_short, std::string_view before,
                              std::string_view after);

}  // namespace hearth::lsp
