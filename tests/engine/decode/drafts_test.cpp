// Drafts of the next tokens: what is copied, and when it is worth it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "engine/decode/drafts.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using Source = DraftLength::Source;

TEST_CASE("what stood behind the same tokens before is drafted again") {
  PromptLookup lookup;
  const std::vector<TokenId> before{1, 2, 3, 4, 5, 6, 7, 9, 3, 4, 5, 8};
  lookup.append(before);
  CHECK(lookup.draft(4).tokens.empty());  // 4 5 8 is new
  lookup.append(std::vector<TokenId>{2, 3, 4, 5});
  const PromptLookup::Draft draft = lookup.draft(3);
  CHECK(draft.matched == 4);  // 2 3 4 5, longer than 3 4 5
  CHECK(draft.tokens == std::vector<TokenId>{6, 7, 9});
  CHECK(lookup.draft(0).tokens.empty());
}

TEST_CASE("of equally long matches the latest one counts, and a run goes on as a run") {
  PromptLookup lookup;
  lookup.append(std::vector<TokenId>{1, 2, 3, 10, 1, 2, 3, 11, 0, 1, 2, 3});
  CHECK(lookup.draft(1).tokens == std::vector<TokenId>{11});
  PromptLookup run;
  run.append(std::vector<TokenId>{5, 5, 5, 5, 5});
  CHECK(run.draft(4).tokens.front() == 5);
}

TEST_CASE("a copied text with one change is drafted again soon behind the change") {
  std::vector<TokenId> text(60);
  std::iota(text.begin(), text.end(), 100);
  PromptLookup lookup;
  lookup.append(text);
  lookup.append(std::vector<TokenId>{1, 2});
  std::size_t right = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const TokenId token = i == 30 ? 7 : text[i];
    const PromptLookup::Draft draft = lookup.draft(1);
    if (!draft.tokens.empty() && draft.tokens.front() == token) ++right;
    lookup.append(std::span(&token, 1));
  }
  CHECK(right >= 60 - 2 * 4);
}

TEST_CASE("long drafts where they come true and rows are cheap, none where they do not pay") {
  DraftLength cheap(8);
  for (int i = 0; i < 50; ++i) {
    cheap.record(Source::long_match, 0, 0, 1.0);
    cheap.record(Source::long_match, 8, 8, 1.4);
  }
  CHECK(cheap.choose(Source::long_match) == 8);
  CHECK(cheap.gain(Source::long_match, 8) > 4);

  DraftLength wrong(8);
  for (int i = 0; i < 50; ++i) {
    wrong.record(Source::short_match, 0, 0, 1.0);
    wrong.record(Source::short_match, 4, 0, 1.4);
  }
  int probes = 0;
  for (int i = 0; i < 100; ++i) probes += static_cast<int>(wrong.choose(Source::short_match));
  CHECK(probes <= 100 / 24 + 1);
  CHECK(probes >= 1);

  DraftLength dear(8);  // a row costs what a pass costs: only waste
  for (int i = 0; i < 50; ++i) {
    dear.record(Source::mtp, 0, 0, 1.0);
    dear.record(Source::mtp, 2, 1, 3.0);
  }
  int tried = 0;
  for (int i = 0; i < 23; ++i) tried += static_cast<int>(dear.choose(Source::mtp));
  CHECK(tried <= 1);

  DraftLength off(0);
  CHECK(off.choose(Source::long_match) == 0);
}

// A model whose passes and drafts are as a test says, in units of a pass over one row.
struct Model {
  double right = 0;  // chance that a draft is accepted
  double row = 0;    // what a row more costs, of a pass
  std::mt19937 random{7};

  // Writes `count` tokens, a draft before each of them; how long that took.
  double write(DraftLength& length, Source source, std::size_t count) {
    std::bernoulli_distribution comes_true(right);
    double spent = 0;
    for (std::size_t written = 0; written < count;) {
      const std::size_t drafted = length.choose(source);
      std::size_t accepted = 0;
      while (accepted < drafted && comes_true(random)) ++accepted;
      const double seconds = 1 + row * static_cast<double>(drafted);
      length.record(source, drafted, accepted, seconds);
      spent += seconds;
      written += accepted + 1;
    }
    return spent;
  }
};

TEST_CASE("drafts cost next to nothing where they do not pay, and pay where they can") {
  constexpr double tokens = 2000;
  for (const Source source :
       {Source::short_match, Source::long_match, Source::mtp, Source::small_model}) {
    for (const double right : {0.0, 0.3, 0.6, 0.9}) {
      for (const double row : {0.05, 0.3, 0.75, 1.0, 1.75}) {
        CAPTURE(right);
        CAPTURE(row);
        DraftLength length(8);
        Model model{right, row};
        const double spent = model.write(length, source, 2000);
        CHECK(spent <= 1.08 * tokens);
        // The best that a fixed length gives.
        double best = 1;
        for (int drafted = 1; drafted <= 8; ++drafted) {
          const double kept = (1 - std::pow(right, drafted + 1)) / (1 - right);
          best = std::max(best, kept / (1 + row * drafted));
        }
        CHECK(tokens / spent >= 0.85 * best);
      }
    }
  }
}

TEST_CASE("what pays is noticed when it changes, also where every pass has drafts") {
  DraftLength length(8);
  Model cheap{0.9, 0.1};
  CHECK(cheap.write(length, Source::mtp, 2000) < 2000 / 2.5);
  Model dear{0.9, 1.5};  // say, experts that must now be read from disk
  dear.write(length, Source::mtp, 400);
  CHECK(dear.write(length, Source::mtp, 2000) < 1.08 * 2000);
  Model wrong{0.05, 0.1};
  wrong.write(length, Source::mtp, 400);
  CHECK(wrong.write(length, Source::mtp, 2000) < 1.08 * 2000);
  cheap.write(length, Source::mtp, 1000);
  CHECK(cheap.write(length, Source::mtp, 2000) < 2000 / 2.5);
}

TEST_CASE("a fixed length holds for its source alone, whatever is recorded") {
  DraftLength length = DraftLength::fixed(Source::small_model, 3);
  for (int i = 0; i < 50; ++i) {
    CHECK(length.choose(Source::small_model) == 3);
    CHECK(length.choose(Source::long_match) == 0);
    length.record(Source::small_model, 3, 0, 1.0);
  }
}

TEST_CASE("what a draft token costs is known once it was measured beside a pass without") {
  DraftLength length(8);
  CHECK_FALSE(length.cost(Source::small_model));
  length.record(Source::small_model, 2, 1, 3.0);
  CHECK_FALSE(length.cost(Source::small_model));
  length.record(Source::small_model, 0, 0, 2.0);
  length.record(Source::small_model, 2, 1, 3.0);
  CHECK(*length.cost(Source::small_model) == doctest::Approx(0.25));
}

TEST_CASE("what a draft of one source costs is not laid on another") {
  DraftLength length(8);
  length.record(Source::mtp, 0, 0, 1.0);
  for (int i = 0; i < 20; ++i) {
    length.record(Source::mtp, 2, 0, 4.0);
    length.record(Source::long_match, 8, 8, 1.8);
    length.record(Source::long_match, 0, 0, 1.0);
  }
  CHECK(length.choose(Source::long_match) == 8);
  CHECK(length.choose(Source::mtp) == 0);
}

}  // namespace
}  // namespace hearth::tests
