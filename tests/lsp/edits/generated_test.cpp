// A seeded program edits real files as a model would, spoils the answer in the ways of models, and
// lets a person change the document meanwhile. What comes out is right to the byte, or refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"
#include "tests/lsp/edits/generated_answers.hpp"

namespace hearth::lsp::test {
namespace {

constexpr std::array<const char*, 24> files{
    "Account.java", "Button.tsx", "Cache.kt",  "Matrix.scala", "Parser.hs",    "Playlist.swift",
    "Router.php",   "Shelf.cs",   "arena.zig", "cart.js",      "compose.yaml", "deploy.sh",
    "guide.md",     "list.lua",   "page.html", "queue.rb",     "ring.rs",      "server.go",
    "service.toml", "shapes.cpp", "site.css",  "stack.c",      "stats.py",     "tree.ml"};
// For each file.
int rounds() {
  if (std::getenv("HEARTH_LONG") != nullptr) return 2000;
  return HEARTH_SANITIZED != 0 ? 25 : 80;
}

struct Tally {
  std::size_t right = 0;
  std::size_t refused = 0;
};

}  // namespace

TEST_CASE("generated answers become the right text to the byte, or are refused") {
  std::map<std::string, Tally> tallies;
  std::size_t total = 0;
  std::uint64_t seed = 0;
  for (const char* name : files) {
    for (int round = 0; round < rounds(); ++round) {
      Random random(++seed);
      const bool hunks = random.one_in(2);
      const Fault fault = hunks ? hunk_faults[random.below(hunk_faults.size())]
                                : whole_faults[random.below(whole_faults.size())];
      const auto move = static_cast<Move>(random.below(3));
      const AnswerForm form = hunks ? AnswerForm::hunks : AnswerForm::whole_code;
      const auto made = generate(name, form, fault, move, random);
      if (!made) continue;
      const World& world = made->world;
      const SnapshotPtr now =
          snapshot(world.base->uri, composed(world.bom, world.slots, false, true), "", 2);
      const auto result = assemble(form, made->answer, fault != Fault::cut, {&world.target, 1},
                                   [&](const std::string&) { return now; });
      const std::string told =
          std::string(hunks ? "hunks: " : "whole: ") + fault_names[static_cast<std::size_t>(fault)];
      CAPTURE(seed);
      CAPTURE(std::string(name));
      CAPTURE(told);
      CAPTURE(static_cast<int>(move));
      CAPTURE(world.target.text);
      CAPTURE(made->answer);
      ++total;
      Tally& tally =
          tallies[move == Move::overlapping ? "any, and the same lines changed since" : told];
      if (const auto* refusal = std::get_if<Refusal>(&result)) {
        ++tally.refused;
        CHECK_FALSE(refusal->reason.empty());
        if (is_harmless(fault) && move != Move::overlapping) {
          FAIL_CHECK("refused: " << refusal->reason << "\n"
                                 << made->answer << "\n--- now\n"
                                 << now->text->str());
        }
        continue;
      }
      ++tally.right;
      CHECK_FALSE(must_be_refused(fault));
      // What was inserted beside a line that has changed may be apart from it in another reading.
      const bool rewrites = std::ranges::any_of(world.slots, [](const Slot& slot) {
        return slot.person.text && (slot.model.text || slot.model.removed);
      });
      CHECK_FALSE(rewrites);
      const auto& edits = std::get<std::vector<FileEdit>>(result);
      REQUIRE(edits.size() == 1);
      CHECK(edited(now->text->str(), edits[0].edits) == made->expected);
    }
  }
  for (const auto& [what, tally] : tallies) {
    MESSAGE(what << ": " << tally.right << " right, " << tally.refused << " refused");
  }
  MESSAGE(total << " in all");
  CHECK(total >= 300);
}

}  // namespace hearth::lsp::test
