// How much of the text behind the cursor a completion is shown: as much as can be read at each
// keystroke, to the end of a node, and the same as long as the cursor is in one.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "lsp/context/context.hpp"
#include "lsp/context/reading.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;
using namespace std::chrono_literals;

namespace {

std::int64_t count(std::string_view text) {
  return static_cast<std::int64_t>(text.size() + 3) / 4;
}

ModelProfile published(std::optional<double> speed) {
  ModelProfile profile;
  profile.name = "published";
  profile.context_tokens = 8192;
  profile.fim_prefix_tokens = 4096;
  profile.fim_suffix_tokens = 1024;
  profile.completion_speed = speed;
  return profile;
}

struct Completed {
  Prompt prompt;
  SuffixEnd end;

  std::string suffix() const { return text_of(prompt.suffix); }
  std::string prefix() const { return text_of(prompt.prefix); }
};

Completed complete(const SnapshotPtr& document, Byte cursor, const ModelProfile& profile,
                   SuffixEnd last = {}, std::chrono::milliseconds max_read = 1s) {
  const ContextPlan plan =
      plan_inline(Syntax{timeout}, document, cursor, profile, {64, max_read, std::move(last)});
  std::vector<std::int64_t> counts;
  for (const std::string& text : plan.texts()) counts.push_back(count(text));
  Completed completed{plan.fit(counts), {}};
  completed.end = plan.suffix_end(completed.prompt);
  return completed;
}

// Functions of about 30 tokens each.
std::string source(int functions) {
  std::string text = "import os\n\n\n";
  for (int i = 0; i < functions; ++i) {
    const std::string number = std::to_string(i);
    text += "def function_" + number + "(values):\n    total = " + number +
            "\n    for value in values:\n        if value:\n            total += value\n"
            "    return total\n\n\n";
  }
  return text;
}

SnapshotPtr python(std::string text) {
  return snapshot("untitled:1", std::move(text), "python");
}

}  // namespace

TEST_CASE("the text behind the cursor is as long as the measured speed allows, to a node's end") {
  const SnapshotPtr document = python(source(200));
  const std::string& text = document->text->str();
  const Byte cursor{text.find("    for value in values", text.find("total = 120\n"))};
  struct Case {
    std::optional<double> speed;
    std::int64_t min;
    std::int64_t max;
  };
  for (const auto& [speed, min, max] : {Case{std::nullopt, 64, 128}, Case{100.0, 20, 76},
                                        Case{200.0, 66, 171}, Case{100'000.0, 120, 171}}) {
    CAPTURE(max);
    const std::string suffix = complete(document, cursor, published(speed)).suffix();
    CHECK(count(suffix) >= min);
    CHECK(count(suffix) <= max);
    CHECK(suffix.ends_with("    return total\n\n\n"));  // a function, nothing of the next one
  }
  CHECK(count(complete(document, cursor, published(200), {}, 500ms).suffix()) <= 76);

  ModelProfile suffix_first = published(100);
  suffix_first.fim_order = FimOrder::suffix_first;  // it is read once, whatever is typed
  CHECK(count(complete(document, cursor, suffix_first).suffix()) > 900);

  // Behind little text there is little.
  const Byte early = place_of(*document, "    for value in values");
  CHECK(count(complete(document, early, published(100'000.0)).suffix()) <= 32);
}

TEST_CASE("where not even the rest of the function can be read, a statement ends the suffix") {
  const SnapshotPtr document = python(source(3));
  const Byte cursor = place_of(*document, "total = 0");
  const std::string suffix = complete(document, cursor, published(10)).suffix();
  CHECK(count(suffix) <= least_suffix_tokens);
  CHECK(suffix == "total = 0\n");
  const SnapshotPtr plain = snapshot("untitled:2", document->text->str(), "plaintext");
  const std::string paragraphs = complete(plain, cursor, published(100)).suffix();
  CHECK(paragraphs.ends_with("    return total\n\n\n"));
}

TEST_CASE("while 200 characters are typed in a function, a keystroke reads them and the suffix") {
  const std::string text = source(60);
  const std::string typed =
      "limit = len(values)\n    if limit > 100:\n        raise ValueError('too many: ' + "
      "str(limit))"
      "\n    counts = {}\n    for value in values:\n        counts[value] = counts.get(value, 0) + "
      "1"
      "\n    return counts\n";
  REQUIRE(typed.size() >= 200);
  const std::size_t place = text.find("total = 30");
  Completed last = complete(python(text), {place}, published(200));
  const std::string suffix = last.suffix();
  CHECK(count(suffix) <= 176);
  int moved = 0;
  for (std::size_t n = 1; n <= typed.size(); ++n) {
    CAPTURE(n);
    std::string now = text;
    now.insert(place, typed.substr(0, n));
    // The speed that is measured is never twice the same.
    const double speed = 180 + static_cast<double>(n * 7 % 50);
    Completed next = complete(python(now), {place + n}, published(speed), last.end);
    CHECK(next.suffix() == suffix);
    const std::string prefix = last.prefix();
    const bool grew = next.prefix().starts_with(prefix);
    moved += grew ? 0 : 1;
    // What is new, with the word that it goes on with, and the suffix: within the second.
    if (grew) CHECK(count(next.prefix().substr(prefix.size())) + count(suffix) + 8 <= 180);
    last = std::move(next);
  }
  CHECK(moved <= 1);
}

TEST_CASE("the suffix ends elsewhere once the cursor leaves the node, or the speed falls") {
  const std::string text = source(200);
  const SnapshotPtr document = python(text);
  const Completed first = complete(document, place_of(*document, "total = 170"), published(200));
  const auto suffix_end = [&](std::size_t place, double speed) {
    return complete(document, {place}, published(speed), first.end).end.end.value;
  };
  const std::size_t in_node = text.find("for value", text.find("total = 170"));
  CHECK(suffix_end(in_node, 200) == first.end.end.value);
  CHECK(suffix_end(in_node, 1000) == first.end.end.value);
  CHECK(suffix_end(in_node, 60) < first.end.end.value);
  CHECK(suffix_end(text.find("total = 171"), 200) > first.end.end.value);
  CHECK(suffix_end(text.find("total = 105"), 200) < first.end.end.value);

  // A change above: what was known of the node is of another text.
  const SnapshotPtr changed = python("import sys\n" + text);
  const Completed after = complete(changed, {in_node + 11}, published(1000), first.end);
  CHECK(after.end.end.value > first.end.end.value + 11);
}

TEST_CASE("a document with the line endings of Windows keeps its suffix too") {
  std::string text = source(40);
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 2)) {
    text.insert(at, 1, '\r');
  }
  const std::size_t place = text.find("total = 3\r");
  const Completed first = complete(python(text), {place}, published(200));
  CHECK(first.suffix().find('\r') == std::string::npos);
  text.insert(place, "x = 1\r\n    y");
  const Completed next = complete(python(text), {place + 12}, published(1000), first.end);
  CHECK(next.suffix() == first.suffix());
}

TEST_CASE("too slow is what cannot read a word and a line within the time") {
  const auto slow = [](std::optional<double> speed, std::chrono::milliseconds max,
                       FimOrder order = FimOrder::prefix_first) {
    return reads_too_slowly(order, speed, max);
  };
  CHECK(slow(39, 1s));
  CHECK_FALSE(slow(40, 1s));
  CHECK(slow(60, 500ms));
  CHECK_FALSE(slow(30, 1s, FimOrder::suffix_first));
  CHECK(slow(20, 1s, FimOrder::suffix_first));
  CHECK_FALSE(slow(std::nullopt, 0ms));  // nothing is known yet
  CHECK(slow(1e9, 0ms));
  CHECK_FALSE(slow(1e300, std::chrono::hours(87'600)));
}
