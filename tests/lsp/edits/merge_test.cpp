// A place is found again in a document of which a target keeps a part only.
#include "lsp/edits/merge.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {
namespace {

constexpr std::size_t count = 12'000;

std::vector<std::string> numbered() {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) {
    lines.push_back(i % 10 == 9 ? "}" : "  statement " + std::to_string(i) + ";");
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("a place in a large document is found again after many changes of it") {
  std::mt19937_64 random(17);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> lines = numbered();
    const SnapshotPtr before = snapshot("file:///home/ada/a.c", joined(lines));
    // Ten lines, of which the answer changes the third.
    const std::size_t first = 20 + random() % (count - 60) / 10 * 10;
    const Text& text = *before->text;
    const Target target = target_of(*before, {text.line_start(first), text.line_end(first + 9)});
    std::string answer = target.text;
    answer.replace(answer.find(lines[first + 2]), lines[first + 2].size(), "  changed;");
    // A person changes a hundred places, not that one.
    std::vector<std::string> expected;
    std::vector<std::string> now;
    for (std::size_t i = 0; i < count; ++i) {
      const bool near = i + 4 > first && i < first + 8;
      const std::size_t what = near ? 100 : random() % 400;
      std::vector<std::string> become{lines[i]};
      if (what == 0) become.clear();
      if (what == 1) become = {lines[i], "  typed();", "  typed();"};
      if (what == 2) become = {"  other " + std::to_string(i)};
      if (round % 2 == 0 && i == 5) become.assign(700, "  pasted();");
      now.insert(now.end(), become.begin(), become.end());
      if (i == first + 2) become = {"  changed;"};
      expected.insert(expected.end(), become.begin(), become.end());
    }
    const SnapshotPtr after = snapshot("file:///home/ada/a.c", joined(now), "", 2);
    const auto made = assemble(AnswerForm::whole_code, "```c\n" + answer + "\n```\n", true,
                               {&target, 1}, [&](const std::string&) { return after; });
    CAPTURE(round);
    if (const auto* refusal = std::get_if<Refusal>(&made)) FAIL_CHECK(refusal->reason);
    if (const auto* files = std::get_if<std::vector<FileEdit>>(&made)) {
      REQUIRE(files->size() == 1);
      CHECK(files->front().edits.size() == 1);
      CHECK(edited(after->text->str(), files->front().edits) == joined(expected));
    }
  }
}

TEST_CASE("a large document without the place is not searched for something like it") {
  const std::vector<std::string> lines = numbered();
  const SnapshotPtr before = snapshot("file:///home/ada/a.c", joined(lines));
  const Text& text = *before->text;
  const Target target = target_of(*before, {text.line_start(6000), text.line_end(6009)});
  std::string answer = target.text;
  answer.replace(answer.find(lines[6002]), lines[6002].size(), "  changed;");
  // All around the place is gone, and the place too.
  std::vector<std::string> now(lines.begin(), lines.begin() + 3000);
  now.insert(now.end(), lines.begin() + 9000, lines.end());
  const SnapshotPtr after = snapshot("file:///home/ada/a.c", joined(now), "", 2);
  const auto made = assemble(AnswerForm::whole_code, "```c\n" + answer + "\n```\n", true,
                             {&target, 1}, [&](const std::string&) { return after; });
  REQUIRE(std::holds_alternative<Refusal>(made));
  CHECK(std::get<Refusal>(made).kind == Refusal::Kind::moved);
}

}  // namespace hearth::lsp::test
