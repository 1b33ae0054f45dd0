// What stands beside the code: its order, what stays the same, what is left out and why.
#include "lsp/context/surroundings.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/protocol/prompt_json.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

namespace {

const Wording wording{"explain", "Explain what this code does."};
const std::string own = "file:///home/ada/src/app.py";
const std::string app =
    "from stats import mean\nfrom shelf import Shelf\n\n\n"
    "def go(shelf: Shelf):\n    return mean(shelf.take(2))\n\n\n"
    "def other():\n    return spread(1)\n";

std::shared_ptr<WorkspaceIndex> index_of(
    const std::vector<std::pair<std::string, std::string>>& files) {
  auto index = std::make_shared<WorkspaceIndex>();
  for (const auto& [path, text] : files) {
    const auto tree = tree_of(snapshot("file://" + path, text));
    index->update(path, tree->language(), declarations_of(*tree), WorkspaceIndex::Source::disk);
  }
  return index;
}

TaskInput task(std::string_view words = "return mean", const std::string& text = app) {
  TaskInput input;
  input.snapshot = snapshot(own, text, "python");
  const Byte place = place_of(*input.snapshot, words);
  input.selection = {place, place};
  input.syntax = std::make_shared<const Syntax>(timeout);
  input.folders = {"file:///home/ada"};
  input.answer_tokens = 100;
  input.index = index_of({{"/home/ada/src/stats.py",
                           "def mean(values: list) -> float:\n    return 0\n\n"
                           "def spread(values):\n    return 0\n"},
                          {"/home/ada/src/shelf.py",
                           "class Shelf:\n    rows = 3\n\n    def take(self, n):\n        pass\n"},
                          {"/home/ada/lib/stats.go", "package stats\nfunc mean(values int) {}\n"},
                          {"/home/ada/src/app.py", "def mean(own):\n    pass\n"}});
  return input;
}

ModelProfile profile(std::int64_t context = 4096) {
  ModelProfile profile;
  profile.name = "large";
  profile.system_chat = "You help.";
  profile.context_tokens = context;
  return profile;
}

std::vector<std::int64_t> counts(const ContextPlan& plan) {
  std::vector<std::int64_t> counts;
  for (const std::string& text : plan.texts()) {
    counts.push_back(static_cast<std::int64_t>((text.size() + 3) / 4));
  }
  return counts;
}

Prompt fitted(const TaskInput& input, std::int64_t context = 4096, const Wording& words = wording) {
  const ContextPlan plan = plan_task(input, profile(context), words);
  CHECK(plan.refused() == "");
  return plan.fit(counts(plan));
}

std::string turn(const Prompt& prompt) {
  return text_of(prompt.messages.at(1).segments);
}

std::vector<Provenance> order(const Prompt& prompt) {
  std::vector<Provenance> order;
  for (const Segment& segment : prompt.messages.at(1).segments) order.push_back(segment.provenance);
  return order;
}

}  // namespace

TEST_CASE("signatures of what the code calls and has as types stand above it, by file") {
  CHECK(turn(fitted(task())) ==
        "File: src/app.py (python)\n\n"
        "Outline of the file:\n\n```python\ndef go(shelf: Shelf)\ndef other()\n```\n\n"
        "Its imports:\n\n```python\nfrom stats import mean\nfrom shelf import Shelf\n```\n\n"
        "Declared in other files:\n\n```python\n"
        "# src/shelf.py\nclass Shelf:\n    rows = 3\n\n    def take(self, n):\n        pass\n"
        "# src/stats.py\ndef mean(values: list) -> float\n```\n\n"
        "The code in question:\n\n```python\n"
        "def go(shelf: Shelf):\n    return mean(shelf.take(2))\n```\n\n"
        "Explain what this code does.");
}

TEST_CASE("a prompt's parts stand with what changes least first and the task last") {
  TaskInput input = task();
  input.pinned = {{"docs/rules.md", "markdown", "Be brief.\n"}};
  input.recent_edits = {{own, 9, "    return spread(1)\n"}};
  const Byte place = place_of(*input.snapshot, "return mean");
  input.diagnostics = {{{place, place}, Diagnostic::Severity::error, "no mean", "pyright"}};
  const Prompt prompt = fitted(input);
  CHECK(order(prompt) == std::vector{Provenance::project, Provenance::file, Provenance::outline,
                                     Provenance::imports, Provenance::signatures,
                                     Provenance::selection, Provenance::diagnostics,
                                     Provenance::edits, Provenance::instruction});
  const std::vector<Segment>& segments = prompt.messages[1].segments;
  for (const std::size_t stable : {0U, 2U, 3U, 4U, 5U}) CHECK(segments[stable].boundary);
  CHECK(segments[0].text == "docs/rules.md:\n\n```markdown\nBe brief.\n```\n\n");
  CHECK(segments[6].text ==
        "What the editor's tools say about it:\n\nline 6: error: no mean (pyright)\n\n");
  CHECK(segments[7].text ==
        "Changed a moment ago:\n\n```python\n# src/app.py, line 10\n    return spread(1)\n```\n\n");
}

TEST_CASE("another task about the same code begins with the same text") {
  const std::string first = turn(fitted(task()));
  const std::string second = turn(fitted(task(), 4096, {"review", "What is wrong here?"}));
  const std::size_t same = first.find(wording.text);
  CHECK(first.substr(0, same) == second.substr(0, same));
}

TEST_CASE("a function that is asked about next keeps what does not depend on it") {
  const auto until = [](const Prompt& prompt, Provenance provenance) {
    std::string text;
    for (const Segment& segment : prompt.messages.at(1).segments) {
      if (segment.provenance == provenance) break;
      text += segment.text;
    }
    return text;
  };
  CHECK(until(fitted(task()), Provenance::signatures) ==
        until(fitted(task("return spread")), Provenance::signatures));
}

TEST_CASE("what the wording says of diagnostics is not said twice") {
  TaskInput input = task();
  const Byte place = place_of(*input.snapshot, "return mean");
  input.diagnostics = {{{place, place}, Diagnostic::Severity::error, "no mean", "pyright"}};
  const std::string text = turn(fitted(input, 4096, {"fix", "Fix {diagnostics}"}));
  CHECK(text.find("no mean") == text.rfind("no mean"));
}

TEST_CASE("a small budget drops what is worth least for its size, and says so") {
  TaskInput input = task();
  std::string text = app;
  for (int i = 0; i < 60; ++i) text += "\n\ndef filler_" + std::to_string(i) + "():\n    pass\n";
  input.snapshot = snapshot(own, text, "python");
  bool signature_without_outline = false;
  for (std::int64_t context = 200; context < 6000; context += 50) {
    const ContextPlan plan = plan_task(input, profile(context), wording);
    const auto tokens = counts(plan);
    const Prompt prompt = plan.fit(tokens);
    const std::vector<Provenance> shown = order(prompt);
    std::int64_t used = 0;
    for (const ContextPiece& piece : plan.pieces(tokens)) {
      const bool is_shown = std::ranges::find(shown, piece.provenance) != shown.end() ||
                            piece.provenance == Provenance::system;
      if (piece.left_out.empty()) CHECK(is_shown);
      if (piece.left_out.empty()) used += piece.tokens;
      CHECK_FALSE(piece.title.empty());
      CHECK_FALSE(piece.why.empty());
    }
    CHECK(used <= context - input.answer_tokens);
    const auto has = [&](Provenance provenance) {
      return std::ranges::find(shown, provenance) != shown.end();
    };
    signature_without_outline |= has(Provenance::signatures) && !has(Provenance::outline);
  }
  CHECK(signature_without_outline);
}

TEST_CASE("what was left out is known, with the reason") {
  TaskInput input = task();
  input.pinned = {{"big.md", "markdown", std::string(12'000, 'x') + "\n"}};
  const ContextPlan plan = plan_task(input, profile(), wording);
  const auto pieces = plan.pieces(counts(plan));
  const auto big = std::ranges::find(pieces, "big.md", &ContextPiece::title);
  REQUIRE(big != pieces.end());
  CHECK(big->left_out == "is more than its share of the prompt");
  const auto mean = std::ranges::find(pieces, "mean in src/stats.py", &ContextPiece::title);
  REQUIRE(mean != pieces.end());
  CHECK(mean->left_out.empty());
  CHECK(mean->why == "is called");
  CHECK(mean->tokens > 0);
  CHECK(std::ranges::find(pieces, "outline without members", &ContextPiece::title)->left_out ==
        "a fuller one is shown");
}

TEST_CASE("context that nobody asked for has no secrets in it; the code itself is as it is") {
  const std::string secret = "AKIA" + std::string("IOSFODNN7EXAMPLE");
  const std::string text = "KEY = \"" + secret +
                           "\"\n\n\ndef go(shelf: Shelf):\n    return use(\"" + secret +
                           "\")\n\n\ndef far(token=\"" + secret + "\"):\n    pass\n";
  TaskInput input = task("return use", text);
  input.pinned = {{"notes.txt", "", "password: \"" + secret + "\"\nrest\n"}};
  input.recent_edits = {{own, 0, "KEY = \"" + secret + "\"\n"}};
  const Prompt prompt = fitted(input);
  for (const Segment& segment : prompt.messages[1].segments) {
    CHECK((segment.text.find(secret) != std::string::npos) ==
          (segment.provenance == Provenance::selection));
  }
  CHECK(turn(prompt).find("[left out: it looks like a secret]\nrest\n") != std::string::npos);
}

TEST_CASE("changed lines of documents that may not be shown are not") {
  TaskInput input = task();
  input.recent_edits = {{"file:///elsewhere/a.py", 0, "outside = 1\n"},
                        {"file:///home/ada/.env", 0, "A=1\n"},
                        {"file:///home/ada/src/b.py", 4, "shown = 1\n"}};
  const auto index = std::make_shared<WorkspaceIndex>();
  index->admit("file:///home/ada/src/b.py", "/home/ada/src/b.py");
  index->admit("file:///home/ada/.env", "/home/ada/.env");
  input.index = index;
  const std::string text = turn(fitted(input));
  CHECK(text.find("outside") == std::string::npos);
  CHECK(text.find("A=1") == std::string::npos);
  CHECK(text.find("# src/b.py, line 5\nshown = 1\n") != std::string::npos);
}

TEST_CASE("a model that was trained without surroundings sees none") {
  TaskInput input = task();
  input.pinned = {{"docs/rules.md", "markdown", "Be brief.\n"}};
  input.recent_edits = {{own, 9, "    return spread(1)\n"}};
  ModelProfile small = profile(1024);
  small.surroundings = false;
  const ContextPlan plan = plan_task(input, small, wording);
  CHECK(turn(plan.fit(counts(plan))) ==
        "File: src/app.py (python)\n\n```python\ndef go(shelf: Shelf):\n"
        "    return mean(shelf.take(2))\n```\n\nExplain what this code does.");
}

TEST_CASE("why a segment is there is written down with the prompt") {
  const Prompt prompt = fitted(task());
  const Prompt read = nlohmann::json(prompt).get<Prompt>();
  for (std::size_t i = 0; i < prompt.messages[1].segments.size(); ++i) {
    CHECK(read.messages[1].segments[i].why == prompt.messages[1].segments[i].why);
    CHECK(read.messages[1].segments[i].provenance == prompt.messages[1].segments[i].provenance);
  }
  const auto signatures =
      std::ranges::find(read.messages[1].segments, Provenance::signatures, &Segment::provenance);
  REQUIRE(signatures != read.messages[1].segments.end());
  CHECK(signatures->why == "what the code uses of other files");
}
