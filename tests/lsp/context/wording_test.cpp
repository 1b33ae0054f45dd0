// Variables of a wording, and what is none.
#include "lsp/context/wording.hpp"

#include <doctest/doctest.h>

using namespace hearth::lsp;

namespace {

std::string filled(const std::string& text) {
  return filled_in({"explain.md", text}, {{"file", "src/{language}.py"}, {"language", "python"}});
}

}  // namespace

TEST_CASE("variables are filled in once, and what they bring stays as it is") {
  CHECK(filled("") == "");
  CHECK(filled("Explain this {language}.") == "Explain this python.");
  CHECK(filled("{file}{language}") == "src/{language}.pypython");
}

TEST_CASE("braces around anything but a word are text, and doubled ones are single") {
  for (const char* text :
       {"{}", "{ file }", "{File}", "{file", "file}", "a{1}b", "{\n}", "{{", "}}"}) {
    CAPTURE(text);
    CHECK(filled(text) == text);
  }
  CHECK(filled("write {{file}} for it") == "write {file} for it");
  CHECK(filled("{{unknown}}") == "{unknown}");
  CHECK(filled("{{file}") == "{src/{language}.py");
}

TEST_CASE("a variable that does not exist is named, with its line and its file") {
  CHECK_THROWS_WITH_AS(
      check({"explain.md", "Explain\n{file} in {tongue}."}),
      "explain.md, line 2: there is no variable {tongue}; there are "
      "{diagnostics}, {file}, {instruction}, {language}, {problem}, {subject}, {unit}",
      UnknownVariable);
  for (const WordingVariable& variable : wording_variables) {
    CHECK_NOTHROW(check({"explain.md", "{" + std::string(variable.name) + "}"}));
    CHECK_FALSE(variable.meaning.empty());
  }
}
