// What the model sees of a change.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lsp/context/context.hpp"

namespace hearth::lsp::test {
namespace {

const Wording wording{"test", "Write."};

std::string file_diff(const std::string& path, int lines) {
  std::string text = "diff --git a/" + path + " b/" + path + "\nindex 1..2 100644\n--- a/" + path +
                     "\n+++ b/" + path + "\n@@ -1,0 +1," + std::to_string(lines) + " @@\n";
  for (int i = 0; i < lines; ++i) text += "+line " + std::to_string(i) + " of " + path + "\n";
  return text;
}

// With four bytes a token.
std::string shown(const std::string& diff, std::int64_t context_tokens,
                  std::vector<ContextPiece>* pieces = nullptr) {
  TaskInput input;
  input.diff = diff;
  ModelProfile profile;
  profile.context_tokens = context_tokens;
  const ContextPlan plan = plan_diff(input, profile, wording);
  std::vector<std::int64_t> counts;
  std::int64_t all = 0;
  for (const std::string& text : plan.texts())
    counts.push_back(static_cast<std::int64_t>(text.size() + 3) / 4);
  const Prompt prompt = plan.fit(counts);
  if (pieces != nullptr) *pieces = plan.pieces(counts);
  std::string text;
  for (const Message& message : prompt.messages) {
    text += text_of(message.segments);
    for (const Segment& segment : message.segments)
      all += static_cast<std::int64_t>(segment.text.size() + 3) / 4;
  }
  CHECK(all <= context_tokens);
  return text;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("small files of a change are shown whole, of large ones as much as fits") {
  std::vector<ContextPiece> pieces;
  const std::string text =
      shown(file_diff("large.py", 2000) + file_diff("small.py", 3), 1000, &pieces);
  CHECK(holds(text, "+line 2 of small.py"));
  CHECK(holds(text, "+line 0 of large.py"));
  CHECK_FALSE(holds(text, "+line 1999 of large.py"));
  CHECK(holds(text, "[... the rest of this file is left out ...]"));
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].left_out == "it is long: its end is not shown");
  CHECK(pieces[1].left_out.empty());
}

TEST_CASE("a change of a secret file is named and not shown, nor is a line that looks like one") {
  const std::string diff =
      file_diff("config/.env", 2) + file_diff("a.py", 1) + "+password = \"hunter2hunter2\"\n";
  const std::string text = shown(diff, 1000);
  CHECK(secret_files(diff) == std::vector<std::string>{"config/.env"});
  CHECK(holds(text, "[config/.env: left out, it looks like a file of secrets]"));
  CHECK_FALSE(holds(text, "of config/.env\n"));
  CHECK(holds(text, "+line 0 of a.py"));
  CHECK_FALSE(holds(text, "hunter2"));
  // Whatever names it: a file that was removed, or renamed to something harmless.
  CHECK(secret_files("diff --git a/.env b/plain.txt\nrename from .env\nrename to plain.txt\n"
                     "--- a/.env\n+++ b/plain.txt\n@@ -1 +1 @@\n-A=1\n+A=2\n") ==
        std::vector<std::string>{".env"});
  CHECK(secret_files("--- a/.env\n+++ /dev/null\n@@ -1 +0,0 @@\n-A=1\n") ==
        std::vector<std::string>{".env"});
  CHECK(secret_files("diff --git a/.npmrc b/.npmrc\nnew file mode 100644\n") ==
        std::vector<std::string>{".npmrc"});
}

TEST_CASE("what is no diff is shown as it is, and nothing is refused") {
  CHECK(holds(shown("some words\n", 500), "some words"));
  TaskInput input;
  input.diff = " \n";
  CHECK(plan_diff(input, {}, wording).refused() ==
        "The diff is empty: there is nothing to write about.");
}

}  // namespace hearth::lsp::test
