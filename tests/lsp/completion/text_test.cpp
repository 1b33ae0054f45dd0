// What is kept of a generated completion.
#include "lsp/completion/text.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/syntax.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {
namespace {

// Without a tree.
std::string useful(std::string_view generated, std::string_view before, std::string_view after,
                   bool cut_short = false) {
  return useful_completion(generated, cut_short, {.before = before, .after = after});
}

// What becomes of `generated` at the '|' of a document in `language`.
std::string in_document(const std::string& language, std::string text, std::string_view generated,
                        bool cut_short = false) {
  const std::size_t cursor = text.find('|');
  REQUIRE(cursor != std::string::npos);
  text.erase(cursor, 1);
  const Syntax syntax(timeout);
  return fitted_completion(generated, cut_short, syntax,
                           snapshot("file:///some", std::move(text), language), Byte{cursor})
      .text;
}

// By text alone and, where that is a language, by its tree.
struct Case {
  const char* language;
  const char* document;
  const char* generated;
  const char* useful;
};

void check(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CAPTURE(one.language);
    CAPTURE(one.document);
    CAPTURE(one.generated);
    CHECK(in_document(one.language, one.document, one.generated) == one.useful);
  }
}

}  // namespace

TEST_CASE("what was typed is found where a text changed far from it") {
  const std::string lines = [] {
    std::string text;
    for (int i = 0; i < 30; ++i) text += "value_" + std::to_string(i) + " = function(values)\n";
    return text;
  }();
  const std::string base = "import os\n" + lines + "x = ";
  const std::string behind = "\n" + lines;
  const std::string above = "import os\nimport sys\n" + lines + "x = ";
  const auto typed = [&](const std::string& before,
                         const std::string& after) -> std::optional<std::string> {
    const std::string now = before + after;
    const auto found =
        typed_nearby(base + behind, Byte{base.size()}, now, Byte{before.size()}, "sum(values)");
    return found ? std::optional(std::string(*found)) : std::nullopt;
  };
  CHECK(typed(base, behind) == "");
  CHECK(typed(above, behind) == "");
  CHECK(typed(above + "sum", behind) == "sum");
  CHECK(typed(above, behind + "and more") == "");
  CHECK_FALSE(typed(above + "len", behind));
  CHECK_FALSE(typed(above, "\n# " + behind));
  CHECK_FALSE(typed("import os\n" + lines + "y = 1\nx = ", behind));
  CHECK_FALSE(typed_nearby("ab", Byte{1}, "xab", Byte{2}, "s"));  // the text's beginning counts
}

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
    CHECK(useful("\":)\", x)", "f(", ")\n") == "\":)\", x");
  }
}

TEST_CASE("closers behind the cursor do not bind a completion to its line") {
  CHECK_FALSE(stays_on_line("function f(x) {", "}\n"));
  CHECK_FALSE(stays_on_line("f(", ");\nx"));
  CHECK_FALSE(stays_on_line("<div>", "</div>\n"));
  CHECK_FALSE(stays_on_line("    \"\"\"", "\"\"\"\n"));
  CHECK(stays_on_line("print(\"", "\")\n"));
  CHECK(stays_on_line("if x", ":\n"));
  for (const char* language : {"javascript", "plaintext"}) {
    check({{language, "function f(x) {|}\n", "\n  return x;\n}", "\n  return x;\n"},
           {language, "function f(x) {|}\n", "\n  return x;", "\n  return x;\n"},
           {language, "function f(x) {|}\n", " return x; ", " return x;"},
           {language, "function f(x) {|}\n", "\n  return x;\n}\n\nfunction g() {\n}",
            "\n  return x;\n"},
           {language, "  go(() => {|});\n", "\n    stop();\n  });", "\n    stop();\n  "},
           {language, "const a = [|];\n", "\n  1,\n  2,\n];", "\n  1,\n  2,\n"},
           {language, "f(|)\n", "x)\ny(", "x"},
           {language, "f(|)\n", "x, y\n", "x, y"},
           {language, "say(\"|\");\n", "hello\");\nsay(\"", "hello"}});
  }
  check({{"html", "<div>|</div>\n", "\n  <p>a</p>\n</div>", "\n  <p>a</p>\n"},
         {"python", "def f():\n    \"\"\"|\"\"\"\n", "Do it.\n\n    Now.\n    \"\"\"\n    return 1",
          "Do it.\n\n    Now.\n    "}});
}

TEST_CASE("lines that follow already are not repeated") {
  CHECK(useful("total += v\n    return total", "    ", "\n    return total\n") == "total += v");
  CHECK(useful("i in range(3):", "for ", " in range(3):\n") == "i");
  CHECK(useful("total", "return ", "\ntotal_of_all()\n") == "total");
  SUBCASE("nothing is offered where the first ones are repeated") {
    CHECK(useful("return total", "    ", "\n    return total\n") == "");
    CHECK(useful("urn total\nx", "    ret", "\n\n    return total\n") == "");
    CHECK(useful("\n\n    return total  ", "    x = 1", "\n    return total\n") == "");
    CHECK(useful("return total", "    ", "\n\n\n    return total   \n}\n") == "");
    CHECK(useful("return total", "\t", "\n    return total\n") == "");
    CHECK(useful("return  total", "    ", "\r\n    return\ttotal\r\n") == "");
  }
  SUBCASE("it ends where they begin, whatever comes behind") {
    CHECK(useful("a = 1\n\n    b = 2\n    c = 3\n", "    ", "\n    b = 2  \n    d = 4\n") ==
          "a = 1");
    CHECK(useful("\n\ta = 1\n\tb = 2", "x", "\n\n    b = 2\n") == "\n\ta = 1");
  }
  SUBCASE("another depth is another line") {
    CHECK(useful("if x:\n        return 1", "    ", "\n    return 1\n") ==
          "if x:\n        return 1");
  }
}

TEST_CASE("with code after the cursor a completion stays on its line") {
  CHECK(stays_on_line("f(", ") + 1\nx"));
  CHECK_FALSE(stays_on_line("f", "  \nx"));
  CHECK(useful("a\nb", "f(", ") + 1\n") == "a");
  CHECK(useful("a\r\nb", "f(", ") + 1\r\n") == "a");
  CHECK(useful("\nb", "f(", ") + 1\n") == "");
  CHECK(useful("a + ", "x = ", "b\n") == "a + ");
  CHECK(useful("a +", "x = ", " b\n") == "a +");
}

TEST_CASE("a completion does not split the line that it is in") {
  for (const char* language : {"python", "plaintext"}) {
    check({{language, "def f(items):\n    total = |0\n", "   for item in items: ", ""},
           {language, "def f(items):\n    total = |0\n", "for item in items: ", ""},
           {language, "def f(items):\n    total = |0\n", "len(items)", ""},
           {language, "def f(items):\n    total = |0\n", "len(items) + ", "len(items) + "},
           {language, "for | in values:\n    pass\n", "value", "value"},
           {language, "x = f(|, b)\n", "a", "a"},
           {language, "# Numbers\n|def average(values):\n    return 1\n", "import math\n", ""},
           {language, "def f(x):\n    |return x\n", "log(x)", ""},
           {language, "def f(x):\n    |return x\n", "if x: ", "if x: "}});
  }
  check({{"javascript", "const a = b(| * 2);\n", "1; const c =", ""},
         {"javascript", "if (|) {\n}\n", "a && b", "a && b"}});
}

TEST_CASE("inside a word is between two of its characters") {
  CHECK(inside_word("tot", "al = 0\n"));
  CHECK(inside_word("gr\u00f6\u00df", "e = 0\n"));
  CHECK_FALSE(inside_word("\u201ca\u201d", "b"));
  CHECK_FALSE(inside_word("\U0001f600", "b"));
  CHECK(inside_word("a", "_"));
  CHECK(inside_word("1", "2"));
  CHECK_FALSE(inside_word("a", " b"));
  CHECK_FALSE(inside_word("a", ""));
  CHECK_FALSE(inside_word("", "a"));
  CHECK_FALSE(inside_word("f(", "a"));
}

TEST_CASE("what follows a finished line begins a new one") {
  const std::string average = "def average(values):\n    total = 0|";
  for (const char* end : {"\n    return total\n", "\n", ""}) {
    for (const char* language : {"python", "plaintext"}) {
      const std::string document = average + end;
      check({{language, document.c_str(), "    for value in values:\n        total += value",
              "\n    for value in values:\n        total += value"},
             {language, document.c_str(), "for value in values:\n        total += value",
              "\n    for value in values:\n        total += value"},
             {language, document.c_str(), "\n    for value in values:\n        total += value",
              "\n    for value in values:\n        total += value"},
             {language, document.c_str(), "  \n    count = 0", "\n    count = 0"},
             {language, document.c_str(), "  # of all", "  # of all"},
             {language, document.c_str(), ".5", ".5"},
             {language, document.c_str(), " if values else 1", " if values else 1"}});
    }
  }
  SUBCASE("with the document's line ending") {
    check(
        {{"python", "def f():\r\n    total = 0|\r\n", "    return total", "\r\n    return total"}});
  }
  SUBCASE("in other languages") {
    check({{"javascript", "function f() {\n  const a = 1;|\n}\n", "return a;", "\n  return a;"},
           {"javascript", "function f() {|\n}\n", "  return 1;", "\n  return 1;"},
           {"javascript", "function f() {|\n}\n", "return 1;", "\n    return 1;"},
           {"javascript", "if (a) {\n}|\n", " else {\n  b();\n}", " else {\n  b();\n}"},
           {"cpp", "/* One. */|\n", "int f();", "\nint f();"},
           {"cpp", "int f() {\n\tint a = 1;|\n}\n", "\treturn a;", "\n\treturn a;"},
           {"python", "def f(x):|\n", "return x", "\n    return x"},
           {"python", "def f(x):|\n", "    return x", "\n    return x"},
           {"python", "if x:\n  if y:|\n", "return x", "\n    return x"}});
  }
  SUBCASE("but not what goes on with it") {
    check({{"python", "def f(values):\n    ret|\n", "urn sum(values)", "urn sum(values)"},
           {"python", "x = |\n", "sum(values)", "sum(values)"},
           {"python", "for value in |\nreturn 1\n", "values:", "values:"},
           {"python", "def f(values):\n    for value in |\n    return 1\n", "values:", "values:"},
           {"python", "if x|\n", " > 0:", " > 0:"},
           {"python", "if a:\n    b()\nels|\n", "e:\n    c()", "e:\n    c()"},
           {"cpp", "int f(int* a|\n", ", int b) {", ", int b) {"},
           {"python", "x =|\n", "    sum(values)", " sum(values)"},
           {"python", "x = f(a,|\n", "    b)", " b)"},
           {"python", "x = fo|\n", "r_all", "r_all"},
           {"python", "for|\n", " value in values:\n    pass", " value in values:\n    pass"},
           {"python", "x = {\"a\":|\n", " 1}", " 1}"}});
  }
}

TEST_CASE("a comment is not gone on with by code") {
  check({{"python", "def f(values):\n    # Add them up.|\n", "    total = 0", "\n    total = 0"},
         {"python", "def f(values):\n    # Add them up.|\n", "total = 0", "\n    total = 0"},
         {"python", "def f(values):\n    # Add them up.|", "total = sum(values)",
          "\n    total = sum(values)"},
         {"python", "def f(values):\n    # Add them up.|\n", "# Then divide.",
          "\n    # Then divide."},
         {"python", "# Add them|\n", " up (all of them).", " up (all of them)."},
         {"python", "# Add th|\n", "em up", "em up"},
         {"python", "x = 1  # the sum|\n", "y = 2", "\ny = 2"},
         {"javascript", "  // Add them up.|\n", "const total = 0;", "\n  const total = 0;"},
         {"javascript", "/**\n * Adds.|\n */\n", " * And divides.", "\n * And divides."},
         {"plaintext", "Add them|\n", " up (all of them).", " up (all of them)."}});
}

TEST_CASE("a blank line is not indented twice") {
  for (const char* language : {"python", "plaintext"}) {
    check({{language, "def f():\n    x = 1\n    |\n", "    total = 0\n    return total",
            "total = 0\n    return total"},
           {language, "def f():\n    |\n", "    return 1", "return 1"},
           {language, "def f():\n|\n", "    return 1", "    return 1"},
           {language, "for x in y:\n    if x:\n    |\n", "    return 1", "    return 1"},
           {language, "for x in y:\n    if x:\n    |\n", "        return 1", "    return 1"},
           {language, "def f():\n    if x:\n        y()\n    |\n", "    return 1", "return 1"},
           {language, "def f():\n\tx = 1\n\t|\n", "\treturn x", "return x"},
           {language, "def f():\n\tx = 1\n\t|\n", "    return x", "return x"},
           {language, "x = 1\n|\n", "    y = 2\n    z = 3", "y = 2\nz = 3"},
           {language, "x = f(a,\n|\n", "      b)", "      b)"},
           {language, "    |\n", "\n    x", "\n    x"}});
  }
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
  CHECK(useful(" a \n\n", "x", "") == " a");
}

TEST_CASE("every line of a completion ends in the same way") {
  CHECK(with_line_endings("\r\n", "1\n2\r\n3") == "1\r\n2\r\n3");
  CHECK(with_line_endings("\n", "1\n2\r\n3") == "1\n2\n3");
  CHECK(with_line_endings("\r", "1\n2\r\n3") == "1\r2\r3");
  CHECK(with_line_endings("", "1\n2") == "1\n2");
}

}  // namespace hearth::lsp::test
