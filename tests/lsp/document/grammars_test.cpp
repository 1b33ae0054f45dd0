// The fuzzer's corpus of texts, one for each language and those that were too much for a grammar.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "lsp/document/languages.hpp"
#include "lsp/document/syntax.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

// tests/fuzz/grammars.cpp
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace hearth::lsp::test {

TEST_CASE("every text of the fuzzer's corpus is parsed, edited and parsed again") {
  std::set<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(HEARTH_SOURCE_DIR "/tests/fuzz/corpus/grammars")) {
    names.insert(entry.path().filename());
    CAPTURE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) ==
          0);
  }
  for (const Language& language : languages()) CHECK(names.contains(std::string(language.name)));
}

TEST_CASE("deeper quotes than a grammar has room for are text, and what follows is parsed") {
  const std::string quotes = std::string(300, '>') + " x\n\n# Heading\n\ntext\n";
  const Syntax syntax{timeout};
  const SyntaxTreePtr tree = syntax.tree(snapshot("file:///a.md", quotes, "markdown"));
  CHECK(tree->parsed());
  REQUIRE_FALSE(tree->outline().empty());
  CHECK(tree->outline().back().name == "Heading");
}

TEST_CASE("comments in comments without end do not exhaust the stack") {
  std::string comments;
  for (int i = 0; i < 500'000; ++i) comments += "(*";
  const Syntax syntax{timeout};
  CHECK(syntax.tree(snapshot("file:///a.ml", comments, "ocaml"))->parsed());
}

}  // namespace hearth::lsp::test
