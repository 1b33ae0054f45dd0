// What a keystroke costs: tokens of its completion's prompt that the engine reads anew, with a tiny
// checkpoint of either order of fill in the middle.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "engine/dummy/dummy.hpp"
#include "tests/daemon/models/typing.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using tests::Typing;

namespace {

constexpr const char* uri = "file:///home/ada/shop/prices.py";

engine::EngineOptions tiny(const std::filesystem::path& directory, engine::FimOrder order) {
  engine::DummyOptions dummy;
  dummy.out = directory / "tiny";
  dummy.config = engine::tiny_config(256, 4, 16);
  dummy.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
  dummy.fim_order = order;
  REQUIRE(engine::write_dummy(dummy));
  engine::EngineOptions options;
  options.model = dummy.out;
  options.host().threads = 2;
  options.prefix_ram_bytes = std::uint64_t{1} << 28;
  return options;
}

std::string source() {
  std::string text = "import os\nimport sys\n\n\n";
  for (int i = 0; i < 24; ++i) {
    text += "def price_" + std::to_string(i) +
            "(items):\n    total = 0\n    for item in items:\n        total += item.price\n"
            "    return total\n\n\n";
  }
  return text;
}

// 200 characters.
constexpr std::string_view typed =
    "limit = len(items)\n    if limit > 100:\n        raise ValueError('too many: ' + str(limit))\n"
    "    counts = {}\n    for item in items:\n        counts[item.name] = counts.get(item.name, 0)"
    " + item.size\n    return counts";

// Each keystroke reads at most `max_read` tokens, beside the suffix where that comes last.
void type_in_one_function(engine::FimOrder order, std::uint64_t max_read) {
  const tests::TemporaryDirectory directory;
  Typing editor(tiny(directory.path(), order), 100);
  editor.open(uri, "python", source());
  std::size_t at = editor.text(uri).find("total = 0", editor.text(uri).find("price_12"));
  editor.replace(uri, at, 0, "\n    ");  // a line of its own
  editor.complete(uri, at);              // the first one reads all
  const std::string suffix = lsp::text_of(editor.prompt().suffix);
  const std::uint64_t behind = editor.count(suffix);
  const bool last = order == engine::FimOrder::prefix_first;
  CHECK(behind > 0);
  if (last) CHECK(behind <= 76);  // of the 100 tokens that a second allows, without the word's

  std::uint64_t most = 0;
  std::uint64_t asked = 0;
  for (const char c : typed) {
    editor.replace(uri, at++, 0, std::string(1, c));
    const tests::Tokens before = editor.tokens();
    const std::uint64_t requests = editor.requests();
    editor.complete(uri, at);
    if (editor.requests() == requests) continue;  // typed along
    ++asked;
    CHECK(lsp::text_of(editor.prompt().suffix) == suffix);
    most = std::max(most, (editor.tokens() - before).read());
  }
  MESSAGE("a keystroke reads at most ", most, " tokens, ", last ? behind : 0, " of them suffix");
  CHECK(asked > typed.size() / 2);
  CHECK(most <= max_read + (last ? behind : 0));
}

}  // namespace

TEST_CASE("with the published order a keystroke reads the new tokens and the suffix, no more") {
  type_in_one_function(engine::FimOrder::prefix_first, 32);
}

TEST_CASE("a model that reads the suffix first reads at most 32 tokens at a keystroke") {
  type_in_one_function(engine::FimOrder::suffix_first, 32);
}
