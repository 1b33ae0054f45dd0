// What is foretold of work to come: costs of reading and writing, lengths of answers.
#include "daemon/models/estimate.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace hearth::daemon;

namespace {

Writing up_to(std::int64_t max, std::string_view action = {}) {
  return {action, true, {0, max}, {}};
}

}  // namespace

TEST_CASE("nothing measured, nothing foretold") {
  const Estimates estimates;
  CHECK_FALSE(estimates.first_token({100, 0}));
  CHECK_FALSE(estimates.end({100, 0}));
  CHECK(estimates.first_token({0, 100})->mean == 0);  // nothing is to be read
  CHECK_FALSE(ReadingCost(256).seconds(10, 0));
  CHECK_FALSE(WritingCost().seconds({10}));
}

TEST_CASE("uncertainties of what follows each other add up as squares do") {
  const Forecast sum = Forecast{10, 3, 4} + Forecast{20, 4, 3};
  CHECK(sum.mean == 30);
  CHECK(sum.from() == doctest::Approx(25));
  CHECK(sum.to() == doctest::Approx(35));
}

TEST_CASE("a pass, its rows and what is before them each have their cost") {
  const auto truth = [](double rows, double before) {
    return 0.5 + 0.01 * rows + 1e-6 * rows * (before + rows / 2);
  };
  ReadingCost cost(256);
  for (int i = 0; i < 10; ++i) {
    for (const double rows : {256.0, 256.0, 30.0, 100.0}) {
      const double before = 700.0 * (i % 5);
      cost.add(rows, before, truth(rows, before));
    }
  }
  CHECK(cost.seconds(20, 0)->mean == doctest::Approx(truth(20, 0)).epsilon(0.03));
  CHECK(cost.seconds(250, 3000)->mean == doctest::Approx(truth(250, 3000)).epsilon(0.03));
  double long_one = 0;
  for (int pass = 0; pass < 8; ++pass) long_one += truth(256, 256 * pass);
  CHECK(cost.seconds(2048, 0)->mean == doctest::Approx(long_one).epsilon(0.03));
  CHECK(cost.seconds(0, 3000)->mean == 0);
}

TEST_CASE("passes of one size foretell passes of that size, and nothing costs less than nothing") {
  ReadingCost cost(256);
  for (int i = 0; i < 20; ++i) cost.add(256, 0, 3);
  CHECK(cost.seconds(256, 0)->mean == doctest::Approx(3).epsilon(0.01));
  const double few = cost.seconds(16, 0)->mean;
  CHECK(few > 0);
  CHECK(few < 3);
  // The more rows, the faster, which is none of the terms.
  for (int i = 0; i < 20; ++i) cost.add(16, 0, 5);
  CHECK(cost.seconds(1, 0)->mean >= 0);
  CHECK(cost.seconds(4096, 100'000)->mean >= 0);
}

TEST_CASE("a machine that became slower is believed soon") {
  ReadingCost cost(256);
  for (int i = 0; i < 200; ++i) cost.add(256, 0, 1);
  for (int i = 0; i < 100; ++i) cost.add(256, 0, 4);
  CHECK(cost.seconds(256, 0)->mean == doctest::Approx(4).epsilon(0.2));
  const Forecast steady = *cost.seconds(256, 0);
  for (int i = 0; i < 20; ++i) cost.add(256, 0, i % 2 == 0 ? 3 : 6);
  CHECK(cost.seconds(256, 0)->above > steady.above);  // what jumps is less certain
}

TEST_CASE("a pass is timed with its checkpoints, and only if it was seen whole") {
  Estimates estimates;
  PassTimer timer;
  timer.add(estimates, {0, 0, 0, 128, 1});
  timer.add(estimates, {0, 256, 128, 256, 1});
  CHECK_FALSE(estimates.first_token({256, 0}));
  timer.add(estimates, {256, 256, 256, 256, 2});  // a checkpoint
  timer.end(estimates);
  CHECK(estimates.first_token({256, 0})->mean == doctest::Approx(4).epsilon(0.01));
  Estimates others;
  PassTimer later;
  later.add(others, {0, 256, 128, 256, 1});  // somebody else read the first half
  later.end(others);
  CHECK_FALSE(others.first_token({256, 0}));
}

TEST_CASE("a pass is timed with the parts of its layers behind which nothing more is read") {
  Estimates estimates;
  PassTimer timer;
  timer.add(estimates, {0, 0, 0, 64, 1});
  timer.add(estimates, {0, 0, 64, 64, 2});
  timer.add(estimates, {0, 0, 64, 128, 1});
  timer.add(estimates, {0, 256, 128, 256, 1});
  timer.add(estimates, {256, 256, 256, 256, 3});  // its checkpoint
  timer.end(estimates);
  CHECK(estimates.first_token({256, 0})->mean == doctest::Approx(8).epsilon(0.01));
}

TEST_CASE("answers are expected to be as long as those of their action were") {
  Lengths lengths;
  CHECK(lengths.left(up_to(512)).to() == 512);
  CHECK(lengths.left(up_to(512)).from() == 1);
  for (int i = 0; i < 20; ++i) {
    lengths.add("explain", true, {0, 100 + i});
    lengths.add("fix", true, {0, 30});
  }
  const Forecast explain = lengths.left(up_to(512, "explain"));
  CHECK(explain.mean == doctest::Approx(109.5));
  CHECK(explain.from() >= 100);
  CHECK(explain.to() < 140);
  CHECK(lengths.left(up_to(512, "fix")).mean == 30);
  CHECK(lengths.left(up_to(16, "explain")).mean == 16);
  // One that is new is like all of its kind.
  CHECK(lengths.left(up_to(512, "review")).mean == doctest::Approx((109.0 + 30) / 2).epsilon(0.1));
  CHECK(lengths.left({"", false, {0, 64}, {}}).to() == 64);  // completions are another kind
}

TEST_CASE("few answers make a wide range, and shorter ones say nothing of a longer one") {
  Lengths lengths;
  for (const std::int64_t length : {50, 100, 150}) lengths.add("explain", true, {0, length});
  const Forecast few = lengths.left(up_to(512, "explain"));
  CHECK(few.mean == 100);
  CHECK(few.from() < 50);
  CHECK(few.to() > 150);
  Writing begun = up_to(512, "explain");
  begun.written.answer = 120;
  CHECK(lengths.left(begun).mean == 30);
  begun.written.answer = 200;  // none was as long
  const Forecast longest = lengths.left(begun);
  CHECK(longest.mean > 1);
  CHECK(longest.to() == 312);
  begun.written.answer = 512;
  CHECK(lengths.left(begun).mean == 1);
}

TEST_CASE("a thought and its answer are expected together, and the answer alone behind it") {
  Lengths lengths;
  for (int i = 0; i < 20; ++i) lengths.add("fix", true, {200, 40});
  Writing writing{"fix", true, {2048, 512}, {}};
  CHECK(lengths.left(writing).mean == 240);
  writing.written.thought = 150;
  CHECK(lengths.left(writing).mean == 90);
  writing.max.thought = 100;  // where less is allowed
  writing.written.thought = 0;
  CHECK(lengths.left(writing).mean == 140);
  writing.max.thought = 0;  // it is over
  writing.written = {200, 10};
  CHECK(lengths.left(writing).mean == 30);
}

TEST_CASE("names of actions are bounded in number and length") {
  Lengths lengths;
  const std::string far_too_long(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) lengths.add(far_too_long, true, {0, 77});
  for (int i = 0; i < 8; ++i) lengths.add("explain", true, {0, 10});
  for (std::size_t i = 0; i < 2 * Lengths::actions; ++i) {
    for (int k = 0; k < 8; ++k) lengths.add("other " + std::to_string(i), true, {0, 300});
  }
  // The oldest was forgotten, and is like all others now.
  CHECK(lengths.left(up_to(512, "explain")).mean == 300);
}

TEST_CASE("work takes as much longer as other engines had the cores lately") {
  Estimates estimates;
  estimates.read(100, 1, false);
  estimates.wrote(100, 10);
  const Work work{.unread = 200, .writing = {"explain", true, {0, 100}, {}}};
  const double first = estimates.first_token(work)->mean;
  const double end = estimates.end(work)->mean;
  CHECK(first == doctest::Approx(2));
  estimates.parked(11);
  CHECK(estimates.first_token(work)->mean == doctest::Approx(2 * first));
  CHECK(estimates.end(work)->mean == doctest::Approx(2 * end));
  CHECK(*estimates.decode_speed() == doctest::Approx(10));
  for (int i = 0; i < 200; ++i) estimates.wrote(100, 10);
  CHECK(estimates.end(work)->mean == doctest::Approx(end).epsilon(0.01));
}

TEST_CASE("an answer's speed that was not as expected makes the next one's end less certain") {
  Estimates estimates;
  estimates.read(100, 1, false);
  for (std::size_t i = 0; i < 2 * Lengths::kept; ++i) {
    estimates.wrote(100, 10);
    estimates.answered({"explain", true, {0, 100}, 10, estimates.decode_speed()});
  }
  const Work work{.unread = 0, .writing = up_to(512, "explain")};
  const Forecast steady = *estimates.end(work);
  CHECK(steady.mean == doctest::Approx(10));
  for (int i = 0; i < 5; ++i) estimates.answered({"explain", true, {0, 100}, 16, 10.0});
  CHECK(estimates.end(work)->to() > steady.to());
  CHECK(*estimates.decode_speed() == doctest::Approx(10));
}
