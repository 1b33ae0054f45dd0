// The wording of a task: text with variables, {file} or {language}, that are filled in once it is
// known what the task is about. Whose wording it is, an action's, a checkpoint's or a user's, is
// lsp/actions' concern.
#pragma once

#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "lsp/support/model.hpp"

namespace hearth::lsp {

struct WordingVariable {
  std::string_view name;
  std::string_view meaning;  // for the documentation
};
// In every wording:
inline constexpr std::array wording_variables{
    WordingVariable{"diagnostics", "what the editor's tools say about the code, one line each"},
    WordingVariable{"file", "the file's path in the workspace"},
    WordingVariable{"instruction", "what the person asked for, in their own words"},
    WordingVariable{"language", "the language's id, such as python"},
    WordingVariable{"problem", "what the editor's tools say about the code, the messages alone"},
    WordingVariable{"subject", "the function or class in question, or its lines"},
    WordingVariable{"unit", "what that is: function, class or code"},
};

// A variable that does not exist. The text names the wording's source, its line and the variable.
class UnknownVariable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Braces around anything but a word of lower-case letters are text, and {{word}} is "{word}".
using WordingValues = std::map<std::string_view, std::string>;  // by a variable's name
std::string filled_in(const Wording& wording, const WordingValues& values);
// Throws as filled_in() would.
void check(const Wording& wording);

}  // namespace hearth::lsp
