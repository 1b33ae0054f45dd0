// Names of answers' files, and their end.
#include "daemon/platform/answer_files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using namespace std::chrono_literals;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& file) {
  return read_file(file, 1 << 20);
}

void age(const fs::path& file, std::chrono::hours by) {
  fs::last_write_time(file, fs::file_time_type::clock::now() - by);
}

}  // namespace

TEST_CASE("an answer is written over itself, never over another one") {
  const TemporaryDirectory directory;
  const fs::path place = directory.path() / "answers";
  fs::path first;
  {
    AnswerFiles files(place, 168h);
    first = files.write("explain-1.md", "A");
    CHECK(files.write("explain-1.md", "Adds.") == first);
    CHECK(first == place / "explain-1.md");
  }
  AnswerFiles later(place, 168h);
  const fs::path second = later.write("explain-1.md", "B");
  CHECK(second == place / "explain-1-2.md");
  CHECK(later.write("explain-1.md", "Bounds.") == second);
  CHECK(text_of(first) == "Adds.");
  CHECK(text_of(second) == "Bounds.");
  struct stat info {};
  REQUIRE(::stat(second.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
}

TEST_CASE("an answer does not go through a link") {
  const TemporaryDirectory directory;
  const fs::path place = directory.path() / "answers";
  fs::create_directory(place);
  write_file(directory.path() / "precious", "mine");
  fs::create_symlink(directory.path() / "precious", place / "explain-1.md");
  AnswerFiles files(place, 168h);
  CHECK(files.write("explain-1.md", "Adds.") == place / "explain-1-2.md");
  CHECK(text_of(directory.path() / "precious") == "mine");
  CHECK_THROWS_AS(files.write("../explain.md", "x"), Error);
  CHECK_THROWS_AS(files.write(".hidden", "x"), Error);
  CHECK_THROWS_AS(files.write("", "x"), Error);
}

TEST_CASE("answers expire after their time, and nothing else does") {
  const TemporaryDirectory directory;
  const fs::path place = directory.path() / "answers";
  AnswerFiles files(place, 48h);
  const fs::path old = files.write("explain-1.md", "old");
  const fs::path young = files.write("explain-2.md", "young");
  write_file(place / ".hearth-a1b2c3", "left behind");
  write_file(place / "notes.txt", "of a person");
  fs::create_symlink(old, place / "link.md");
  for (const char* name : {"explain-1.md", ".hearth-a1b2c3", "notes.txt"}) age(place / name, 49h);
  age(young, 47h);
  CHECK(files.expire() == 2);
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(young));
  CHECK(fs::exists(place / "notes.txt"));
  CHECK(fs::is_symlink(place / "link.md"));

  age(young, 49h);
  SUBCASE("the next answer removes what has become too old") {
    files.write("explain-3.md", "new");
    CHECK_FALSE(fs::exists(young));
  }
  SUBCASE("an answer that is not to expire says no day and stays") {
    AnswerFiles forever(place, 0ms);
    CHECK(forever.kept_until().empty());
    CHECK(forever.expire() == 0);
    CHECK(fs::exists(young));
  }
  CHECK(files.kept_until().size() == std::string("2026-12-06").size());
  CHECK(AnswerFiles(directory.path() / "none", 1h).expire() == 0);
}
