// Answers that no model should give: bytes that are no text, megabytes, markers without end. They
// are refused or read in time that grows with their size; the sizes here would take hours
// otherwise.
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

namespace hearth::lsp::test {
namespace {

struct Asked {
  SnapshotPtr document;
  Target target;

  explicit Asked(std::string text) : document(snapshot("file:///home/ada/a.py", std::move(text))) {
    target = target_of(*document, {{0}, {document->text->str().size()}});
  }

  Checked<std::vector<FileEdit>> operator()(AnswerForm form, const std::string& answer) const {
    return assemble(form, answer, true, {&target, 1}, [&](const std::string&) { return document; });
  }
};

// What comes of it, if anything does, is an edit of the document.
void check_sound(const Asked& asked, const Checked<std::vector<FileEdit>>& made) {
  if (const auto* refusal = std::get_if<Refusal>(&made)) {
    CHECK_FALSE(refusal->reason.empty());
    CHECK(refusal->reason.size() < 1000);
    return;
  }
  for (const FileEdit& file : std::get<std::vector<FileEdit>>(made)) {
    CHECK(is_valid_utf8(edited(asked.document->text->str(), file.edits)));
  }
}

std::string repeated(std::string_view text, std::size_t count) {
  if (HEARTH_SANITIZED != 0) count = count / 8 + 1;  // as hostile, and in as many seconds
  std::string result;
  result.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) result += text;
  return result;
}

}  // namespace

TEST_CASE("answers of random pieces crash nothing") {
  constexpr std::string_view pieces[] = {"```\n",
                                         "```python\n",
                                         "````\n",
                                         "~~~\n",
                                         "<<<<<<< SEARCH\n",
                                         "=======\n",
                                         ">>>>>>> REPLACE\n",
                                         "a = 1\n",
                                         "b = 2\n",
                                         "    c = 3\n",
                                         "\n",
                                         "\r\n",
                                         "\r",
                                         "\t",
                                         "<think>",
                                         "</think>\n",
                                         "# ... existing code ...\n",
                                         "\xFF",
                                         "\xEF\xBB\xBF",
                                         "a.py\n",
                                         "src/a.py:\n",
                                         "Prose that says something.\n",
                                         "\0",
                                         "   ",
                                         "{",
                                         "}\n",
                                         "==========\n"};
  const Asked asked("a = 1\nb = 2\nif a:\n    c = 3\n    a = 1\nd = 4\n");
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string answer;
    for (std::size_t n = random() % 24; n > 0; --n) answer += pieces[random() % std::size(pieces)];
    check_sound(asked,
                asked(random() % 2 == 0 ? AnswerForm::hunks : AnswerForm::whole_code, answer));
  }
}

TEST_CASE("bytes that are no text are refused") {
  const Asked asked("a = 1\n");
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string answer(1 + random() % 2000, '\0');
    for (char& byte : answer) byte = static_cast<char>(random() % 256);
    answer += "\xFF";
    const auto made = asked(AnswerForm::whole_code, answer);
    REQUIRE(std::holds_alternative<Refusal>(made));
    CHECK(std::get<Refusal>(made).reason == "the answer is not valid text");
  }
}

TEST_CASE("megabytes of what is hard to read are read in linear time") {
  const Asked small("def f():\n    return 1\n\n\ndef g():\n    return 2\n");
  const Asked large(repeated("x\n", 20'000));
  const Asked mixed(repeated("x\n}\n    y\n\n", 5000));
  const std::vector<std::string> answers = {
      repeated("```\n", 100'000),
      repeated("```python\n", 40'000),
      "```\n" + repeated("x\n", 200'000) + "```\n",
      "```\n" + repeated("    x\n}\n", 40'000) + "```\n",
      repeated("<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n", 10'000),
      "<<<<<<< SEARCH\n" + repeated("=======\n", 20'000) + ">>>>>>> REPLACE\n",
      "<<<<<<< SEARCH\n" + repeated("=======\n========\n", 30'000) + ">>>>>>> REPLACE\n",
      "<<<<<<< SEARCH\n" + repeated("x\n", 10'000) + "=======\n" + repeated("y\n", 10'000) +
          ">>>>>>> REPLACE\n",
      "<<<<<<< SEARCH\n" + repeated("  x\n", 10'000) + "=======\n" + repeated("y\n", 10'000) +
          ">>>>>>> REPLACE\n",
      repeated("<<<<<<< SEARCH\n" + repeated("x\n", 1000) + "=======\n>>>>>>> REPLACE\n", 150),
      repeated("<think>", 20'000),
      repeated("</think>", 20'000),
      repeated("`", 600'000),
      repeated("# ... existing code ...\n", 20'000),
      repeated(" ", 600'000),
      "```\n" + repeated(" ", 600'000) + "x\n```\n",
      "```\n" + repeated("\t", 600'000) + "x\n```\n",
      repeated("\n", 600'000),
      repeated("\r", 600'000),
      repeated("a/b.py\n", 20'000) + "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n",
      std::string(5'000'000, 'x'),
  };
  for (const std::string& answer : answers) {
    CAPTURE(answer.substr(0, 60));
    for (const Asked* asked : {&small, &large, &mixed}) {
      check_sound(*asked, (*asked)(AnswerForm::whole_code, answer));
      check_sound(*asked, (*asked)(AnswerForm::hunks, answer));
    }
  }
}

TEST_CASE("a document that has become another in every line costs no more") {
  std::string text;
  std::string other;
  for (int i = 0; i < 20'000; ++i) {
    text += "line " + std::to_string(i) + "\n";
    other += (i % 3 == 0 ? "line " : "other ") + std::to_string(i * 7 % 20'000) + "\n";
  }
  const Asked asked(text);
  const SnapshotPtr now = snapshot("file:///home/ada/a.py", other, "", 2);
  const std::string answer = "```\n" + text + "one more\n```\n";
  check_sound(asked, assemble(AnswerForm::whole_code, answer, true, {&asked.target, 1},
                              [&](const std::string&) { return now; }));
}

TEST_CASE("a target that was written down wrongly is refused or merged, and no more") {
  const SnapshotPtr now = snapshot("file:///home/ada/a.py", "a = 1\nb = 2\n", "", 2);
  const Target targets[] = {
      {"file:///home/ada/a.py", 1, {{900}, {3}}, "a = 1", "", ""},
      {"file:///home/ada/a.py", 1, {{0}, {5}}, "a = 1", "no line end", "\n\xFF"},
      {"file:///home/ada/a.py", 1, {{0}, {5}}, "", "\xEF\xBB\xBF", ""},
      {"file:///home/ada/a.py", 1, {{2}, {5}}, "\n", "\r", "\n"},
      {"file:///home/ada/a.py", 1, {{SIZE_MAX}, {SIZE_MAX}}, "b = 2", "a = 1\n", "\n"},
  };
  for (const Target& target : targets) {
    for (const AnswerForm form : {AnswerForm::whole_code, AnswerForm::hunks}) {
      const std::string answer = form == AnswerForm::hunks
                                     ? "<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n"
                                     : "```\na = 2\n```\n";
      const auto made =
          assemble(form, answer, true, {&target, 1}, [&](const std::string&) { return now; });
      if (const auto* files = std::get_if<std::vector<FileEdit>>(&made)) {
        for (const FileEdit& file : *files) {
          for (const TextEdit& edit : file.edits) CHECK(edit.range.end.value <= 12);
        }
      }
    }
  }
}

}  // namespace hearth::lsp::test
