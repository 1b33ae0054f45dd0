// Measured speeds; numbers as people read them.
#include "daemon/models/rate.hpp"

#include <doctest/doctest.h>

#include "daemon/platform/format.hpp"

using namespace hearth::daemon;
using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

TEST_CASE("nothing measured, no speed") {
  const Rate rate(100);
  CHECK_FALSE(rate.per_second());
}

TEST_CASE("a steady speed is told as it is") {
  Rate rate(100);
  for (int i = 0; i < 50; ++i) rate.add(10, Seconds(0.5));
  CHECK(*rate.per_second() == doctest::Approx(20));
}

TEST_CASE("recent work counts more than old") {
  Rate rate(100);
  for (int i = 0; i < 100; ++i) rate.add(10, Seconds(1));
  for (int i = 0; i < 100; ++i) rate.add(10, Seconds(0.1));
  CHECK(*rate.per_second() == doctest::Approx(100).epsilon(0.01));
}

TEST_CASE("numbers are laid out for people") {
  CHECK(show_bytes(999) == "999 B");
  CHECK(show_bytes(22'300'000) == "22.3 MB");
  CHECK(show_bytes(77.3e9) == "77.3 GB");
  CHECK(show_time(milliseconds(340)) == "340 ms");
  CHECK(show_time(milliseconds(12'100)) == "12.1 s");
  CHECK(show_time(milliseconds(200'000)) == "3 min 20 s");
  CHECK(show_time(milliseconds(18'120'000)) == "5 h 2 min");
  CHECK(show_speed(1.21) == "1.21 tokens/s");
  CHECK(show_speed(118.4) == "118 tokens/s");
  CHECK(show_count(1, "token") == "1 token");
  CHECK(show_count(0, "token") == "0 tokens");
}

TEST_CASE("text from elsewhere cannot steer the terminal") {
  CHECK(printable("a\x1b[2Jb\n\tc\x7f") == "a?[2Jb\n\tc?");
}
