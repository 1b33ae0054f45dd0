// `hearth plan`, and sizes on the command line.
#include <doctest/doctest.h>

#include "daemon/commands/arguments.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;

namespace {

// With the lines joined that were broken for the terminal's width.
std::string joined(std::string out) {
  for (std::size_t at = 0; (at = out.find("\n    ", at)) != std::string::npos;) {
    out.replace(at, 5, " ");
  }
  return out;
}

constexpr const char* described = "plan --memory 50G/s --disk 3.5G/s --arithmetic 500G/s ";

}  // namespace

TEST_CASE("a machine that is described whole gets the same plan each time") {
  const Home home;
  const Finished first = home.hearth(described + std::string("--ram 32G"));
  CAPTURE(first.out);
  CHECK(first.code == 0);
  CHECK(first.err.empty());
  CHECK(home.hearth(described + std::string("--ram 32G")).out == first.out);
  CHECK(contains(first.out, "Described: --ram 32G, --memory 50G/s, "));
  CHECK_FALSE(contains(first.out, "Measured here"));
  CHECK(contains(first.out, "tokens/s"));
}

TEST_CASE("what was not described is measured here, and the plan says so") {
  const Home home;
  const Finished plan = home.hearth("plan --ram 32G --disk 3.5G/s");
  CAPTURE(plan.out);
  CHECK(plan.code == 0);
  const std::size_t here = plan.out.find("Measured here: memory ");
  REQUIRE(here != std::string::npos);
  CHECK(contains(plan.out.substr(0, here), "--disk 3.5G/s"));
  CHECK_FALSE(contains(plan.out.substr(here, plan.out.find("\n\n")), "disk"));
}

TEST_CASE("checkpoints that come to the same share their rows") {
  const Home home;
  const std::string out = home.hearth(described + std::string("--ram 32G")).out;
  CHECK(contains(out, "Qwen3-Coder-Next-FP8, Qwen3-Next-80B-A3B-Instruct-FP8 and -Thinking-FP8:"));
}

TEST_CASE("what does not fit has an exit code of its own") {
  const Home home;
  const Finished none = home.hearth(described + std::string("--ram 1G"));
  CAPTURE(none.out);
  CHECK(none.code == 3);
  CHECK(contains(none.out, "does not fit"));
  const Finished ember =
      home.hearth(described + std::string("--ram 1M " HEARTH_SOURCE_DIR "/engine/ember"));
  CHECK(ember.code == 3);
  CHECK(home.hearth(described + std::string("--ram 8G " HEARTH_SOURCE_DIR "/engine/ember")).code ==
        0);
}

TEST_CASE("sizes and speeds without a unit, or beyond what can be meant, are refused") {
  const Home home;
  for (const char* arguments :
       {"--ram 32", "--ram 0G", "--ram 4000T", "--ram lots", "--ram -5G", "--memory 50",
        "--memory 0G/s", "--disk 3.5", "--disk 1K/s", "--arithmetic 5000T/s", "--ram ''"}) {
    CAPTURE(arguments);
    const Finished finished = home.hearth(std::string("plan ") + arguments);
    CHECK(finished.code == 2);
    CHECK(finished.out.empty());
    CHECK(finished.err.starts_with("hearth: "));
  }
  const Finished without = home.hearth("plan --ram 28");
  CHECK(without.err ==
        "hearth: --ram: 28: a size with its unit is expected, such as 28G (`hearth plan --help` "
        "shows how)\n");
  for (const char* copy : {"", "--copy "}) {
    CHECK(contains(home.hearth(std::string("bench --experts-memory 2 ") + copy).err,
                   "--experts-memory: 2: a size with its unit is expected"));
  }
  const auto number = [](std::string (*change)(std::string&), std::string text) {
    CHECK(change(text) == "");
    return text;
  };
  CHECK(number(to_bytes, "28G") == std::to_string(std::uint64_t{28} << 30));
  CHECK(number(to_bytes, "1.5GiB") == std::to_string(std::uint64_t{3} << 29));
  CHECK(std::stod(number(to_rate, "3.5G/s")) == 3.5e9);
  CHECK(std::stod(number(to_rate, "3.5G")) == 3.5e9);
  for (const char* rate : {"3.5G/s", "1M/s", "500G/s", "12.25T/s"}) {
    CHECK(show_rate(std::stod(number(to_rate, rate))) == rate);
  }
}

TEST_CASE("a dense checkpoint has a plan without experts") {
  const Home home;
  const Finished plan =
      home.hearth(described + std::string("--ram 8G " HEARTH_SOURCE_DIR "/tests/golden/q35-fp8"));
  CAPTURE(plan.out);
  CHECK(plan.code == 0);
  CHECK(contains(plan.out, "always in memory, the MTP head included; it has no experts"));
  CHECK_FALSE(contains(plan.out, "hit rate"));
}

TEST_CASE("a plan of two says what both take, and what the second costs the first") {
  const Home home;
  const Finished plan = home.hearth(
      described + std::string("--ram 8G " HEARTH_SOURCE_DIR
                              "/engine/ember --inline " HEARTH_SOURCE_DIR "/tests/golden/q35-fp8"));
  CAPTURE(plan.out);
  CHECK(plan.code == 0);
  CHECK(contains(joined(plan.out), "/tests/golden/q35-fp8 for completions: "));
  CHECK(contains(joined(plan.out), "100 % of the experts in memory"));
  CHECK_FALSE(contains(plan.out, "Recommended"));
  const Finished alone =
      home.hearth(described + std::string("--ram 8G " HEARTH_SOURCE_DIR "/engine/ember"));
  CHECK_FALSE(contains(alone.out, "for completions"));
}

TEST_CASE("of the published checkpoints a pair is recommended where one fits") {
  const Home home;
  const std::string out = home.hearth(described + std::string("--ram 28G")).out;
  CAPTURE(out);
  CHECK(contains(out, "with Qwen3.5-0.8B for completions: "));
  CHECK(contains(out, "Recommended here: Qwen3.6-35B-A3B-FP8"));
  CHECK_FALSE(contains(home.hearth(described + std::string("--ram 3G")).out, "Recommended"));
}
