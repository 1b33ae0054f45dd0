// What the model sees: the code that was meant, its order, its budget, and what stays the same
// while a person types.
#include "lsp/context/context.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "lsp/protocol/source_path.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

namespace {

// Counts like a tokenizer that splits before it merges: a token for each run of letters (of at most
// four), for each other character, and for white space up to the end of its lines.
std::int64_t count(std::string_view text) {
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < text.size(); ++tokens) {
    const auto is = [&](std::size_t at, int (*kind)(int)) {
      return at < text.size() && kind(static_cast<unsigned char>(text[at])) != 0;
    };
    const std::size_t start = i;
    if (is(i, std::isspace)) {
      while (is(i, std::isspace)) ++i;
      const std::size_t newline = text.substr(start, i - start).rfind('\n');
      if (newline != text.npos) i = start + newline + 1;
    } else {
      while (is(i, std::isalpha) && i - start < 4) ++i;
      if (i == start) ++i;
    }
  }
  return tokens;
}

Prompt fitted(const ContextPlan& plan) {
  std::vector<std::int64_t> counts;
  for (const std::string& text : plan.texts()) counts.push_back(count(text));
  return plan.fit(counts);
}

ModelProfile ember() {
  ModelProfile profile;
  profile.name = "ember";
  profile.system_chat = "You are a programming assistant inside an editor.";
  profile.context_tokens = 1024;
  profile.fim_prefix_tokens = 900;
  profile.fim_suffix_tokens = 120;
  profile.surroundings = false;
  return profile;
}

ModelProfile large(std::int64_t context = 8192) {
  ModelProfile profile = ember();
  profile.name = "large";
  profile.context_tokens = context;
  profile.fim_prefix_tokens = context / 2;
  profile.fim_suffix_tokens = context / 4;
  profile.surroundings = true;
  return profile;
}

const Wording wording{"explain", "Explain what this code does."};

TaskInput input(const SnapshotPtr& document, ByteRange selection, std::int64_t answer = 100) {
  TaskInput input;
  input.snapshot = document;
  input.selection = selection;
  input.syntax = std::make_shared<const Syntax>(timeout);
  input.answer_tokens = answer;
  return input;
}

ContextPlan explain(const SnapshotPtr& document, ByteRange selection,
                    const ModelProfile& profile = ember(), std::vector<std::string> folders = {}) {
  TaskInput task = input(document, selection);
  task.folders = std::move(folders);
  return plan_task(task, profile, wording);
}

ContextPlan explain_at(const SnapshotPtr& document, std::string_view words,
                       const ModelProfile& profile = ember()) {
  const Byte place = place_of(*document, words);
  return explain(document, {place, place}, profile);
}

std::string user_turn(const Prompt& prompt) {
  return text_of(prompt.messages.at(1).segments);
}

// The code of a plan for ember, without its fences.
std::string code_of(const ContextPlan& plan) {
  const Prompt prompt = fitted(plan);
  const std::string text = prompt.messages.at(1).segments.at(1).text;
  const std::size_t begin = text.find('\n') + 1;
  return text.substr(begin, text.rfind("\n```") + 1 - begin);
}

std::vector<std::string> texts_by(const Prompt& prompt, Provenance provenance) {
  std::vector<std::string> texts;
  for (const Message& message : prompt.messages) {
    for (const Segment& segment : message.segments) {
      if (segment.provenance == provenance) texts.push_back(segment.text);
    }
  }
  return texts;
}

// What is between two marks of a prompt that the model was trained with.
std::string between(const std::string& text, const std::string& first, const std::string& last) {
  const std::size_t begin = text.find(first);
  REQUIRE(begin != std::string::npos);
  const std::size_t from = begin + first.size();
  return text.substr(from, text.find(last, from) - from);
}

nlohmann::json golden_metadata() {
  std::ifstream file(HEARTH_SOURCE_DIR "/tests/golden/ember.safetensors", std::ios::binary);
  std::uint64_t size = 0;
  char bytes[sizeof size];
  REQUIRE(file.read(bytes, sizeof bytes));
  std::memcpy(&size, bytes, sizeof size);
  std::string header(size, '\0');
  REQUIRE(file.read(header.data(), static_cast<std::streamsize>(size)));
  return nlohmann::json::parse(header).at("__metadata__");
}

// A source of `functions` functions, of which number `long_one` has `lines` lines.
std::string python_source(int functions, int long_one = -1, int lines = 0) {
  std::string text = "import os\nimport sys\n\n\n";
  for (int i = 0; i < functions; ++i) {
    text += "def function_" + std::to_string(i) + "(values):\n    total = 0\n";
    for (int n = 0; i == long_one && n < lines; ++n) {
      text += "    total += values[" + std::to_string(n) + "]\n";
    }
    text += "    return total\n\n\n";
  }
  return text;
}

}  // namespace

TEST_CASE("explain shows the embedded model the turn that it was trained with") {
  const std::string golden = golden_metadata().at("text.6");
  const std::string turn = between(golden, "<|im_start|>user\n", "<|im_end|>");
  const std::string code = between(turn, "```python\n", "```");
  const auto document = snapshot("file:///home/ada/stats.py", code, "python");

  const Prompt prompt = fitted(explain_at(document, "total += value"));
  CHECK(prompt.kind == Prompt::Kind::chat);
  REQUIRE(prompt.messages.size() == 2);
  CHECK(prompt.messages[0].role == Role::system);
  CHECK(text_of(prompt.messages[0].segments) ==
        between(golden, "<|im_start|>system\n", "<|im_end|>"));
  CHECK(prompt.messages[1].role == Role::user);
  CHECK(user_turn(prompt) == turn);
}

TEST_CASE("a completion shows the embedded model what it was trained with") {
  const nlohmann::json metadata = golden_metadata();
  for (const std::string key : {"text.0", "text.2", "text.3", "text.4", "text.5"}) {
    CAPTURE(key);
    const std::string golden = metadata.at(key);
    const std::string suffix = between(golden, "<|fim_suffix|>", "<|fim_prefix|>");
    const std::string prefix = between(golden, "<|fim_prefix|>", "<|fim_middle|>");
    const auto document = snapshot("untitled:1", prefix + suffix, "python");
    const ContextPlan plan = plan_inline(Syntax{timeout}, document, {prefix.size()}, ember(), {64});
    const Prompt prompt = fitted(plan);
    CHECK(prompt.kind == Prompt::Kind::fill_in_the_middle);
    CHECK(text_of(prompt.prefix) == prefix);
    CHECK(text_of(prompt.suffix) == suffix);
    CHECK(plan.range() == ByteRange{{prefix.size()}, {prefix.size()}});
  }
}

TEST_CASE("a selection means the function around it, without its surroundings' indentation") {
  const auto document = fixture("stats.py");
  const ContextPlan plan = explain_at(document, "self.width = width");
  CHECK(plan.subject() == "__init__");
  CHECK(document->text->view(plan.range()) ==
        "def __init__(self, width: float):\n        self.width = width");
  CHECK(code_of(plan) == "def __init__(self, width: float):\n    self.width = width\n");

  const ContextPlan part = explain(document, range_of(*document, "for value", "+= value\n"));
  CHECK(part.subject() == "average");
  CHECK(code_of(part).starts_with("@functools.lru_cache(maxsize=None)\ndef average(values):\n"));
}

TEST_CASE("a selection across functions means the class, or its whole lines") {
  const auto document = fixture("stats.py");
  CHECK(
      explain(document, range_of(*document, "self.width = width", "return bucket[1]")).subject() ==
      "Histogram");
  const ContextPlan lines =
      explain(document, range_of(*document, "values)\n\n\nclass", "Counts by"));
  CHECK(lines.subject() == "stats.py, lines 13 to 17");
  CHECK(code_of(lines) ==
        "    return total / len(values)\n\n\nclass Histogram(Base):\n    \"\"\"Counts by "
        "bucket.\"\"\"\n");
}

TEST_CASE("selected lines lose the indentation that they share") {
  const auto document = snapshot("file:///a.txt", "  one\n    two\n\n  three\nfour\n", "plaintext");
  const ContextPlan plan = explain(document, range_of(*document, "ne\n", "thr"));
  CHECK(plan.subject() == "a.txt, lines 1 to 4");
  CHECK(user_turn(fitted(plan)) ==
        "File: a.txt\n\n```\none\n  two\n\nthree\n```\n\nExplain what this code does.");
}

TEST_CASE("an empty selection outside of every function means the statement or paragraph there") {
  const auto document = fixture("stats.py");
  CHECK(code_of(explain_at(document, "SCALE = 10")) == "SCALE = 10\n");
  CHECK(code_of(explain_at(document, "Iterable")) == "from typing import (\n    Iterable,\n)\n");
  const auto text = snapshot("file:///a.txt", "one\ntwo\n\n\nthree\nfour\n\n", "plaintext");
  CHECK(explain_at(text, "two").subject() == "a.txt, lines 1 to 2");
  CHECK(explain_at(text, "\n\nthree").subject() == "a.txt, lines 5 to 6");
  CHECK(explain(text, {{21}, {21}}).subject() == "a.txt, lines 5 to 6");
}

TEST_CASE("every language is named as models know it") {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"stats.py", "python"},    {"stack.c", "c"},           {"shapes.cpp", "cpp"},
      {"cart.js", "javascript"}, {"store.ts", "typescript"}, {"Button.tsx", "tsx"},
      {"ring.rs", "rust"},       {"server.go", "go"},        {"Account.java", "java"},
      {"list.lua", "lua"},       {"deploy.sh", "bash"},      {"settings.json", "json"},
      {"guide.md", "markdown"},  {"Shelf.cs", "csharp"},     {"queue.rb", "ruby"},
      {"Router.php", "php"},     {"Cache.kt", "kotlin"},     {"Playlist.swift", "swift"},
      {"Matrix.scala", "scala"}, {"arena.zig", "zig"},       {"Parser.hs", "haskell"},
      {"tree.ml", "ocaml"},      {"compose.yaml", "yaml"},   {"service.toml", "toml"},
      {"page.html", "html"},     {"site.css", "css"}};
  for (const auto& [file, name] : names) {
    CAPTURE(file);
    const std::string turn = user_turn(fitted(explain(fixture(file), {{0}, {0}})));
    CHECK(turn.starts_with("File: " + file + " (" + name + ")\n\n```"));
    CHECK(turn.ends_with("\n```" + std::string(file == "guide.md" ? "`" : "") +
                         "\n\nExplain what this code does."));
  }
  const auto unknown = snapshot("file:///a.pl", "print 1\n", "perl");
  CHECK(user_turn(fitted(explain(unknown, {{0}, {0}})))
            .starts_with("File: a.pl (perl)\n\n```perl\n"));
}

TEST_CASE("code that holds fences stands in a longer one") {
  const std::string turn = user_turn(fitted(explain_at(fixture("guide.md"), "Run this")));
  CHECK(turn.find("\n````markdown\n## Install\n") != turn.npos);
  CHECK(turn.find("\n```sh\nmake\n```\n") != turn.npos);
  CHECK(turn.ends_with("\n````\n\nExplain what this code does."));
}

TEST_CASE("a file is named below its workspace folder, and never by the folders above") {
  const auto document = snapshot("file:///home/ada/my%20project/src/stats.py", "x = 1\n", "python");
  const auto header = [&](const std::string& folder) {
    const std::vector<std::string> folders{folder};
    return fitted(explain(document, {{0}, {0}}, ember(), folders)).messages[1].segments[0].text;
  };
  CHECK(header("file:///home/ada/my%20project") == "File: src/stats.py (python)\n\n");
  CHECK(header("file:///home/ada/my") == "File: stats.py (python)\n\n");
}

TEST_CASE("what changes least comes first: system, file, outline, imports, code, instruction") {
  const Prompt prompt = fitted(explain_at(fixture("shapes.cpp"), "size_ *= factor", large()));
  std::vector<Provenance> order;
  for (const Message& message : prompt.messages) {
    for (const Segment& segment : message.segments) order.push_back(segment.provenance);
  }
  CHECK(order == std::vector{Provenance::system, Provenance::file, Provenance::outline,
                             Provenance::imports, Provenance::selection, Provenance::instruction});
  CHECK(prompt.messages[0].segments[0].boundary);
  CHECK(prompt.messages[1].segments[1].boundary);
  CHECK(prompt.messages[1].segments[2].boundary);
  CHECK(prompt.messages[1].segments[3].boundary);
  CHECK_FALSE(prompt.messages[1].segments[4].boundary);
  CHECK(user_turn(prompt) ==
        "File: shapes.cpp (cpp)\n\n"
        "Outline of the file:\n\n```cpp\n"
        "class Shape\n"
        "  explicit Shape(double size) : size_(size)\n"
        "  virtual double area() const\n"
        "  void scale(double factor)\n"
        "void Shape::scale(double factor)\n"
        "template <typename T> T sum(const vector<T>& values)\n"
        "enum class Color\n"
        "int main()\n```\n\n"
        "Its imports:\n\n```cpp\n#include <vector>\nusing std::vector;\n```\n\n"
        "The code in question:\n\n```cpp\n"
        "void Shape::scale(double factor) {\n  size_ *= factor;\n}\n```\n\n"
        "Explain what this code does.");
}

TEST_CASE("typing in a body changes nothing that stands before the code") {
  const auto before = fixture("stats.py");
  std::string typed = before->text->str();
  typed.insert(place_of(*before, "total += value").value, "print(value)\n        ");
  const auto after = snapshot(before->uri, typed);
  const Prompt first = fitted(explain_at(before, "for value", large()));
  const Prompt second = fitted(explain_at(after, "for value", large()));
  CHECK(texts_by(first, Provenance::outline) == texts_by(second, Provenance::outline));
  CHECK(texts_by(first, Provenance::imports) == texts_by(second, Provenance::imports));
  CHECK(texts_by(first, Provenance::selection) != texts_by(second, Provenance::selection));
  CHECK(texts_by(first, Provenance::outline).size() == 1);
}

TEST_CASE("the outline and the imports give way before the code does") {
  const auto document = snapshot("file:///a.py", python_source(40, 7, 300), "python");
  bool outline_seen = false;
  bool outline_left = false;
  for (std::int64_t context = 600; context <= 12'000; context += 100) {
    const Prompt prompt = fitted(explain_at(document, "total += values[3]", large(context)));
    const bool whole = user_turn(prompt).find("left out") == std::string::npos;
    const bool outline = !texts_by(prompt, Provenance::outline).empty();
    CHECK((whole || !outline));
    outline_seen |= outline;
    outline_left |= whole && !outline;
  }
  CHECK(outline_seen);
  CHECK(outline_left);
}

TEST_CASE("code that is too long loses its middle, and says how much") {
  const auto document = snapshot("file:///a.py", python_source(3, 1, 400), "python");
  const Prompt prompt = fitted(explain_at(document, "values[200]"));
  const std::string turn = user_turn(prompt);
  CHECK(turn.find("def function_1(values):\n") != turn.npos);
  CHECK(turn.find("    total += values[399]\n    return total\n```") != turn.npos);
  const std::size_t marker = turn.find("# ... ");
  REQUIRE(marker != turn.npos);
  const std::int64_t left_out = std::stoll(turn.substr(marker + 6));
  const std::string code = texts_by(prompt, Provenance::selection).at(0);
  const std::int64_t shown = std::ranges::count(code, '\n') - 4;  // fences, blank line, marker
  CHECK(left_out + shown == 403);
  CHECK(turn.find(" lines left out ...\n") != turn.npos);
}

TEST_CASE("prompts never exceed their budget") {
  std::mt19937 random(11);
  std::vector<SnapshotPtr> documents = {
      snapshot("file:///long.py", python_source(200, 100, 900), "python"),
      snapshot("file:///one_line.js",
               "f(" + std::string(40'000, 'x') + ");" + std::string(9000, ' '), "javascript"),
      snapshot("file:///blank.txt", "a" + std::string(5000, '\n') + "b", "plaintext"),
      snapshot(
          "file:///words.md",
          "# a\n\n" +
              [] {
                std::string text;
                for (int i = 0; i < 4000; ++i) text += i % 9 == 8 ? "é\r\n" : "word ";
                return text;
              }(),
          "markdown")};
  for (const char* name : {"stats.py", "shapes.cpp", "cart.js", "ring.rs", "guide.md"}) {
    documents.push_back(fixture(name));
  }
  for (int round = 0; round < (HEARTH_SANITIZED ? 60 : 300); ++round) {
    const SnapshotPtr& document = documents[random() % documents.size()];
    const std::size_t size = document->text->str().size();
    ModelProfile profile = random() % 2 == 0 ? ember() : large(200 + random() % 4000);
    const std::int64_t answer = 10 + random() % 60;
    const std::int64_t room = profile.context_tokens - answer - template_tokens;
    CAPTURE(document->uri);
    CAPTURE(profile.context_tokens);

    const std::size_t begin = random() % (size + 1);
    const std::size_t end = std::min(size, begin + random() % (random() % 4 == 0 ? size : 5));
    const Prompt task =
        fitted(plan_task(input(document, {{begin}, {end}}, answer), profile, wording));
    CHECK(count(text_of(task.messages[0].segments)) + count(user_turn(task)) <= room);

    const Prompt completion =
        fitted(plan_inline(Syntax{timeout}, document, {begin}, profile, {answer}));
    const std::int64_t prefix = count(text_of(completion.prefix));
    const std::int64_t suffix = count(text_of(completion.suffix));
    CHECK(prefix <= profile.fim_prefix_tokens);
    CHECK(suffix <= profile.fim_suffix_tokens);
    CHECK(prefix + suffix <= room);
  }
}

TEST_CASE("a completion's prefix has a boundary where the cursor's line begins") {
  const auto document = snapshot("untitled:1", "import os\n\ndef f():\n    return o\n", "python");
  const Byte cursor{place_of(*document, "return o").value + 8};
  const Prompt prompt = fitted(plan_inline(Syntax{timeout}, document, cursor, ember(), {64}));
  REQUIRE(prompt.prefix.size() == 2);
  CHECK(prompt.prefix[0].text == "import os\n\ndef f():\n");
  CHECK(prompt.prefix[0].boundary);
  CHECK(prompt.prefix[1].text == "    return o");
  CHECK_FALSE(prompt.prefix[1].boundary);
  CHECK(text_of(prompt.suffix) == "\n");
}

TEST_CASE("while a person types, the prefix only grows at its end") {
  const std::string source = python_source(150);
  const std::string typed = "    for value in values:\n        total += value * 2\n    if total:\n";
  for (const ModelProfile& profile : {ember(), large(2048)}) {
    for (const std::size_t function : {5U, 60U, 61U, 100U, 149U}) {
      if (HEARTH_SANITIZED != 0 && function != 61U) continue;  // thousands of parses
      CAPTURE(profile.name);
      CAPTURE(function);
      const std::string head = "def function_" + std::to_string(function) + "(values):\n";
      const std::size_t place = source.find(head) + head.size();
      std::string last;
      int moved = 0;
      for (std::size_t n = 0; n <= typed.size(); ++n) {
        std::string text = source;
        text.insert(place, typed.substr(0, n));
        const auto document = snapshot("untitled:1", text, "python");
        const std::string prefix = text_of(
            fitted(plan_inline(Syntax{timeout}, document, {place + n}, profile, {64})).prefix);
        CHECK(prefix.ends_with(text.substr(place, n)));
        if (n > 0 && !prefix.starts_with(last)) ++moved;
        last = prefix;
      }
      CHECK(moved <= 1);
    }
  }
}

TEST_CASE("a prefix that cannot begin with the file begins with a declaration and fills its room") {
  const std::string source = python_source(150);
  const auto document = snapshot("untitled:1", source, "python");
  for (const std::size_t function : {60U, 90U, 149U}) {
    const std::size_t place = source.find("def function_" + std::to_string(function));
    const std::string prefix =
        text_of(fitted(plan_inline(Syntax{timeout}, document, {place}, ember(), {64})).prefix);
    CHECK(prefix.starts_with("def function_"));
    CHECK(count(prefix) > 300);
  }
}

TEST_CASE(
    "a model that takes surroundings sees the imports above a prefix that begins below them") {
  const std::string source = python_source(150);
  const auto document = snapshot("untitled:1", source, "python");
  const Byte far = place_of(*document, "def function_149");
  const Prompt prompt = fitted(plan_inline(Syntax{timeout}, document, far, large(1024), {64}));
  REQUIRE(prompt.prefix.size() == 2);
  CHECK(prompt.prefix[0].provenance == Provenance::imports);
  CHECK(prompt.prefix[0].text == "import os\nimport sys\n\n");
  CHECK(prompt.prefix[1].text.starts_with("def function_"));

  const Byte near = place_of(*document, "def function_2");
  CHECK(text_of(fitted(plan_inline(Syntax{timeout}, document, near, large(1024), {64})).prefix) ==
        source.substr(0, near.value));
}

TEST_CASE("a model reads newlines, whatever the document's lines end with") {
  const auto document =
      snapshot("file:///a.py", "def f():\r\n    a = 1\r\n\r\n    return a\r\n", "python");
  CHECK(code_of(explain_at(document, "a = 1")) == "def f():\n    a = 1\n\n    return a\n");
  const Prompt prompt =
      fitted(plan_inline(Syntax{timeout}, document, place_of(*document, " = 1"), ember(), {64}));
  CHECK(text_of(prompt.prefix) == "def f():\n    a");
  CHECK(text_of(prompt.suffix) == " = 1\n\n    return a\n");
}

TEST_CASE("a byte order mark is no part of the text that a model sees") {
  const std::string mark = "\xEF\xBB\xBF";
  const std::string text = "def average(values):\n    return sum(values)\n";
  for (const std::string language : {"python", "ruby"}) {
    CAPTURE(language);
    const auto plain = snapshot("file:///a.txt", text, language);
    const auto marked = snapshot("file:///a.txt", mark + text, language);
    for (const std::size_t place : {0U, 3U, 7U, 30U}) {
      CAPTURE(place);
      const Byte before{place < 3 ? 0 : place - 3};
      CHECK(user_turn(fitted(explain(marked, {{place}, {place}}))) ==
            user_turn(fitted(explain(plain, {before, before}))));
      const Prompt prompt = fitted(plan_inline(Syntax{timeout}, marked, {place}, ember(), {64}));
      const Prompt other = fitted(plan_inline(Syntax{timeout}, plain, before, ember(), {64}));
      CHECK(text_of(prompt.prefix) == text_of(other.prefix));
      CHECK(text_of(prompt.suffix) == text_of(other.suffix));
    }
    CHECK(user_turn(fitted(explain(marked, {{0}, {mark.size() + text.size()}}))) ==
          user_turn(fitted(explain(plain, {{0}, {text.size()}}))));
  }
  CHECK(explain(snapshot("file:///a.py", mark + " \n"), {{0}, {0}}).refused() ==
        "a.py is empty: there is nothing to ask about.");
}

TEST_CASE("documents at their limits") {
  for (const std::string text : {"", "\n", "x", "é"}) {
    const auto document = snapshot("untitled:1", text, "python");
    const Prompt prompt =
        fitted(plan_inline(Syntax{timeout}, document, {text.size()}, ember(), {64}));
    CHECK(text_of(prompt.prefix) == text);
    CHECK(text_of(prompt.suffix).empty());
    CHECK(plan_inline(Syntax{timeout}, document, {99}, ember(), {64}).range().begin.value ==
          text.size());
  }
  const auto empty = snapshot("file:///a.py", " \n\n", "python");
  CHECK(explain(empty, {{0}, {0}}).refused() == "a.py is empty: there is nothing to ask about.");
}

TEST_CASE("files of secrets are refused") {
  const auto document = snapshot("git:/home/ada/.env?{}", "TOKEN = 'hunter2'\n", "python");
  const ContextPlan task = explain(document, {{0}, {0}});
  CHECK(task.refused() == ".env looks like a file of secrets: it is not shown to the model.");
  CHECK(task.texts().empty());
  CHECK(fitted(task).messages.empty());
  const ContextPlan completion = plan_inline(Syntax{timeout}, document, {3}, ember(), {64});
  CHECK_FALSE(completion.refused().empty());
  CHECK(completion.texts().empty());
  CHECK(fitted(completion).prefix.empty());
}

TEST_CASE("what the model was not trained for is refused with its name") {
  const auto document = fixture("stats.py");
  ModelProfile chat_only = ember();
  chat_only.fim_prefix_tokens = 0;
  CHECK(plan_inline(Syntax{timeout}, document, {5}, chat_only, {64}).refused() ==
        "The model ember was not trained to complete code.");
}

TEST_CASE("a wording's variables are filled in, and one that does not exist is refused") {
  const std::string text = "def f():\n    return x\n\n\ndef g():\n    return y\n";
  TaskInput task = input(snapshot("file:///home/ada/src/f.py", text, "python"), {{0}, {0}});
  task.folders = {"file:///home/ada"};
  task.diagnostics = {{{{20}, {21}}, Diagnostic::Severity::error, "no\n  x", "pyright"},
                      {{{45}, {46}}, Diagnostic::Severity::warning, "no y", ""},
                      {{{0}, {3}}, Diagnostic::Severity::hint, "short", ""}};
  const auto instruction = [&](const std::string& words) {
    const ContextPlan plan = plan_task(task, ember(), {"f.md", words});
    CHECK(plan.refused() == "");
    return texts_by(fitted(plan), Provenance::instruction);
  };
  CHECK(instruction("{subject} of {file} in {language}") ==
        std::vector<std::string>{"f of src/f.py in python"});
  CHECK(instruction("{diagnostics}") ==
        std::vector<std::string>{"line 2: error: no x (pyright)\nline 1: hint: short"});
  task.diagnostics.clear();
  CHECK(instruction("{diagnostics}") == std::vector<std::string>{"none"});
  const ContextPlan refused = plan_task(task, ember(), {"f.md", "{sing}"});
  CHECK(refused.refused().starts_with("f.md, line 1: there is no variable {sing}"));
  CHECK(refused.texts().empty());
}

TEST_CASE("missing counts are taken as bytes, so that the budget holds") {
  const auto document = snapshot("file:///a.py", python_source(3, 1, 400), "python");
  const Prompt prompt = explain_at(document, "values[200]").fit({});
  CHECK(user_turn(prompt).size() <= 1024 - 100 - template_tokens);
}
