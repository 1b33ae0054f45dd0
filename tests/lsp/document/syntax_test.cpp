// Structure of documents: what encloses a place, where a text has no tree or a broken one, and
// trees that follow edits. languages_test.cpp asks the same of every language.
#include "lsp/document/syntax.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

TEST_CASE("a selection belongs to the smallest declaration around all of it") {
  const auto snapshot = fixture("stats.py");
  const auto tree = tree_of(snapshot);
  const auto name = [&](std::string_view first, std::string_view last) {
    const auto found = tree->enclosing(range_of(*snapshot, first, last));
    return found ? found->name : "nothing";
  };
  CHECK(name("total = 0", "+= value\n") == "average");
  CHECK(name("@functools", "len(values)\n\n\n") == "average");
  CHECK(name("self.width = width", "return bucket[1]") == "Histogram");
  CHECK(name("total = 0", "self.width = width") == "nothing");
}

TEST_CASE("the cursor may stand anywhere on a declaration's lines") {
  const auto tree = tree_of(fixture("stats.py"));
  const Text& text = *tree->snapshot().text;
  const std::size_t line = text.line_of(place_of(tree->snapshot(), "def __init__"));
  for (const Byte place : {text.line_start(line), text.line_end(line)}) {
    const auto found = tree->enclosing({place, place});
    REQUIRE(found);
    CHECK(found->name == "__init__");
  }
}

TEST_CASE("a comment leads to the declaration right below it, not to one further away") {
  const auto tree =
      tree_of(snapshot("untitled:1",
                       "// About add.\n// More.\nfunction add(a, b) {\n  return a + b;\n}\n"
                       "\n// Alone.\n\n\nfunction sub() {\n}\n",
                       "javascript"));
  CHECK(around(*tree, "About") == "add");
  CHECK(around(*tree, "More") == "add");
  CHECK(around(*tree, "Alone") == "nothing");
}

TEST_CASE("two declarations in one statement are told apart") {
  const auto tree = tree_of(snapshot(
      "untitled:1", "const up = () => { go(1); }, down = () => { go(2); };\n", "javascript"));
  CHECK(outline_of(*tree) == "up()\ndown()\n");
  CHECK(code_around(*tree, "go(1)") == "up = () => { go(1); }");
  CHECK(code_around(*tree, "go(2)") == "down = () => { go(2); };");
}

TEST_CASE("a local variable that looks like a prototype is no declaration") {
  const auto tree = tree_of(
      snapshot("untitled:1", "int run(int n) {\n  Lock lock(Mutex);\n  return n;\n}\n", "cpp"));
  CHECK(around(*tree, "Lock lock") == "run");
}

TEST_CASE("code that does not parse yet still has its functions") {
  SUBCASE("Python, unfinished") {
    const auto tree = tree_of(snapshot("untitled:1",
                                       "import os\n\ndef first(path):\n    with open(path as f:\n"
                                       "        for line in f:\n            print(line\n\n"
                                       "class Second:\n    def run(self):\n        return (1 +\n",
                                       "python"));
    CHECK(around(*tree, "for line") == "first");
    CHECK(around(*tree, "return (1") == "run");
    CHECK(imports_of(*tree) == "import os\n");
  }
  SUBCASE("JavaScript, a brace too few") {
    const auto tree = tree_of(snapshot(
        "untitled:1",
        "function first(a) {\n  if (a) {\n    go(a);\n}\n\nfunction second(b) {\n  stop(b);\n}\n",
        "javascript"));
    CHECK(around(*tree, "go(a)") == "first");
    CHECK(around(*tree, "stop(b)") == "second");
  }
  SUBCASE("C++, nonsense above") {
    const auto tree = tree_of(snapshot(
        "untitled:1", "int x = = = {{{ ;\n\nint twice(int n) {\n  return 2 * n;\n}\n", "cpp"));
    CHECK(around(*tree, "2 * n") == "twice");
  }
}

TEST_CASE("without a tree, indentation tells what encloses a place") {
  const Syntax no_time{std::chrono::milliseconds{0}};
  std::string code;
  for (int i = 0; i < 10'000; ++i) {
    code.append("int f").append(std::to_string(i)).append("(int n) {\n  return n;\n}\n\n");
  }
  const auto source = snapshot("untitled:1", code, "cpp");
  const auto tree = no_time.tree(source);
  CHECK_FALSE(tree->parsed());
  CHECK(tree->outline().empty());
  CHECK(tree->imports().empty());
  const Byte place{place_of(*source, "int f77(").value + 20};
  const auto found = tree->enclosing({place, place});
  REQUIRE(found);
  CHECK(found->name == "f77");
  CHECK(source->text->view(found->range) == "int f77(int n) {\n  return n;\n}");
}

TEST_CASE("text without a language has no structure") {
  const auto tree = tree_of(snapshot("file:///notes.txt", "def f(x):\n    y\n", "plaintext"));
  CHECK(tree->language() == nullptr);
  CHECK_FALSE(tree->enclosing({{0}, {0}}));
  CHECK(tree->outline().empty());
}

TEST_CASE("containers nested without end do not exhaust the stack") {
  std::string code;
  for (int i = 0; i < 100'000; ++i) code += "{";
  const Syntax patient{std::chrono::minutes{5}};
  const auto tree = patient.tree(snapshot("untitled:1", code, "javascript"));
  CHECK(tree->parsed());
  CHECK(tree->outline().empty());
  CHECK_FALSE(tree->enclosing({{50'000}, {50'000}}));
}

// Random edits, then a tree made with them must equal a tree made from the text alone.
TEST_CASE("trees that follow edits equal trees of the whole text") {
  const std::vector<std::string> names = {
      "stats.py",     "stack.c",   "shapes.cpp", "cart.js",    "store.ts",      "ring.rs",
      "Account.java", "server.go", "list.lua",   "deploy.sh",  "settings.json", "guide.md",
      "Button.tsx",   "Shelf.cs",  "queue.rb",   "Router.php", "Cache.kt",      "Playlist.swift",
      "Matrix.scala", "arena.zig", "Parser.hs",  "tree.ml",    "compose.yaml",  "service.toml",
      "page.html",    "site.css"};
  const std::vector<std::string> typed = {"x",  " ", "\n",     "(",    ")",  "{",  "}",
                                          "\"", "'", "\n    ", "if",   "# ", "//", ":",
                                          ";",  "é", "\t",     "\r\n", "`"};
  for (const std::string& name : names) {
    CAPTURE(name);
    std::mt19937 random(7);
    const Syntax whole{std::chrono::minutes{5}};
    Syntax syntax{timeout};
    SnapshotPtr before = fixture(name);
    syntax.open(before);
    syntax.tree(before);
    for (int step = 0; step < 60; ++step) {
      std::string text = before->text->str();
      std::vector<ByteEdit> edits;
      for (std::size_t n = 1 + random() % 3; n > 0; --n) {
        const auto border = [&](std::size_t at) {
          while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) ++at;
          return at;
        };
        const std::size_t start = border(random() % (text.size() + 1));
        const std::size_t end =
            border(std::min(text.size(), start + (random() % 3) * (random() % 9)));
        const std::string& added = typed[random() % typed.size()];
        text.replace(start, end - start, added);
        edits.push_back({{start}, {end}, {start + added.size()}});
      }
      const auto after = snapshot(before->uri, text, "", before->version + 1);
      syntax.change(before, after, edits);
      // Not every version is asked for.
      if (random() % 3 != 0) {
        CAPTURE(text);
        REQUIRE(syntax.tree(after)->dump() == whole.tree(after)->dump());
      }
      before = after;
    }
  }
}

TEST_CASE("edits that do not lead to the text cost the tree and nothing else") {
  Syntax syntax{timeout};
  const auto before = snapshot("untitled:1", "def a():\n    pass\n", "python", 1);
  const auto after = snapshot("untitled:1", "def b():\n    return 1\n", "python", 2);
  syntax.open(before);
  syntax.tree(before);
  const std::vector<ByteEdit> lie = {{{3}, {900}, {4}}};
  syntax.change(before, after, lie);
  CHECK(outline_of(*syntax.tree(after)) == "b()\n");
  syntax.change(after, before, {});
  CHECK(outline_of(*syntax.tree(before)) == "a()\n");
}

TEST_CASE("a tree is made once for a version, and any version can be asked for") {
  Syntax syntax{timeout};
  const auto first = snapshot("untitled:1", "def a(): pass\n", "python", 1);
  const auto second = snapshot("untitled:1", "def ab(): pass\n", "python", 2);
  syntax.open(first);
  CHECK(syntax.tree(first) == syntax.tree(first));
  const std::vector<ByteEdit> edits = {{{5}, {5}, {6}}};
  syntax.change(first, second, edits);
  CHECK(outline_of(*syntax.tree(first)) == "a()\n");
  CHECK(syntax.tree(second) == syntax.tree(second));
  syntax.close(first->uri);
  syntax.change(first, second, edits);
  CHECK(outline_of(*syntax.tree(second)) == "ab()\n");
}

TEST_CASE("threads ask for trees while the document changes") {
  Syntax syntax{timeout};
  std::string text = fixture("cart.js")->text->str();
  auto current = snapshot("untitled:1", text, "javascript", 0);
  syntax.open(current);
  std::mutex mutex;
  SnapshotPtr newest = current;
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const SnapshotPtr seen = [&] {
          const std::lock_guard lock(mutex);
          return newest;
        }();
        const auto tree = syntax.tree(seen);
        if (&tree->snapshot() != seen.get() || tree->outline().size() < 5) ++wrong;
        const Byte place{seen->text->str().find("item.price")};
        if (!tree->enclosing({place, place})) ++wrong;
      }
    });
  }
  for (std::size_t version = 1; version <= 200; ++version) {
    text.insert(0, "\n");
    const auto next =
        snapshot("untitled:1", text, "javascript", static_cast<std::int64_t>(version));
    const std::vector<ByteEdit> edits = {{{0}, {0}, {1}}};
    syntax.change(current, next, edits);
    {
      const std::lock_guard lock(mutex);
      newest = next;
    }
    current = next;
    if (version % 20 == 0) syntax.tree(current);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(syntax.tree(current)->dump() == tree_of(current)->dump());
}
