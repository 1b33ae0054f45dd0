// Any text in any language of the table: parsed, edited, parsed again, and asked all that prompts
// ask of a tree. The first line names the language; where it names none, its first byte picks one.
// The two bytes after it say where the text is edited and how.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "lsp/document/syntax.hpp"

namespace {

using namespace hearth::lsp;

void check(bool good) {
  if (!good) std::abort();
}

const Language& language_of(std::string_view line) {
  for (const Language& language : languages()) {
    if (language.name == line) return language;
  }
  const std::size_t pick = line.empty() ? 0 : static_cast<unsigned char>(line.front());
  return languages()[pick % languages().size()];
}

SnapshotPtr make_snapshot(const Language& language, std::int64_t version, Text text) {
  return std::make_shared<const Snapshot>(Snapshot{"file:///fuzzed",
                                                   std::string(language.ids.front()), version,
                                                   std::make_shared<const Text>(std::move(text))});
}

void ask(const SyntaxTree& tree) {
  const Text& text = *tree.snapshot().text;
  const std::size_t size = text.str().size();
  const auto inside = [&](ByteRange range) {
    check(range.begin <= range.end && range.end.value <= size);
  };
  for (const Declaration& declaration : tree.outline()) {
    inside(declaration.range);
    inside(declaration.signature);
  }
  for (const ByteRange& import : tree.imports()) inside(import);
  for (const std::size_t place : {std::size_t{0}, size / 3, size / 2, size}) {
    if (const auto found = tree.enclosing({{place}, {place}})) inside(found->range);
    if (const auto found = tree.enclosing({{place}, {size}})) inside(found->range);
    if (const auto found = tree.statement({place})) inside(*found);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  const Language& language = language_of(line);
  const std::size_t at = rest.empty() ? 0 : static_cast<unsigned char>(rest.front());
  const std::size_t how = rest.size() < 2 ? 0 : static_cast<unsigned char>(rest[1]);
  rest.remove_prefix(std::min<std::size_t>(rest.size(), 2));

  Syntax syntax;
  const SnapshotPtr before = make_snapshot(language, 1, Text(std::string(rest)));
  syntax.open(before);
  ask(*syntax.tree(before));
  // Something is taken out, or put in from elsewhere in the text.
  const std::string& text = before->text->str();
  const std::size_t begin = text.size() * at / 256;
  const std::size_t end = std::min(text.size(), begin + how % 16);
  const std::string inserted = how < 128 ? "" : text.substr(text.size() * (how - 128) / 128, at);
  const ByteRange range{{begin}, {end}};
  const SnapshotPtr after = make_snapshot(language, 2, before->text->edited(range, inserted));
  const ByteEdit edit{{begin}, {end}, {end + after->text->str().size() - text.size()}};
  syntax.change(before, after, {&edit, 1});
  ask(*syntax.tree(after));
  return 0;
}
