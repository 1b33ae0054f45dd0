// A file is there whole or not at all, whatever fails, and stays when the machine stops.
#include "engine/support/atomic_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "engine/experts/routing_history.hpp"
#include "tests/engine/files.hpp"

namespace {

namespace fs = std::filesystem;

// What was synced in this thread since a test began to look, and which of the calls fails.
thread_local std::vector<std::string>* synced = nullptr;
thread_local std::size_t failing = SIZE_MAX;
thread_local fs::path watched;

}  // namespace

// NOLINTBEGIN: the names are the linker's
extern "C" int __real_fsync(int file);
extern "C" int __wrap_fsync(int file) {
  if (synced == nullptr) return __real_fsync(file);
  struct stat info {};
  ::fstat(file, &info);
  synced->push_back(S_ISDIR(info.st_mode) ? "directory"
                    : fs::exists(watched) ? "file under its name"
                                          : "file beside");
  if (synced->size() - 1 != failing) return __real_fsync(file);
  errno = EIO;
  return -1;
}
// NOLINTEND

namespace hearth::tests {
namespace {

using namespace engine;

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::ptrdiff_t count_in(const fs::path& directory) {
  return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

struct Syncs {
  explicit Syncs(fs::path path, std::size_t fails = SIZE_MAX) {
    watched = std::move(path);
    failing = fails;
    synced = &seen;
  }
  ~Syncs() { synced = nullptr; }
  std::vector<std::string> seen;
};

TEST_CASE("a file is synced before it gets its name, and then its directory") {
  const ScratchDirectory directory;
  const fs::path path = directory.path() / "file";
  const std::vector<std::string> order{"file beside", "directory"};
  {
    const Syncs syncs(path);
    write_atomically(path, bytes_of("text"));
    CHECK(syncs.seen == order);
  }
  CHECK(content(path) == "text");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(count_in(directory.path()) == 1);

  const fs::path history = directory.path() / "history";
  const Syncs syncs(history);
  write_history(history, 1, std::vector<float>{1, 2});
  CHECK(syncs.seen == order);
}

TEST_CASE("where writing fails the old file stays, and nothing beside it") {
  const ScratchDirectory directory;
  const fs::path path = directory.path() / "file";
  write_atomically(path, bytes_of("old"));
  SUBCASE("on a full disk") {
    std::size_t room = 5;
    const auto write = [&](int file, const void* data, std::size_t bytes) -> ssize_t {
      if (room == 0) {
        errno = ENOSPC;
        return -1;
      }
      const ssize_t put = ::write(file, data, std::min(bytes, room));
      room -= static_cast<std::size_t>(put);
      return put;
    };
    CHECK(error_of([&] {
            AtomicFile file(path, write);
            file.write("more than five bytes");
            file.publish();
          }) == "cannot write " + path.string() + ": No space left on device");
  }
  SUBCASE("when it is synced") {
    const Syncs syncs(path, 0);
    CHECK(error_of([&] { write_atomically(path, bytes_of("new")); }) ==
          "cannot write " + path.string() + ": Input/output error");
  }
  SUBCASE("because it is given up") {
    AtomicFile file(path);
    file.write("new");
  }
  SUBCASE("because a directory has its name") {
    const fs::path taken = directory.path() / "taken";
    fs::create_directory(taken);
    CHECK(contains(error_of([&] { write_atomically(taken, bytes_of("new")); }),
                   "cannot write " + taken.string()));
    fs::remove(taken);
  }
  CHECK(content(path) == "old");
  CHECK(count_in(directory.path()) == 1);
}

TEST_CASE("a directory that cannot be synced is an error, and the file is whole") {
  const ScratchDirectory directory;
  const fs::path path = directory.path() / "file";
  {
    const Syncs syncs(path, 1);
    CHECK(error_of([&] { write_atomically(path, bytes_of("new")); }) ==
          "cannot write " + path.string() + ": Input/output error");
  }
  CHECK(content(path) == "new");
  CHECK(count_in(directory.path()) == 1);
}

TEST_CASE("a link is replaced, not followed, and not read") {
  const ScratchDirectory directory;
  const fs::path path = directory.path() / "file";
  directory.write("victim", "untouched");
  fs::create_symlink("victim", path);
  CHECK_FALSE(read_own_file(path, 100));
  write_atomically(path, bytes_of("text"));
  CHECK(content(directory.path() / "victim") == "untouched");
  CHECK_FALSE(fs::is_symlink(path));
  CHECK(read_own_file(path, 100) == "text");
}

TEST_CASE("what a killed process left beside is known by its name") {
  const ScratchDirectory directory;
  const AtomicFile file(directory.path() / "file");
  REQUIRE(count_in(directory.path()) == 1);
  CHECK(is_unfinished(fs::directory_iterator(directory.path())->path().filename().string()));
  CHECK_FALSE(is_unfinished("file"));
}

}  // namespace
}  // namespace hearth::tests
