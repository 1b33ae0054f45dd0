// Jobs' records on the disk: what is confirmed is there, and a disk that is full stops nothing.
#include "daemon/jobs/sqlite_store.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/jobs/records.hpp"
#include "tests/temporary_directory.hpp"

namespace fs = std::filesystem;

namespace hearth::tests {
namespace {

using daemon::SqliteJobStore;
using lsp::JobId;
using Tokens = std::vector<std::int32_t>;

struct Place {
  TemporaryDirectory directory;
  fs::path file = directory.path() / "jobs.sqlite";
  fs::path last_job = directory.path() / "last_job";
  LoggingHost host;

  std::unique_ptr<SqliteJobStore> open() {
    return std::make_unique<SqliteJobStore>(host, file, last_job);
  }
};

// No file grows beyond `bytes`, as on a full disk.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

constexpr std::uint64_t year_2020 = 1'577'836'800;

}  // namespace

TEST_CASE("a store's records are there again, all of each") {
  Place place;
  lsp::JobRecord first = record(1, R"({"title":"Explain 😀"})");
  first.text = "It ";
  first.tokens = {7, -1};
  {
    const auto store = place.open();
    CHECK(store->load().empty());
    store->create(first);
    store->create(record(2));
    CHECK(changed(place.host, *store, 1, standing("running")).empty());
    store->append(1, "adds", {8});
    store->append(1, std::string(" \0 ", 3), {9, 151643});
    store->append(2, "", {1});  // a thought has no text
    CHECK(mode_of(place.file) == 0600);
    CHECK(store->failure().empty());
  }
  {
    const auto store = place.open();
    const auto records = store->load();
    REQUIRE(records.size() == 2);
    CHECK(records[0].id == 1);
    CHECK(records[0].workspace == first.workspace);
    CHECK(records[0].created == first.created);
    CHECK(records[0].request == first.request);
    CHECK(records[0].standing == "running");
    CHECK(records[0].text == std::string("It adds \0 ", 10));
    CHECK(records[0].tokens == Tokens{7, -1, 8, 9, 151643});
    CHECK(records[1].text.empty());
    CHECK(records[1].tokens == Tokens{1});
    // What is written whole replaces what was appended before, and only that.
    store->append(1, "lost", {5});
    lsp::JobChange whole;
    whole.text = "All";
    store->change(1, whole, {});
    store->append(1, "!", {6});
  }
  const auto records = place.open()->load();
  CHECK(records.at(0).text == "All!");
  CHECK(records.at(0).tokens == Tokens{7, -1, 8, 9, 151643, 5, 6});
}

TEST_CASE("what is appended is written within a moment, unasked, and before a later change") {
  Place place;
  const auto store = place.open();
  store->create(record(1));
  CHECK(changed(place.host, *store, 1, standing("running")).empty());
  store->append(1, "needle-1", {1});
  while (!found_below(place.directory.path(), "needle-1")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  store->append(1, "needle-2", {2});
  CHECK(changed(place.host, *store, 1, standing("done")).empty());
  CHECK(found_below(place.directory.path(), "needle-2"));
}

TEST_CASE("changes are told in their order, and of a record that is not there") {
  Place place;
  const auto store = place.open();
  store->create(record(1));
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    store->change(1, standing(std::to_string(i)), [&order, i](const std::string& failure) {
      CHECK(failure.empty());
      order.push_back(i);
    });
  }
  CHECK(order.empty());
  place.host.run_until([&] { return order.size() == 50; });
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(changed(place.host, *store, 2, standing("x")) == "there is no record of job 2");
  store->append(2, "x", {1});
  CHECK(removed(place.host, *store, {1, 2}).empty());
  CHECK(changed(place.host, *store, 1, standing("x")) == "there is no record of job 1");
  CHECK(removed(place.host, *store, {}).empty());
}

TEST_CASE("a job's number is greater than all before") {
  Place place;
  SUBCASE("from 1, without a gap at an orderly end") {
    for (JobId expected = 1; expected < 5; ++expected) CHECK(place.open()->next_id() == expected);
  }
  SUBCASE("also than the last of an older hearth, whose file goes") {
    daemon::write_file(place.last_job, "99                  \n");
    CHECK(place.open()->next_id() == 100);
    CHECK_FALSE(fs::exists(place.last_job));
    CHECK(place.open()->next_id() == 101);
  }
  SUBCASE("also than one that was recorded") {
    {
      const auto store = place.open();
      store->create(record(500));
    }
    CHECK(place.open()->next_id() == 501);
  }
  SUBCASE("where the old file holds no number, from the clock") {
    SUBCASE("but something else") {
      daemon::write_file(place.last_job, "12 or so");
    }
    SUBCASE("as it is a link") {
      daemon::write_file(place.directory.path() / "other", "5\n");
      fs::create_symlink(place.directory.path() / "other", place.last_job);
    }
    SUBCASE("as it is a pipe") {
      REQUIRE(::mkfifo(place.last_job.c_str(), 0600) == 0);
    }
    CHECK(place.open()->next_id() > year_2020);
  }
  SUBCASE("where nothing can be written, from the clock") {
    fs::create_directory(place.file);
    const auto store = place.open();
    const JobId first = store->next_id();
    CHECK(first > year_2020);
    CHECK(store->next_id() > first);
    fs::remove(place.file);
    store->create(record(first));
    CHECK(changed(place.host, *store, first, standing("x")).empty());
    const JobId last = store->next_id();
    CHECK(last > first + 1);
  }
  SUBCASE("many at once") {
    const auto store = place.open();
    JobId last = 0;
    for (int i = 0; i < 1000; ++i) {
      const JobId next = store->next_id();
      REQUIRE(next > last);
      last = next;
    }
  }
}

TEST_CASE("a full disk stops nothing, and what waited is written when there is room") {
  Place place;
  {
    std::vector<std::string> heard;
    std::unique_ptr<SqliteJobStore> store;
    store = std::make_unique<SqliteJobStore>(place.host, place.file, place.last_job,
                                             [&] { heard.push_back(store->failure()); });
    store->create(record(1));
    CHECK(changed(place.host, *store, 1, standing("running")).empty());
    CHECK(heard.empty());
    {
      const SmallDisk disk(fs::file_size(place.file.string() + "-wal"));
      lsp::JobChange change = standing("done");
      change.request = std::string(100'000, 'r');
      const std::string failure = changed(place.host, *store, 1, change);
      CHECK(contains(failure, "cannot use " + place.file.string()));
      CHECK(store->failure() == failure);
      CHECK(heard == std::vector<std::string>{failure});
      store->append(1, std::string(100'000, 'a'), Tokens(1000, 3));
      store->create(record(2));
      CHECK(store->next_id() > 0);
      CHECK(contains(changed(place.host, *store, 2, standing("done")), place.file.string()));
      CHECK(contains(removed(place.host, *store, {2}), place.file.string()));
    }
    CHECK(changed(place.host, *store, 1, {}).empty());
    CHECK(store->failure().empty());
    place.host.run_posted();
    CHECK(place.host.has_logged("is kept in memory until it can be written"));
    CHECK(place.host.has_logged("is written again"));
    CHECK(heard.back().empty());
  }
  const auto records = place.open()->load();
  REQUIRE(records.size() == 1);
  CHECK(records[0].standing == "done");
  CHECK(records[0].request.size() == 100'000);
  CHECK(records[0].text.size() == 100'000);
  CHECK(records[0].tokens.size() == 1000);
}

TEST_CASE("a store that cannot be opened works in memory, and says why in a sentence") {
  Place place;
  std::string reason;
  std::unique_ptr<SqliteJobStore> other;
  SUBCASE("another process has it") {
    LoggingHost others;
    other = std::make_unique<SqliteJobStore>(others, place.file, place.last_job);
    reason = "another process has it open";
  }
  SUBCASE("it is a link") {
    fs::create_symlink(place.directory.path() / "elsewhere", place.file);
    reason = "is a link or no file";
  }
  SUBCASE("it has a second name") {
    daemon::write_file(place.file, "");
    fs::create_hard_link(place.file, place.directory.path() / "second");
    reason = "has 2 names";
  }
  SUBCASE("what SQLite keeps beside it is a link") {
    fs::create_symlink(place.directory.path() / "elsewhere", place.file.string() + "-wal");
    reason = "is a link or no file";
  }
  const auto store = place.open();
  CHECK(contains(store->failure(), place.file.string()));
  CHECK(contains(store->failure(), reason));
  CHECK(store->load().empty());
  store->create(record(1));
  CHECK(contains(changed(place.host, *store, 1, standing("x")), reason));
  place.host.run_posted();
  CHECK(place.host.has_logged(reason));
  CHECK_FALSE(fs::exists(place.directory.path() / "elsewhere"));
}

TEST_CASE("a store whose file somebody removes begins another one") {
  Place place;
  const auto store = place.open();
  store->create(record(1));
  CHECK(changed(place.host, *store, 1, standing("x")).empty());
  const JobId id = store->next_id();
  for (const char* suffix : {"", "-wal"}) fs::remove(place.file.string() + suffix);
  CHECK(changed(place.host, *store, 1, standing("y")) == "there is no record of job 1");
  store->create(record(2));
  CHECK(changed(place.host, *store, 2, standing("z")).empty());
  CHECK(fs::exists(place.file));
  CHECK(store->next_id() > id);
}

TEST_CASE("where there is no state directory, jobs are kept in memory") {
  LoggingHost host;
  daemon::Paths paths;
  const auto store = daemon::make_job_store(host, paths);
  const JobId id = store->next_id();
  CHECK(id > year_2020);
  store->create(record(id));
  CHECK(changed(host, *store, id, standing("x")).empty());
}

}  // namespace hearth::tests
