// A completion stops where the node closes that it belongs to: a statement that was begun, or the
// block that the cursor is in.
#include "lsp/completion/closing.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "lsp/completion/text.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {
namespace {

// What becomes of `generated` at the '|' of a document in `language`.
std::string fitted(const std::string& language, std::string text, std::string_view generated) {
  const std::size_t cursor = text.find('|');
  REQUIRE(cursor != std::string::npos);
  text.erase(cursor, 1);
  return fitted_completion(generated, false, Syntax(timeout),
                           snapshot("file:///some", std::move(text), language), Byte{cursor})
      .text;
}

struct Case {
  const char* language;
  const char* document;
  const char* generated;
  const char* useful;
};

void check(std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    CAPTURE(one.language);
    CAPTURE(one.document);
    CAPTURE(one.generated);
    CHECK(fitted(one.language, one.document, one.generated) == one.useful);
  }
}

}  // namespace

TEST_CASE("a statement that was begun is finished, and nothing is begun after it") {
  check({{"python", "def f(a):\n    x = |\n", "len(a)\n    y = 2\n    return y", "len(a)"},
         {"python", "x = foo(|\n", "a,\n        b)\ny = 2", "a,\n        b)"},
         {"python", "def f(values):\n    for v in |\n", "values:\n        print(v)\n    return 1",
          "values:\n        print(v)"},
         {"python", "def f(|\n", "a):\n    return a\n\n\ndef g():\n    pass", "a):\n    return a"},
         {"javascript", "const x = |\n", "f(a, {\n  b: 1,\n});\nconst y = 2;",
          "f(a, {\n  b: 1,\n});"},
         {"javascript", "function f(|\n", "a) {\n  return a;\n}\n\nfunction g() {}",
          "a) {\n  return a;\n}"},
         {"cpp", "int f(|\n", "int a) {\n  return a;\n}\n\nint g() { return 1; }",
          "int a) {\n  return a;\n}"},
         {"cpp", "void f() {\n  int x = |\n}\n", "1;\n  int y = 2;", "1;"},
         {"go", "package a\n\nfunc f(|\n", "a int) int {\n\treturn a\n}\n\nfunc g() {\n}",
          "a int) int {\n\treturn a\n}"},
         {"rust", "fn f(|\n", "a: i32) -> i32 {\n    a\n}\n\nfn g() {}",
          "a: i32) -> i32 {\n    a\n}"},
         {"java", "class A {\n  int f(|\n}\n", "int a) {\n    return a;\n  }\n\n  int g() {\n",
          "int a) {\n    return a;\n  }"},
         {"json", "{\n  \"a\": |\n}\n", "[\n    1\n  ],\n  \"b\": 2", "[\n    1\n  ],"}});
}

TEST_CASE("a block's statements are offered together, to the block's end") {
  check({{"python", "def f(a):\n    |\n", "x = len(a)\n    return x\n\n\ndef g():\n    pass",
          "x = len(a)\n    return x"},
         {"python", "def f(a):\n    if a:\n        |\n", "return 1\n    return 2", "return 1"},
         {"python", "class A:\n    def f(self):\n        |\n",
          "return 1\n\n    def g(self):\n        return 2", "return 1"},
         {"javascript", "function f(a) {\n  |\n", "const x = a;\n  return x;\n}\n\nfunction g() {",
          "const x = a;\n  return x;\n}"},
         {"javascript", "if (a) {\n  |\n", "b();\n} else {\n  c();\n}", "b();\n}"},
         {"cpp", "int f(int a) {\n  |\n", "a += 1;\n  return a;\n}\n\nint g() {\n  return 1;\n}",
          "a += 1;\n  return a;\n}"},
         {"go", "package a\n\nfunc f() int {\n\t|\n", "x := 1\n\treturn x\n}\n\nfunc g() {",
          "x := 1\n\treturn x\n}"},
         {"rust", "fn f() -> i32 {\n    |\n", "let x = 1;\n    x\n}\n\nfn g() {",
          "let x = 1;\n    x\n}"},
         {"ruby", "def f(a)\n  |\n", "x = a\n  x + 1\nend\n\ndef g\nend", "x = a\n  x + 1\nend"},
         {"lua", "local function f(a)\n  |\n", "return a\nend\n\nlocal function g()\nend",
          "return a\nend"},
         // What closes the block is there behind the cursor.
         {"javascript", "function f(a) {\n  |\n}\n",
          "const x = a;\n  return x;\n}\n\nfunction g() {", "const x = a;\n  return x;"}});
}

TEST_CASE("at top level one definition is offered, or the lines of a paragraph") {
  check({{"python", "import os\n\n\n|\n", "def f():\n    return 1\n\n\ndef g():\n    return 2",
          "def f():\n    return 1"},
         {"python", "import os\n|\n", "import sys\nimport re\n\nx = 1", "import sys\nimport re"},
         {"cpp", "#include <map>\n\n|\n", "int f() {\n  return 1;\n}\n\nint g() {\n  return 2;\n}",
          "int f() {\n  return 1;\n}"}});
}

TEST_CASE("where there is no tree the indentation tells where a block ends") {
  check({{"plaintext", "function f {\n  |\n", "a\n  b\n}\nfunction g", "a\n  b\n}"},
         {"plaintext", "def f(a):\n    x = |\n",
          "len(a)\n    return x\n\ndef g():", "len(a)\n    return x"},
         {"plaintext", "One line,\n|\n", "and another\nand a third", "and another\nand a third"}});
}

TEST_CASE("comments and strings that are gone on with close no node") {
  check({{"python", "# Adds|\n", " the values,\n# then divides.", " the values,\n# then divides."},
         {"python", "def f():\n    \"\"\"Adds|\n",
          " the values.\n\n    More.\n    \"\"\"\n    return 1",
          " the values.\n\n    More.\n    \"\"\""}});
}

}  // namespace hearth::lsp::test
