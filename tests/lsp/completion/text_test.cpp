// What is kept of a generated completion.
#include "lsp/completion_text.hpp"

#include <doctest/doctest.h>

namespace hearth::lsp::test {
namespace {

std::string useful(std::string_view generated, std::string_view before, std::string_view after,
                   bool cut_short = false) {
  return useful_completion(generated, cut_short, before, after);
}

}  // namespace

TEST_CASE("what was typed is found between two texts that are otherwise the same") {
  CHECK(typed_between("ab", Byte{1}, "aXYb", Byte{3}) == "XY");
  CHECK(typed_between("ab", Byte{1}, "ab", Byte{1}) == "");
  CHECK_FALSE(typed_between("ab", Byte{1}, "aXYc", Byte{3}));
  CHECK_FALSE(typed_between("ab", Byte{1}, "cXYb", Byte{3}));
  CHECK_FALSE(typed_between("ab", Byte{1}, "aXYb", Byte{2}));
  CHECK_FALSE(typed_between("aXb", Byte{2}, "ab", Byte{1}));
}

TEST_CASE("closing text that stands after the cursor is not doubled") {
  CHECK(useful("x)", "print(", ")\n") == "x");
  CHECK(useful("x);", "print(", ");\n") == "x");
  CHECK(useful("name\"", "print(\"", "\")\n") == "name");
  CHECK(useful("\n  return 1;\n}", "int f() {", "\n}\n") == "\n  return 1;");
  SUBCASE("unless it closes what the completion's place had opened") {
    CHECK(useful("x)", "f(g(", ")\n") == "x)");
    CHECK(useful("x))", "f(g(", ")\n") == "x)");
  }
  SUBCASE("or what the completion itself opens") {
    CHECK(useful("g(x)", "f(", ")\n") == "g(x)");
  }
}

TEST_CASE("lines that follow already are not repeated") {
  CHECK(useful("total += v\n    return total", "    ", "\n    return total\n") == "total += v");
  CHECK(useful("i in range(3):", "for ", " in range(3):\n") == "i");
  CHECK(useful("total", "return ", "\ntotal_of_all()\n") == "total");
}

TEST_CASE("with code after the cursor a completion stays on its line") {
  CHECK(stays_on_line(") + 1\nx"));
  CHECK_FALSE(stays_on_line("  \nx"));
  CHECK(useful("a\nb", "f(", ") + 1\n") == "a");
  CHECK(useful("a\r\nb", "f(", ") + 1\r\n") == "a");
  CHECK(useful("\nb", "f(", ") + 1\n") == "");
}

TEST_CASE("an unfinished last line is left out, unless it is the only one") {
  CHECK(useful("one\n  two\n  thr", "", "\n", true) == "one\n  two");
  CHECK(useful("one\n  two\n  three", "", "\n", false) == "one\n  two\n  three");
  CHECK(useful("return su", "", "\n", true) == "return su");
  CHECK(useful("\n  return su", "", "\n", true) == "\n  return su");
}

TEST_CASE("whitespace alone is nothing, and none is left at the end") {
  CHECK(useful(" \n\t ", "x", "") == "");
  CHECK(useful("", "x", "") == "");
  CHECK(useful("  a \n\n", "x", "") == "  a");
}

TEST_CASE("line endings follow the document") {
  CHECK(with_line_endings_of("a\r\nb", "1\n2\r\n3") == "1\r\n2\r\n3");
  CHECK(with_line_endings_of("a\nb", "1\n2\r\n3") == "1\n2\n3");
  CHECK(with_line_endings_of("a", "1\n2") == "1\n2");
}

}  // namespace hearth::lsp::test
