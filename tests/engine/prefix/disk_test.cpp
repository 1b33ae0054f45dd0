// What becomes of checkpoints on disk under damage, a full disk and kill -9: a miss at worst, never
// something wrong.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "engine/prefix/cache.hpp"
#include "engine/support/atomic_file.hpp"
#include "tests/engine/files.hpp"
#include "tests/engine/prefix/model.hpp"
#include "tests/short_run.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
namespace fs = std::filesystem;

const PrefixLayout layout = small_layout();

struct Place {
  TemporaryDirectory parent;
  fs::path directory = parent.path() / "prefixes";
  std::vector<std::string> notes;

  PrefixOptions options() {
    PrefixOptions made;
    made.ram_bytes = 8 << 20;
    made.directory = directory;
    made.disk_bytes = 1 << 30;
    made.daily_bytes = 1 << 30;
    made.note = [this](const std::string& note) { notes.push_back(note); };
    return made;
  }
  std::vector<fs::path> files(const std::string& extension = ".prefix") const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(directory))
      if (entry.path().extension() == extension) found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }
  bool has_unfinished() const {
    return std::ranges::any_of(fs::directory_iterator(directory), [](const auto& entry) {
      const std::string name = entry.path().filename().string();
      return is_unfinished(name) || name.ends_with(".tmp");
    });
  }
};

// The tokens of prompt i; several share their beginning.
Tokens prompt(int i) {
  Tokens tokens;
  for (int at = 0; at < 200; ++at) tokens.push_back(at < 90 ? (i / 4) * 1000 + at : i * 1000 + at);
  return tokens;
}

void write(PrefixCache& cache, const Tokens& tokens) {
  for (const std::size_t at : {64u, 90u, 150u})
    cache.add(checkpoint_of(layout, std::span(tokens).first(at), CheckpointKind::boundary));
  cache.add(checkpoint_of(layout, tokens, CheckpointKind::end));
  cache.persist(tokens, tokens.size());
}

// How far the prompt is served; wrong bytes fail the test.
std::size_t served(PrefixCache& cache, const Tokens& tokens) {
  const auto restored = cache.take(tokens, 0, 0, {}, nullptr);
  if (restored->position == 0) return 0;
  CHECK(is_right(layout, *restored, tokens, 0));
  return static_cast<std::size_t>(restored->position);
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("files are private, and so is their directory") {
  Place place;
  PrefixCache cache(place.options(), layout, 1);
  write(cache, prompt(0));
  cache.flush();
  REQUIRE(place.files().size() == 4);
  for (const auto& entry : fs::directory_iterator(place.directory))
    CHECK((entry.status().permissions() & fs::perms(0077)) == fs::perms::none);
  CHECK(fs::status(place.directory).permissions() == fs::perms(0700));
}

TEST_CASE("a directory that cannot be had costs the disk's checkpoints alone") {
  Place place;
  SUBCASE("a file in its place") {
    put(place.directory, "x");
  }
  SUBCASE("a link") {
    fs::create_directory(place.parent.path() / "elsewhere");
    fs::create_symlink(place.parent.path() / "elsewhere", place.directory);
  }
  PrefixCache cache(place.options(), layout, 1);
  REQUIRE(place.notes.size() == 1);
  CHECK(contains(place.notes[0], place.directory.string()));
  write(cache, prompt(0));
  CHECK(served(cache, prompt(0)) == 200);
}

TEST_CASE("every flipped bit and every missing end of a file is seen") {
  // In memory where there is such a file system: this reads a file ten thousand times.
  const fs::path shared = "/dev/shm";
  const fs::path path = (fs::is_directory(shared) ? shared : fs::temp_directory_path()) /
                        ("hearth-test-" + std::to_string(::getpid()) + ".prefix");
  const Tokens tokens = prompt(0);
  const PrefixRecord record{{7, 3, 120, 200},
                            {tokens.begin() + 120, tokens.end()},
                            kv_of(layout, tokens, 120, 200),
                            state_of(layout, tokens),
                            floats_of(tokens, layout.hidden),
                            floats_of(tokens, layout.vocab)};
  write_prefix_file(path, 11, record, ::write);
  const std::string whole = content(path);
  CHECK(whole.size() == prefix_file_bytes(record));
  const auto read = [&] {
    const PrefixHead head = read_prefix_head(path, 11, layout);
    PrefixReading reading(path, 11, layout, head.place, {true, true});
    for (std::size_t i = 0; i < reading.pieces(); ++i) reading.read(i, [](auto) {});
    reading.finish();
    return reading.record();
  };
  CHECK(read().logits == record.logits);

  // Every byte that says something, and some of the padding.
  std::size_t seen = 0;
  std::size_t tried = 0;
  std::ofstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  for (std::size_t at = 0; at < whole.size(); at += whole[at] == 0 ? 7 : 1) {
    const char damaged = static_cast<char>(whole[at] ^ (1 << (at % 8)));
    file.seekp(static_cast<std::streamoff>(at)).put(damaged).flush();
    ++tried;
    try {
      read();
      FAIL_CHECK("byte " << at << " was believed");
    } catch (const CorruptCheckpoint&) {
      ++seen;
    }
    file.seekp(static_cast<std::streamoff>(at)).put(whole[at]).flush();
  }
  CHECK(tried > 10'000);
  CHECK(seen == tried);
  CHECK(read().logits == record.logits);

  for (std::size_t size = 0; size < whole.size(); size += 509) {
    fs::resize_file(path, size);
    CHECK_THROWS_AS(read(), CorruptCheckpoint);
    put(path, whole);
  }
  put(path, whole + "more");
  CHECK_THROWS_AS(read(), CorruptCheckpoint);
  put(path, whole);
  CHECK_THROWS_AS(read_prefix_head(path, 12, layout), CorruptCheckpoint);
  PrefixLayout wider = layout;
  wider.row_bytes += 8;
  CHECK_THROWS_AS(read_prefix_head(path, 11, wider), CorruptCheckpoint);
  fs::remove(path);
}

TEST_CASE("a damaged file is a miss with a note, and goes") {
  Place place;
  const Tokens tokens = prompt(0);
  {
    PrefixCache cache(place.options(), layout, 1);
    write(cache, tokens);
  }
  const std::vector<fs::path> files = place.files();
  REQUIRE(files.size() == 4);
  const auto damage = [&](std::size_t in_file, auto change) {
    for (const fs::path& path : files) {
      const PrefixHead head = [&] {
        const std::string bytes = content(path);
        PrefixHead made;
        std::memcpy(&made.place, bytes.data() + 16, sizeof made.place);
        return made;
      }();
      if (static_cast<std::size_t>(head.place.end) != in_file) continue;
      std::string bytes = content(path);
      change(bytes);
      put(path, bytes);
    }
  };
  const auto flip_state = [](std::string& bytes) { bytes[bytes.size() - 4096] ^= 4; };

  SUBCASE("the state of the end: what it stands on still serves") {
    damage(200, flip_state);
    PrefixCache cache(place.options(), layout, 1);
    CHECK(cache.find(tokens) == 200);
    CHECK(served(cache, tokens) == 150);
    CHECK(cache.find(tokens) == 150);
    cache.flush();
    CHECK(place.files().size() == 3);
  }
  SUBCASE("KV in the middle: what stands on it is lost too") {
    damage(90, [](std::string& bytes) { bytes[2 * 4096 + 5] ^= 64; });
    PrefixCache cache(place.options(), layout, 1);
    CHECK(served(cache, tokens) == 64);
    cache.flush();
    CHECK(place.files().size() == 1);
  }
  SUBCASE("a header: seen at the start") {
    damage(90, [](std::string& bytes) { bytes[40] ^= 1; });
    PrefixCache cache(place.options(), layout, 1);
    CHECK(cache.find(tokens) == 64);
    cache.flush();
    CHECK(place.files().size() == 1);
  }
  SUBCASE("cut while the daemon runs") {
    PrefixCache cache(place.options(), layout, 1);
    damage(200, [](std::string& bytes) { bytes.resize(bytes.size() - 4096); });
    CHECK(served(cache, tokens) == 150);
  }
  SUBCASE("deleted while the daemon runs") {
    PrefixCache cache(place.options(), layout, 1);
    for (const fs::path& path : files) fs::remove(path);
    CHECK(served(cache, tokens) == 0);
  }
  SUBCASE("replaced by another's") {
    std::string first;
    damage(64, [&](std::string& bytes) { first = bytes; });
    damage(200, [&](std::string& bytes) { bytes = first; });
    PrefixCache cache(place.options(), layout, 1);
    CHECK(served(cache, tokens) == 150);
  }
  REQUIRE_FALSE(place.notes.empty());
  CHECK(contains(place.notes[0], "prefix"));
}

TEST_CASE("what is not ours stays, what was half written goes") {
  Place place;
  { PrefixCache cache(place.options(), layout, 1); }
  put(place.directory / "notes.txt", "mine");
  put(place.directory / "0123456789abcdef-0123456789abcdef.prefix.tmp",
      "half, of an earlier version");
  put(place.directory / ".hearth-4711-1", "half");
  put(place.directory / "0123456789abcdef-0123456789abcdeX.prefix", "no name of ours");
  put(place.directory / "0123456789abcdef-0123456789abcdef.prefix", "another checkpoint's");
  PrefixCache cache(place.options(), layout, 1);
  CHECK(fs::exists(place.directory / "notes.txt"));
  CHECK_FALSE(place.has_unfinished());
  CHECK(place.files().size() == 2);
  CHECK(cache.statistics().disk_bytes == std::string("another checkpoint's").size());
}

TEST_CASE("files of an earlier version go, with one line for all of them") {
  Place place;
  { PrefixCache cache(place.options(), layout, 1); }
  place.notes.clear();
  const std::string checkpoint = "0123456789abcdef";
  put(place.directory / (checkpoint + "-0000000000000001.prefix"), "HRHTPFX1 and the rest");
  put(place.directory / (checkpoint + "-0000000000000002.prefix"), "HRHTPFX1 and the rest");
  put(place.directory / (checkpoint + ".experts"), "digests");
  put(place.directory / "fedcba9876543210-0000000000000003.prefix",
      "HRHTPFX2: another checkpoint's");
  PrefixCache cache(place.options(), layout, 1);
  CHECK(place.files().size() == 1);
  CHECK(place.files(".experts").empty());
  CHECK(place.notes ==
        std::vector<std::string>{"prefix checkpoints of an earlier version: 2 files removed"});
}

TEST_CASE(
    "a full disk loses nothing but the files it has no room for, says so once, and leaves no "
    "half") {
  Place place;
  std::atomic<std::int64_t> room = 0;
  PrefixOptions options = place.options();
  options.write = [&](int file, const void* data, std::size_t bytes) -> ssize_t {
    const std::int64_t left = room;
    if (left <= 0) {
      errno = ENOSPC;
      return -1;
    }
    const ssize_t put = ::write(file, data, std::min(bytes, static_cast<std::size_t>(left)));
    room -= put;
    return put;
  };
  PrefixCache cache(options, layout, 1);
  for (int i = 0; i < 40; ++i) {
    room = i * 3001;
    write(cache, prompt(i));
    cache.flush();
    CHECK_FALSE(place.has_unfinished());
    CHECK(served(cache, prompt(i)) == 200);
    std::uint64_t bytes = 0;
    for (const fs::path& path : place.files()) bytes += fs::file_size(path);
    CHECK(bytes == cache.statistics().disk_bytes);
  }
  REQUIRE_FALSE(place.notes.empty());
  CHECK(contains(place.notes[0], "No space left on device"));
  CHECK(place.notes.size() < 40);

  room = 1 << 30;
  const std::size_t before = place.files().size();
  write(cache, prompt(50));
  cache.flush();
  CHECK(place.files().size() == before + 4);
}

TEST_CASE("the day's budget is charged what came onto the disk, now and after a restart") {
  Place place;
  PrefixOptions options = place.options();
  std::atomic<std::int64_t> room = 5'000;
  std::atomic<std::uint64_t> put = 0;
  options.write = [&](int file, const void* data, std::size_t bytes) -> ssize_t {
    if (room <= 0) {
      errno = ENOSPC;
      return -1;
    }
    const ssize_t some =
        ::write(file, data, std::min(bytes, static_cast<std::size_t>(room.load())));
    room -= some;
    put += static_cast<std::uint64_t>(some);
    return some;
  };
  {
    PrefixCache cache(options, layout, 1);
    for (int i = 0; i < 8; i += 4) write(cache, prompt(i));
    cache.flush();
    CHECK(place.files().empty());  // none of them had room
    CHECK(put == 5'000);
    CHECK(cache.statistics().written_today == put);
  }
  CHECK(PrefixCache(options, layout, 1).statistics().written_today == put);

  room = 1 << 30;
  PrefixCache cache(options, layout, 1);
  write(cache, prompt(20));
  cache.flush();
  CHECK(place.files().size() == 4);
  CHECK(cache.statistics().written_today == put);
}

TEST_CASE("kill -9 at any moment: what is found is right, and nothing half written stays") {
  Place place;
  std::mt19937 random(3);
  std::size_t found = 0;
  constexpr int prompts = 24;
  const bool is_short = HEARTH_SANITIZED || is_short_run();
  const int rounds = is_short ? 20 : 200;
  for (int round = 0; round < rounds; ++round) {
    PrefixOptions options = place.options();
    options.disk_bytes = 1'500'000;  // files come and go
    options.note = {};
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      PrefixCache cache(options, layout, 1);
      for (int i = round;; ++i) {
        write(cache, prompt(i % prompts));
        if (i % 5 == 0) cache.flush();
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 40'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));

    options = place.options();
    PrefixCache cache(options, layout, 1);
    REQUIRE(cache.statistics().disk);
    CHECK_FALSE(place.has_unfinished());
    for (int i = 0; i < prompts; ++i) {
      const std::size_t promised = cache.find(prompt(i));
      CHECK(served(cache, prompt(i)) == promised);  // no file that was found is damaged
      found += promised > 0 ? 1 : 0;
    }
  }
  CHECK(found > static_cast<std::size_t>(rounds));
}

}  // namespace hearth::tests
