// What the model sees of a question that is about no place in a document.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lsp/context/context.hpp"

namespace hearth::lsp::test {
namespace {

// With four bytes a token.
std::string shown(const TaskInput& input, std::int64_t context_tokens,
                  std::vector<ContextPiece>* pieces = nullptr) {
  ModelProfile profile;
  profile.context_tokens = context_tokens;
  const ContextPlan plan = plan_words(input, profile, Wording{"test", "{instruction}"}, "why");
  std::vector<std::int64_t> counts;
  for (const std::string& text : plan.texts())
    counts.push_back(static_cast<std::int64_t>(text.size() + 3) / 4);
  if (pieces != nullptr) *pieces = plan.pieces(counts);
  std::string text;
  std::int64_t all = 0;
  for (const Message& message : plan.fit(counts).messages) {
    text += text_of(message.segments);
    for (const Segment& segment : message.segments)
      all += static_cast<std::int64_t>(segment.text.size() + 3) / 4;
  }
  CHECK(all <= context_tokens);
  return text;
}

std::string lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

}  // namespace

TEST_CASE("words come after what is pinned and what is attached, and alone without these") {
  TaskInput input;
  input.instruction = "Why?";
  CHECK(shown(input, 1000).ends_with("Why?"));
  input.attached = {{"a.py", "python", "x = 1"}};
  input.pinned = {{"rules.md", "markdown", "No ``` here.\n"}};
  CHECK(shown(input, 1000)
            .ends_with("rules.md:\n\n````markdown\nNo ``` here.\n````\n\n"
                       "a.py:\n\n```python\nx = 1\n```\n\nWhy?"));
}

TEST_CASE("of what is attached and does not fit the end is cut, and small files are whole") {
  TaskInput input;
  input.instruction = "Why?";
  input.attached = {{"large.txt", "", lines(2000)}, {"small.txt", "", lines(3)}};
  std::vector<ContextPiece> pieces;
  const std::string text = shown(input, 900, &pieces);
  CHECK(text.find("line 100\n") != text.npos);
  CHECK(text.find("line 1999\n") == text.npos);
  CHECK(text.find("[... the rest of it is left out ...]\n```\n") != text.npos);
  CHECK(text.find("small.txt:\n\n```\nline 0\nline 1\nline 2\n```\n") != text.npos);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].left_out == "it is long: its end is not shown");
  CHECK(pieces[1].left_out.empty());
}

TEST_CASE("no line of an attached file that looks like a secret is shown, and no secret file") {
  TaskInput input;
  input.instruction = "Why?";
  input.attached = {{"a.py", "python", "password = \"correct horse battery\"\nx = 1\n"},
                    {".env", "", "NAME=value\n"}};
  const std::string text = shown(input, 1000);
  CHECK(text.find("horse") == text.npos);
  CHECK(text.find("NAME=value") == text.npos);
  CHECK(text.find("x = 1") != text.npos);
}

}  // namespace hearth::lsp::test
