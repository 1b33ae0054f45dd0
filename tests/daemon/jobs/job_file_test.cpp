// The jobs' file when it is not as it was left: damaged, newer, and what a removal leaves of a job.
#include "daemon/jobs/job_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "daemon/platform/error.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/jobs/records.hpp"
#include "tests/temporary_directory.hpp"

namespace fs = std::filesystem;

namespace hearth::tests {
namespace {

using daemon::Batch;
using daemon::Database;
using daemon::JobFile;

constexpr int jobs = 40;

std::string marked(int id, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += "mark-" + std::to_string(id) + "-end ";
  return text;
}

// A file with records of all sizes.
void fill(const fs::path& path, unsigned seed) {
  std::mt19937 random(seed);
  JobFile file(path);
  for (int id = 1; id <= jobs; ++id) {
    Batch batch;
    lsp::JobRecord made = record(static_cast<lsp::JobId>(id), marked(id, random() % 2000));
    made.tokens.assign(random() % 300, id);
    batch.create(made);
    file.write(batch);
    for (unsigned piece = 0; piece < random() % 8; ++piece) {
      Batch more;
      more.append(static_cast<lsp::JobId>(id), marked(id, 1 + random() % 30), {id});
      file.write(more);
    }
  }
}

}  // namespace

TEST_CASE(
    "a damaged file never stops the daemon: it is set aside, with what could be read in a new "
    "one") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "jobs.sqlite";
  fill(path, 1);
  const std::string good = bytes_of(path);
  REQUIRE(good.size() > 100'000);
  std::mt19937 random(2);
  int set_aside = 0;
  int salvaged = 0;
  for (int round = 0; round < 150; ++round) {
    CAPTURE(round);
    std::string bad = good;
    if (round % 3 == 0) {
      bad.resize(random() % bad.size());
    } else {
      // Heads of pages matter most.
      const std::size_t flips = 1 + random() % 20;
      for (std::size_t flip = 0; flip < flips; ++flip) {
        std::size_t at = random() % bad.size();
        if (round % 3 == 1) at = at / 4096 * 4096 + random() % 100;
        if (at < bad.size()) bad[at] = static_cast<char>(random());
      }
    }
    for (const auto& entry : fs::directory_iterator(directory.path())) fs::remove(entry.path());
    write_bytes(path, bad);
    std::size_t read = 0;
    {
      JobFile file(path);
      const auto records = file.take_records();
      read = records.size();
      CHECK(read <= jobs);
      for (const auto& found : records) CHECK(found.id > 0);
      CHECK(file.last_id().has_value() == file.note().empty());
      Batch batch;
      batch.durable = true;
      batch.create(record(1000));
      file.write(batch);
      const auto beside = daemon::set_aside_job_files(path);
      CHECK(beside.empty() == file.note().empty());
      // A version that was hit is no other damage.
      if (!beside.empty() && !contains(file.note(), "newer")) {
        ++set_aside;
        if (read > 0) ++salvaged;
        CHECK(contains(file.note(), beside.front().string()));
        CHECK(contains(file.note(), std::to_string(read) + " jobs that could be read"));
      }
    }
    JobFile again(path);
    CHECK(again.note().empty());
    CHECK(again.take_records().size() == read + 1);
  }
  CHECK(set_aside > 40);
  CHECK(salvaged > 10);
}

TEST_CASE("a file that a newer hearth wrote is set aside whole") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "jobs.sqlite";
  fill(path, 3);
  Database(path).execute("PRAGMA user_version=2");
  const std::string newer = bytes_of(path);
  for (const char* name : {"jobs.sqlite.newer", "jobs.sqlite.newer-2"}) {
    write_bytes(path, newer);
    JobFile file(path);
    CHECK(contains(file.note(), "was written by a newer hearth"));
    CHECK(contains(file.note(), "Rename it back"));
    CHECK(file.take_records().empty());
    CHECK(bytes_of(directory.path() / name) == newer);
  }
}

TEST_CASE("a file with other tables is damaged: a trigger in it never runs") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "jobs.sqlite";
  fill(path, 4);
  Database(path).execute("CREATE TRIGGER spy AFTER INSERT ON job BEGIN DELETE FROM job; END");
  JobFile file(path);
  CHECK(contains(file.note(), "it has other tables"));
}

TEST_CASE("a row that was not written so makes the file a damaged one, and is left out") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "jobs.sqlite";
  fill(path, 5);
  std::size_t good = jobs - 1;
  SUBCASE("tokens that end in the middle of one") {
    Database(path).execute("UPDATE job SET tokens=x'010203' WHERE id=7");
  }
  SUBCASE("a number instead of a text") {
    Database(path).execute("UPDATE job SET request=x'00' WHERE id=7");
  }
  SUBCASE("a number that no job has") {
    Database(path).execute("UPDATE job SET id=-7 WHERE id=7");
  }
  SUBCASE("an answer without its job") {
    Database(path).execute("INSERT INTO piece VALUES(70, 1, 'x', x'')");
    good = jobs;
  }
  JobFile file(path);
  CHECK(contains(file.note(), "is damaged"));
  const auto records = file.take_records();
  CHECK(records.size() == good);
  for (const auto& found : records) CHECK((found.id != 7 || good == jobs));
}

TEST_CASE("nothing is found of removed jobs in the state directory") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "jobs.sqlite";
  for (unsigned seed = 10; seed < 14; ++seed) {
    std::mt19937 random(seed);
    fill(path, seed);
    JobFile file(path);
    std::vector<bool> there(jobs + 1, true);
    for (int step = 0; step < 10; ++step) {
      Batch batch;
      const int changed = 1 + static_cast<int>(random() % jobs);
      lsp::JobChange change;
      change.text = marked(changed, random() % 300);
      batch.change(static_cast<lsp::JobId>(changed), change);
      for (int i = 0; i < 3; ++i) {
        const int id = 1 + static_cast<int>(random() % jobs);
        batch.remove(static_cast<lsp::JobId>(id));
        there[id] = false;
      }
      file.write(batch);
    }
    file.scrub();
    for (int id = 1; id <= jobs; ++id) {
      if (there[id]) continue;
      CAPTURE(id);
      CHECK_FALSE(found_below(directory.path(), "mark-" + std::to_string(id) + "-"));
    }
    CHECK(fs::file_size(path.string() + "-wal") == 0);
    Batch all;
    for (int id = 1; id <= jobs; ++id) all.remove(static_cast<lsp::JobId>(id));
    file.write(all);
    file.scrub();
    CHECK_FALSE(found_below(directory.path(), "mark-"));
  }
}

}  // namespace hearth::tests
