// Private directories, whole files, addresses of sockets, the log, and what is said when they
// cannot be had.
#include "daemon/platform/files.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "daemon/platform/error.hpp"
#include "daemon/platform/lock.hpp"
#include "daemon/platform/log.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/transport/socket.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::mode_of;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

// As if the disk were full after so many bytes of a file.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("directories come from the XDG variables; relative ones are ignored") {
  const TemporaryDirectory directory;
  const std::string root = directory.path().string();
  ::setenv("XDG_RUNTIME_DIR", root.c_str(), 1);
  ::setenv("XDG_STATE_HOME", (root + "/state").c_str(), 1);
  ::setenv("XDG_CONFIG_HOME", (root + "/config").c_str(), 1);
  Paths paths = find_paths();
  CHECK(paths.socket() == root + "/hearth/socket");
  CHECK(paths.log() == root + "/state/hearth/hearth.log");
  CHECK(paths.config == root + "/config/hearth/config.toml");

  ::setenv("HOME", root.c_str(), 1);
  ::setenv("XDG_RUNTIME_DIR", (root + "/gone").c_str(), 1);
  ::setenv("XDG_STATE_HOME", "state", 1);
  ::unsetenv("XDG_CONFIG_HOME");
  paths = find_paths();
  CHECK(paths.runtime == "/tmp/hearth-" + std::to_string(::getuid()));
  CHECK(paths.state == root + "/.local/state/hearth");
  CHECK(paths.config == root + "/.config/hearth/config.toml");
}

TEST_CASE("a private directory is made with its parents, for its owner alone") {
  const TemporaryDirectory directory;
  const auto made = directory.path() / "a/b/private";
  make_private_directory(made);
  CHECK(mode_of(made) == 0700);
  make_private_directory(made);
  CHECK(mode_of(made) == 0700);
}

TEST_CASE("a directory that others can enter is closed to them") {
  const TemporaryDirectory directory;
  const auto open = directory.path() / "open";
  fs::create_directory(open);
  fs::permissions(open, fs::perms::all);
  make_private_directory(open);
  CHECK(mode_of(open) == 0700);
}

TEST_CASE("a link or a file in a private directory's place is refused") {
  const TemporaryDirectory directory;
  const auto link = directory.path() / "link";
  fs::create_directory_symlink(directory.path(), link);
  CHECK_THROWS_WITH(make_private_directory(link),
                    (link.string() + " is a link or no directory: remove it").c_str());
  write_file(directory.path() / "file", "text");
  CHECK_THROWS_AS(make_private_directory(directory.path() / "file"), Error);
}

TEST_CASE("someone else's directory is refused") {
  if (::getuid() != 0) return;  // only root can give a directory away
  const TemporaryDirectory directory;
  const auto theirs = directory.path() / "theirs";
  fs::create_directory(theirs);
  REQUIRE(::chown(theirs.c_str(), 12345, 12345) == 0);
  CHECK_THROWS_WITH(
      make_private_directory(theirs),
      (theirs.string() + " belongs to user 12345: hearth uses only a directory of its own user")
          .c_str());
}

TEST_CASE("a file is written whole, for its owner alone, over the old one") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "answer.md";
  write_file(file, "first");
  write_file(file, "second");
  CHECK(read_file(file, 100) == "second");
  CHECK(mode_of(file) == 0600);
}

TEST_CASE("a full disk is an error with its path, and leaves the old file and nothing else") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "answer.md";
  write_file(file, "old");
  std::string complaint;
  {
    const FullDisk disk(1000);
    try {
      write_file(file, std::string(5000, 'x'));
    } catch (const Error& error) {
      complaint = error.what();
    }
  }
  CHECK(complaint == "cannot write " + file.string() + ": File too large");
  CHECK(read_file(file, 100) == "old");
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a file that is missing or too large is told with its path") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "file";
  CHECK_THROWS_WITH(read_file(file, 10),
                    ("cannot read " + file.string() + ": No such file or directory").c_str());
  write_file(file, std::string(11, 'x'));
  CHECK_THROWS_WITH(read_file(file, 10),
                    ("cannot read " + file.string() + ": it has more than 10 bytes").c_str());
}

TEST_CASE("a log that cannot be written stops nothing") {
  const TemporaryDirectory directory;
  SUBCASE("because its directory is missing") {
    fs::create_directory(directory.path() / "hearth.log");
    Log log(directory.path() / "hearth.log", hearth::lsp::LogLevel::info, false);
    log.info("said to nobody");
  }
  SUBCASE("because the disk is full") {
    const FullDisk disk(100);
    Log log(directory.path() / "hearth.log", hearth::lsp::LogLevel::info, false);
    for (int i = 0; i < 100; ++i) log.info("a line that finds no room");
    CHECK(fs::file_size(directory.path() / "hearth.log") <= 100);
  }
}

TEST_CASE("a log holds its level and what is graver") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "hearth.log";
  {
    Log log(file, hearth::lsp::LogLevel::warn, false);
    log.info("small talk");
    log.warn("something odd");
    log.write(hearth::lsp::LogLevel::trace, "text of a document");
  }
  const std::string text = read_file(file, 10'000);
  CHECK(text.find("something odd") != std::string::npos);
  CHECK(text.find("small talk") == std::string::npos);
  CHECK(text.find("text of a document") == std::string::npos);
}

TEST_CASE("a socket's path that is too long is told with what to do") {
  const std::string path = "/tmp/" + std::string(120, 'x');
  CHECK_THROWS_WITH(socket_address(path),
                    ("the socket's path is too long (125 bytes, at most 107): " + path +
                     ": set XDG_RUNTIME_DIR to a shorter directory")
                        .c_str());
}

TEST_CASE("the daemon's lock has one holder, and is free when it goes") {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "lock";
  CHECK_FALSE(holder(file));
  std::optional<DaemonLock> lock = DaemonLock::take(file);
  REQUIRE(lock);
  CHECK_FALSE(DaemonLock::take(file));
  CHECK(holder(file) == ::getpid());
  lock.reset();
  CHECK_FALSE(holder(file));
  CHECK(DaemonLock::take(file));
}
