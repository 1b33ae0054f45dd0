// Who sees which workspace's names: sessions of the same folders share an index, others see
// nothing.
#include "lsp/context/index_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lsp/protocol/uri.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::lsp::test {
namespace {

namespace fs = std::filesystem;

struct Disk {
  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path());
  VirtualHost host;
  IndexPool pool{host};

  Disk() {
    host.files = root.string();
    file("work/a.py", "def a():\n    pass\n");
    file("work/b.py", "def b():\n    pass\n");
    file("other/c.py", "def c():\n    pass\n");
    file("other/typed.py", "\n");
  }
  void file(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary) << text;
  }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }
  void settle() { host.advance(Indexer::debounce); }
  std::ptrdiff_t times_read(const std::string& name) const {
    return std::ranges::count(host.files_read, (root / name).string());
  }
};

struct Window {
  Disk& disk;
  bool waits = false;
  std::map<std::string, SnapshotPtr> documents = {};
  IndexPool::Share share{disk.pool,
                         std::make_shared<const Syntax>(timeout),
                         {[this] { return waits; },
                          [this](const std::string& uri) {
                            const auto found = documents.find(uri);
                            return found == documents.end() ? nullptr : found->second;
                          }}};

  explicit Window(Disk& on) : disk(on) {}
  void folders(const std::vector<std::string>& names) {
    std::vector<std::string> uris;
    for (const std::string& name : names) uris.push_back(disk.uri(name));
    share.set_folders(uris);
    disk.host.run();
  }
  void open(const std::string& name, const std::string& text) {
    documents[disk.uri(name)] = snapshot(disk.uri(name), text, "python");
    share.changed(disk.uri(name));
    disk.settle();
  }
  void close(const std::string& name) {
    documents.erase(disk.uri(name));
    share.changed(disk.uri(name));
    disk.settle();
  }
  bool knows(std::string_view name) const { return !share.index()->find(name).empty(); }
};

}  // namespace

TEST_CASE("windows of the same folders share an index, which is read once") {
  Disk disk;
  Window first(disk);
  first.folders({"work"});
  auto second = std::make_unique<Window>(disk);
  second->folders({"work"});
  CHECK(second->share.index() == first.share.index());
  CHECK(second->knows("a"));
  CHECK(disk.times_read("work/a.py") == 1);
  CHECK(disk.pool.indexes() == 1);
  // A change that one of them tells of is known to both.
  disk.file("work/a.py", "def again():\n    pass\n");
  second->share.changed(disk.uri("work/a.py"));
  disk.settle();
  CHECK(first.knows("again"));
  second.reset();
  CHECK(first.knows("b"));
}

TEST_CASE("the order in which folders are named does not matter") {
  Disk disk;
  Window first(disk);
  first.folders({"work", "other"});
  Window second(disk);
  second.folders({"other", "work"});
  CHECK(second.share.index() == first.share.index());
}

TEST_CASE("a window sees no name of another workspace") {
  Disk disk;
  Window work(disk);
  work.folders({"work"});
  Window other(disk);
  other.folders({"other"});
  Window both(disk);
  both.folders({"work", "other"});
  Window none(disk);
  other.open("other/typed.py", "def typed():\n    pass\n");
  none.open("loose.py", "def loose():\n    pass\n");
  CHECK(disk.pool.indexes() == 4);
  for (const char* name : {"c", "typed", "loose"}) {
    CAPTURE(name);
    CHECK_FALSE(work.knows(name));
  }
  for (const char* name : {"a", "b", "loose"}) {
    CAPTURE(name);
    CHECK_FALSE(other.knows(name));
  }
  CHECK(both.knows("a"));
  CHECK(both.knows("c"));
  CHECK_FALSE(none.knows("a"));
  CHECK_FALSE(work.share.index()->admitted(disk.uri("other/typed.py")));
}

TEST_CASE("a window whose folders change leaves the index of the others as it is") {
  Disk disk;
  Window first(disk);
  first.folders({"work"});
  Window second(disk);
  second.folders({"work"});
  second.open("other/typed.py", "def typed():\n    pass\n");
  CHECK_FALSE(second.knows("typed"));
  second.folders({"work", "other"});
  disk.settle();
  CHECK(second.knows("c"));
  CHECK(second.knows("typed"));
  CHECK_FALSE(first.knows("c"));
  CHECK_FALSE(first.knows("typed"));
  // Nobody has it any more that could come back to it.
  second.folders({"work"});
  CHECK(second.share.index() == first.share.index());
  CHECK_FALSE(second.knows("c"));
  CHECK(disk.pool.indexes() == 1);
}

TEST_CASE("a window that is alone keeps what it has read when its folders change") {
  Disk disk;
  Window window(disk);
  window.folders({"work"});
  window.folders({"work", "other"});
  CHECK(window.knows("c"));
  CHECK(disk.times_read("work/a.py") == 1);
  CHECK(disk.pool.indexes() == 1);
}

TEST_CASE("what was typed last counts, in whichever window, until none has it open") {
  Disk disk;
  Window first(disk);
  first.folders({"work"});
  auto second = std::make_unique<Window>(disk);
  second->folders({"work"});
  first.open("work/a.py", "def one():\n    pass\n");
  CHECK(second->knows("one"));
  second->open("work/a.py", "def two():\n    pass\n");
  CHECK(first.knows("two"));
  CHECK_FALSE(first.knows("one"));
  SUBCASE("it is closed") {
    second->close("work/a.py");
  }
  SUBCASE("its window goes") {
    second.reset();
    disk.settle();
  }
  CHECK(first.knows("one"));
  first.close("work/a.py");
  CHECK(first.knows("a"));
}

TEST_CASE("folders are not read while any of their windows waits") {
  Disk disk;
  Window first(disk);
  Window second(disk);
  second.waits = true;
  first.share.set_folders({disk.uri("work")});
  second.folders({"work"});
  CHECK_FALSE(first.knows("a"));
  second.waits = false;
  disk.host.advance(Indexer::retry_interval);
  CHECK(first.knows("a"));
}

TEST_CASE("the last window that goes takes the index with it") {
  Disk disk;
  auto window = std::make_unique<Window>(disk);
  window->share.set_folders({disk.uri("work")});
  window.reset();
  disk.host.run();
  CHECK(disk.pool.indexes() == 0);
  CHECK(disk.times_read("work/a.py") == 0);
}

}  // namespace hearth::lsp::test
