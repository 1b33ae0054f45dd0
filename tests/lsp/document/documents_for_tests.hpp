// Snapshots of texts and of the files in tests/lsp/fixtures, and what their trees say, as text.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "lsp/document/syntax.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp::test {

// A parse that takes too long is given up; a test must not depend on how busy its machine is.
inline constexpr std::chrono::milliseconds timeout = std::chrono::minutes{10};

inline SnapshotPtr snapshot(std::string uri, std::string text, std::string language_id = "",
                            std::int64_t version = 1) {
  return std::make_shared<const Snapshot>(Snapshot{std::move(uri), std::move(language_id), version,
                                                   std::make_shared<const Text>(std::move(text))});
}

inline SnapshotPtr fixture(const std::string& name) {
  std::ifstream file(HEARTH_SOURCE_DIR "/tests/lsp/fixtures/" + name, std::ios::binary);
  REQUIRE_MESSAGE(file, name);
  return snapshot("file:///home/ada/project/src/" + name,
                  std::string(std::istreambuf_iterator<char>(file), {}));
}

inline Byte place_of(const Snapshot& snapshot, std::string_view words) {
  const std::size_t found = snapshot.text->str().find(words);
  REQUIRE_MESSAGE(found != std::string::npos, words);
  return {found};
}

// From the beginning of the first to the end of the second.
inline ByteRange range_of(const Snapshot& snapshot, std::string_view first, std::string_view last) {
  return {place_of(snapshot, first), {place_of(snapshot, last).value + last.size()}};
}

inline std::string outline_of(const SyntaxTree& tree) {
  std::string lines;
  for (const Declaration& declaration : tree.outline()) {
    lines += std::string(static_cast<std::size_t>(declaration.depth) * 2, ' ') + declaration.name +
             (declaration.kind == DeclarationRule::Kind::function ? "()" : "") + "\n";
  }
  return lines;
}

inline std::string imports_of(const SyntaxTree& tree) {
  std::string lines;
  for (const ByteRange& import : tree.imports()) {
    lines += std::string(tree.snapshot().text->view(import)) + "\n";
  }
  return lines;
}

// The name of what encloses the first occurrence of `words`.
inline std::string around(const SyntaxTree& tree, std::string_view words) {
  const Byte place = place_of(tree.snapshot(), words);
  const auto found = tree.enclosing({place, place});
  return found ? found->name : "nothing";
}

inline std::string code_around(const SyntaxTree& tree, std::string_view words) {
  const Byte place = place_of(tree.snapshot(), words);
  const auto found = tree.enclosing({place, place});
  return found ? std::string(tree.snapshot().text->view(found->range)) : "nothing";
}

inline SyntaxTreePtr tree_of(const SnapshotPtr& snapshot) {
  const Syntax syntax{timeout};
  return syntax.tree(snapshot);
}

}  // namespace hearth::lsp::test
