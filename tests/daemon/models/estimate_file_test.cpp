// What is kept of the estimates, and what a file that somebody changed does not do.
#include "daemon/models/estimate_file.hpp"

#include <doctest/doctest.h>

#include <string>

#include "daemon/platform/files.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;

namespace {

constexpr Measured of{0xfedcba9876543210, 4, 128};

Estimates learnt() {
  Estimates estimates(128);
  for (int i = 0; i < 10; ++i) {
    estimates.read(128, 2, i % 2 == 0);
    estimates.passed(128, 1000, 2);
    estimates.passed(20, 1000, 0.8);
    estimates.wrote(50, 5);
    estimates.answered({"explain", true, {30, 100 + i}, 11, estimates.decode_speed()});
    estimates.answered({"\xff", false, {0, 7}, 1, {}});
  }
  return estimates;
}

constexpr Work work{.unread = 300, .read = 100, .writing = {"explain", true, {64, 512}, {}}};

}  // namespace

TEST_CASE("what was learnt is there after a restart") {
  const hearth::tests::TemporaryDirectory directory;
  const auto file = directory.path() / "estimates.json";
  CHECK_FALSE(saved_estimates(file, of));
  save_estimates(file, of, learnt());
  const auto saved = saved_estimates(file, of);
  REQUIRE(saved);
  CHECK(saved->end(work)->mean == doctest::Approx(learnt().end(work)->mean));
  CHECK(saved->end(work)->to() == doctest::Approx(learnt().end(work)->to()));
  CHECK(saved->prefill_speed() == learnt().prefill_speed());
  CHECK(saved->completion_speed() == learnt().completion_speed());
  CHECK(saved->decode_speed() == learnt().decode_speed());
}

TEST_CASE("speeds of another model, or with other threads, are not believed") {
  const hearth::tests::TemporaryDirectory directory;
  const auto file = directory.path() / "estimates.json";
  save_estimates(file, of, learnt());
  Measured other = of;
  other.fingerprint ^= 1;
  CHECK_FALSE(saved_estimates(file, other));
  other = of;
  other.threads = 2;
  CHECK_FALSE(saved_estimates(file, other));
}

TEST_CASE("a damaged file of estimates is refused or harmless, wherever it was changed") {
  const hearth::tests::TemporaryDirectory directory;
  const auto file = directory.path() / "estimates.json";
  save_estimates(file, of, learnt());
  const std::string whole = read_file(file, 1 << 20);
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += 17) {
    for (const char with : {'-', '9', '"', 'e', '['}) {
      std::string damaged = whole;
      damaged[at] = with;
      write_file(file, damaged);
      try {
        const auto saved = saved_estimates(file, of);
        if (!saved) continue;
        if (const auto end = saved->end(work)) {
          CHECK(end->from() >= 0);
          CHECK(end->from() <= end->mean);
          CHECK(end->mean <= end->to());
        }
      } catch (const std::exception&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 50);
  write_file(file, whole.substr(0, whole.size() / 2));
  CHECK_THROWS(saved_estimates(file, of));
  write_file(file, "{}");
  CHECK_THROWS(saved_estimates(file, of));
  write_file(file, std::string(2 << 20, ' '));
  CHECK_THROWS(saved_estimates(file, of));
}
