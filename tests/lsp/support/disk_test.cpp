// What a workspace's folder shows of itself: no links, no pipes, nothing too large.
#include "lsp/support/disk.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/temporary_directory.hpp"

using namespace hearth::lsp;
namespace fs = std::filesystem;

TEST_CASE("folders and regular files are listed, in order, and nothing else") {
  const hearth::tests::TemporaryDirectory directory;
  const fs::path root = directory.path();
  std::ofstream(root / "b.c") << "int b;";
  std::ofstream(root / "a.c") << "int a;";
  fs::create_directory(root / "lib");
  fs::create_symlink(root / "a.c", root / "link.c");
  fs::create_directory_symlink(root / "lib", root / "linked");
  REQUIRE(mkfifo((root / "pipe.c").c_str(), 0600) == 0);
  std::string names;
  for (const DirectoryEntry& entry : disk::list_directory(root)) {
    names += entry.name + (entry.is_directory ? "/ " : " ");
  }
  CHECK(names == "a.c b.c lib/ ");
  CHECK(disk::list_directory(root / "none").empty());
}

TEST_CASE("a file is read whole or not at all") {
  const hearth::tests::TemporaryDirectory directory;
  const fs::path root = directory.path();
  std::ofstream(root / "a.c") << "int a;";
  fs::create_symlink(root / "a.c", root / "link.c");
  REQUIRE(mkfifo((root / "pipe.c").c_str(), 0600) == 0);
  CHECK(disk::read_file(root / "a.c", 6) == "int a;");
  CHECK_FALSE(disk::read_file(root / "a.c", 5));
  CHECK_FALSE(disk::read_file(root / "link.c", 100));
  CHECK_FALSE(disk::read_file(root / "pipe.c", 100));  // nor does it wait for a writer
  CHECK_FALSE(disk::read_file(root, 100));
  CHECK_FALSE(disk::read_file(root / "none", 100));
  CHECK(disk::real_path(root / "link.c") == fs::canonical(root / "a.c").string());
  CHECK_FALSE(disk::real_path(root / "none"));
}
