// The workspace's declarations: what is found by name, which files are read, again or never, and
// what the limits cut.
#include "lsp/context/index.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lsp/context/indexer.hpp"
#include "lsp/protocol/uri.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<IndexedDeclaration> declared(const std::string& language, const std::string& text) {
  return declarations_of(*tree_of(snapshot("untitled:1", text, language)));
}

// A workspace on the disk and what reads it.
struct World {
  explicit World(IndexLimits limits = {})
      : root(fs::canonical(directory.path()) / "work"),
        indexer(host, std::make_shared<const Syntax>(timeout),
                {[this] { return waits; },
                 [this](const std::string& uri) {
                   const auto found = documents.find(uri);
                   return found == documents.end() ? nullptr : found->second;
                 }},
                limits) {
    fs::create_directories(root);
    host.files = fs::canonical(directory.path());
  }

  void file(const std::string& name, const std::string& text) { write(root / name, text); }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }
  void read() {
    indexer.set_folders({file_uri(root.string())});
    host.run();
  }
  void settle() { host.advance(Indexer::debounce); }
  // The files that declare a name, relative to the workspace.
  std::string where(std::string_view name) const {
    std::string paths;
    for (const auto& found : indexer.index()->find(name)) {
      paths += fs::path(found.path).lexically_relative(root).string() + " ";
    }
    return paths;
  }

  TemporaryDirectory directory;
  fs::path root;
  VirtualHost host;
  bool waits = false;
  std::map<std::string, SnapshotPtr> documents;
  Indexer indexer;
};

}  // namespace

TEST_CASE(
    "a function is shown by its signature, a small type as it is, a large one by its members") {
  const auto python = declared("python",
                               "@cached\ndef mean(values: list,\n         weight=1):\n"
                               "    return 0\n");
  REQUIRE(python.size() == 1);
  CHECK(python[0].name == "mean");
  CHECK(python[0].shown == "@cached def mean(values: list, weight=1)\n");
  const auto point = declared("rust", "pub struct Point {\n    x: f64,\n}\n");
  REQUIRE(point.size() == 1);
  CHECK(point[0].shown == "pub struct Point {\n    x: f64,\n}\n");
  const std::string filler(500, 'x');
  const auto shelf =
      declared("java", "class Shelf extends Base {\n  Cart take(int n) {\n    go(\"" + filler +
                           "\");\n  }\n}\n");
  REQUIRE(shelf.size() == 2);
  CHECK(shelf[0].shown == "class Shelf extends Base\n  Cart take(int n)\n");
  CHECK(shelf[1].container == "Shelf");
  CHECK(shelf[1].line == 1);
}

TEST_CASE("a member that is defined outside of its class belongs to it") {
  const auto found = declared("cpp", "int store::Shelf::take(int n) {\n  return n;\n}\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "take");
  CHECK(found[0].container == "Shelf");
}

TEST_CASE("what is shown of a declaration has no secrets in it") {
  const auto found = declared("python",
                              "def connect(host, password=\"hunter2\"):\n    pass\n\n"
                              "class Settings:\n    name = \"a\"\n    api_key = \"abc\"\n");
  REQUIRE(found.size() == 2);
  for (const IndexedDeclaration& declaration : found) {
    CHECK(declaration.shown.find("hunter2") == std::string::npos);
    CHECK(declaration.shown.find("abc") == std::string::npos);
    CHECK(declaration.shown.find("left out: it looks like a secret") != std::string::npos);
  }
  CHECK(found[1].shown.find("name = \"a\"") != std::string::npos);
}

TEST_CASE("the files of the folders are found by what they declare") {
  World world;
  world.file("a.py", "def first():\n    pass\n");
  world.file("deep/er/b.go", "package b\nfunc second() {}\n");
  world.file("notes.md", "# first\n");
  world.file("data.json", "{\"first\": 1}\n");
  world.read();
  CHECK(world.where("first") == "a.py ");
  CHECK(world.where("second") == "deep/er/b.go ");
  CHECK(world.where("third").empty());
  const IndexStatistics statistics = world.indexer.index()->statistics();
  CHECK(statistics.files == 2);
  CHECK(statistics.bytes == 22 + 27);
  CHECK(statistics.complete);
  CHECK(statistics.cut == IndexStatistics::Cut::none);
}

TEST_CASE("ignored files, secrets, binary files and what is outside are never read") {
  World world;
  const std::string code = "def found():\n    pass\n";
  world.file(".gitignore", "build/\n*.gen.py\n!keep.gen.py\n");
  world.file("lib/.gitignore", "made.py\n");
  world.file("yes.py", code);
  world.file("keep.gen.py", code);
  for (const char* name : {"build/a.py", "a.gen.py", "lib/made.py", ".git/hook.py",
                           ".ssh/config.py", "node/.git/x.py"}) {
    world.file(name, code);
  }
  world.file("node/.git/info/exclude", "");
  world.file("binary.py", code + std::string(1, '\0'));
  world.file("latin.py", code + "# \xE9\n");
  world.file("large.py", code + std::string(2 * 1024 * 1024, '#'));
  const fs::path outside = world.root.parent_path() / "outside";
  write(outside / "far.py", code);
  fs::create_symlink(outside, world.root / "linked");
  fs::create_symlink(outside / "far.py", world.root / "linked.py");
  world.read();
  CHECK(world.where("found") == "keep.gen.py yes.py ");

  SUBCASE("not when they change either, nor when they are open") {
    for (const char* name : {"build/a.py", "lib/made.py", "linked.py", "linked/far.py",
                             ".ssh/config.py", "../outside/far.py"}) {
      world.indexer.changed(world.uri(name));
      world.documents[world.uri(name)] = snapshot(world.uri(name), code, "python");
    }
    world.settle();
    CHECK(world.where("found") == "keep.gen.py yes.py ");
  }
  SUBCASE("what becomes ignored leaves the index, and what no longer is comes into it") {
    world.file(".gitignore", "yes.py\n");
    world.indexer.changed(world.uri(".gitignore"));
    world.settle();
    CHECK(world.where("found") == "a.gen.py build/a.py keep.gen.py ");
  }
  SUBCASE("a folder that goes takes its files along") {
    world.indexer.set_folders({});
    world.host.run();
    CHECK(world.indexer.index()->files() == 0);
  }
}

TEST_CASE("an ignored file is not even opened") {
  World world;
  world.file(".gitignore", "secret/\n");
  world.file("secret/a.py", "def a():\n    pass\n");
  world.file("b.py", "def b():\n    pass\n");
  world.read();
  CHECK(world.host.files_read == std::vector<std::string>{(world.root / "b.py").string()});
}

TEST_CASE("a changed file is read again within two seconds") {
  static_assert(Indexer::debounce <= std::chrono::seconds{2});
  World world;
  world.file("a.py", "def before():\n    pass\n");
  world.read();
  world.file("a.py", "def after():\n    pass\n");
  world.file("b.py", "def fresh():\n    pass\n");
  world.indexer.changed(world.uri("a.py"));
  world.indexer.changed(world.uri("b.py"));
  world.waits = true;  // that is no reason
  world.settle();
  CHECK(world.where("before").empty());
  CHECK(world.where("after") == "a.py ");
  CHECK(world.where("fresh") == "b.py ");
  fs::remove(world.root / "a.py");
  world.indexer.changed(world.uri("a.py"));
  world.settle();
  CHECK(world.where("after").empty());
}

TEST_CASE("an open document is newer than its file, until it is closed") {
  World world;
  world.file("a.py", "def saved():\n    pass\n");
  const std::string uri = world.uri("a.py");
  world.documents[uri] = snapshot(uri, "def typed():\n    pass\n", "python");
  world.indexer.set_folders({file_uri(world.root.string())});
  world.indexer.changed(uri);
  world.settle();
  CHECK(world.where("typed") == "a.py ");
  CHECK(world.where("saved").empty());
  world.documents.clear();
  world.indexer.changed(uri);
  world.settle();
  CHECK(world.where("typed").empty());
  CHECK(world.where("saved") == "a.py ");
}

TEST_CASE("an open document may be shown as long as it is in one of the folders") {
  World world;
  world.file("a.py", "def saved():\n    pass\n");
  const std::string uri = world.uri("a.py");
  const auto admitted = [&] { return world.indexer.index()->admitted(uri).has_value(); };
  world.documents[uri] = snapshot(uri, "def typed():\n    pass\n", "python");
  world.indexer.changed(uri);
  world.settle();
  CHECK_FALSE(admitted());
  world.read();
  world.settle();
  CHECK(admitted());
  CHECK(world.where("typed") == "a.py ");
  world.indexer.set_folders({file_uri((world.root / "none").string())});
  world.host.run();
  CHECK_FALSE(admitted());
  world.settle();
  CHECK_FALSE(admitted());
  CHECK(world.where("typed").empty());
}

TEST_CASE("reading stands still while somebody waits") {
  World world;
  world.file("a.py", "def a():\n    pass\n");
  world.waits = true;
  world.read();
  world.host.advance(std::chrono::minutes{5});
  CHECK(world.host.files_read.empty());
  CHECK_FALSE(world.indexer.index()->statistics().complete);
  world.waits = false;
  world.host.advance(Indexer::retry_interval);
  CHECK(world.where("a") == "a.py ");
}

TEST_CASE("folders are read in idle time, and what a person did is not") {
  World world;
  world.file("a.py", "def a():\n    pass\n");
  world.read();
  CHECK(world.where("a") == "a.py ");
  const int idle_work = world.host.idle_work;
  CHECK(idle_work > 0);
  world.file("a.py", "def b():\n    pass\n");
  world.indexer.changed(world.uri("a.py"));
  world.settle();
  CHECK(world.where("b") == "a.py ");
  CHECK(world.host.idle_work == idle_work);
}

TEST_CASE("reading in idle time makes way for what a person did after the file that it is at") {
  // Saves z.py while the first file is parsed, and lets the time pass until that is to be read.
  struct Saving : ParseGuard {
    World* world = nullptr;
    Indexer* indexer = nullptr;
    bool begin(const std::string&) override {
      if (Indexer* const first = std::exchange(indexer, nullptr)) {
        first->changed(world->uri("z.py"));
        world->settle();
      }
      return true;
    }
    void end(const std::string&) override {}
    bool is_news(const std::string&) override { return false; }
  };
  World world;
  for (const char* name : {"a.py", "b.py", "z.py"}) world.file(name, "def f():\n    pass\n");
  Saving guard;
  Indexer indexer(world.host, std::make_shared<const Syntax>(timeout, &guard),
                  {[] { return false; }, [](const std::string&) { return nullptr; }});
  guard.world = &world;
  guard.indexer = &indexer;
  indexer.set_folders({file_uri(world.root.string())});
  world.host.run();
  std::vector<std::string> names;
  for (const std::string& path : world.host.files_read)
    names.push_back(fs::path(path).filename().string());
  CHECK(names == std::vector<std::string>{"a.py", "z.py", "b.py"});
}

TEST_CASE("limits leave out what is farthest from the top, and are known") {
  IndexLimits limits;
  SUBCASE("files") {
    limits.files = 3;
    World world(limits);
    for (int i = 0; i < 5; ++i) {
      world.file("d/e/f" + std::to_string(i) + ".py", "def a():\n    pass\n");
    }
    world.file("top.py", "def a():\n    pass\n");
    world.read();
    CHECK(world.where("a") == "d/e/f0.py d/e/f1.py top.py ");
    const IndexStatistics statistics = world.indexer.index()->statistics();
    CHECK(name(statistics.cut) == "files");
    CHECK(statistics.files == 3);
    CHECK_FALSE(statistics.complete);
  }
  SUBCASE("bytes") {
    limits.file_bytes = 100;
    limits.bytes = 150;
    World world(limits);
    for (const char* name : {"a.py", "b.py", "c.py"}) {
      world.file(name, "def a():\n    pass\n" + std::string(50, '#'));
    }
    world.read();
    CHECK(world.where("a") == "a.py ");
    CHECK(world.indexer.index()->statistics().cut == IndexStatistics::Cut::bytes);
    CHECK(world.indexer.index()->statistics().bytes <= 150);
  }
  SUBCASE("time") {
    limits.time = std::chrono::milliseconds{0};
    World world(limits);
    world.file("a.py", "def a():\n    pass\n");
    world.read();
    CHECK(world.where("a").empty());
    CHECK(world.indexer.index()->statistics().cut == IndexStatistics::Cut::time);
  }
}

TEST_CASE("what is watched are the files of code and the rules") {
  const auto patterns = Indexer::patterns();
  CHECK(std::ranges::find(patterns, "**/.gitignore") != patterns.end());
  CHECK(std::ranges::find(patterns, "**/Rakefile") != patterns.end());
  CHECK(patterns.back().find(",py,") != std::string::npos);
  CHECK(patterns.back().find("json") == std::string::npos);
}
