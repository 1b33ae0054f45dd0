// The engine against the reference implementation, on every form of checkpoint, through every ISA
// and every way of bringing a prompt through the layers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/engine/golden_compare.hpp"
#include "tests/short_run.hpp"

namespace hearth::tests {
namespace {

using kernels::Isa;

const std::filesystem::path data = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

void check(const GoldenReport& report) {
  for (const std::string& miss : report.misses) FAIL_CHECK(miss);
  CHECK(report.prompts > 0);
  CHECK(report.logits <= golden_tolerance);
  CHECK(report.hidden <= golden_tolerance);
  CHECK(report.mtp <= golden_tolerance);
}

// The first family, then the second: experts in FP8 by blocks and by rows, fused, no experts at
// all.
const std::vector<const char*> checkpoints = {
    "fp8",        "fp8-odd-bf16-scales", "fp8-mtp-f16-scales", "bf16-mtp-single", "bf16-tied",
    "q35moe-fp8", "q35moe-bf16-fused",   "q35moe-text",        "q35moe-channel",  "q35-tied",
    "q35-fp8"};

// Sanitizers are slow, and what they look for hardly depends on the pair: with them, a checkpoint
// has two modes, and so every mode several checkpoints; in a short run it has one. In an ordinary
// run the second family, which differs in how it is read, not in what is computed, has two; else
// all are tried.
bool tried(std::size_t checkpoint, std::size_t mode) {
  constexpr std::size_t first_family = 5;
  const bool is_whole = !HEARTH_SANITIZED && !is_short_run();
  if (is_whole && (checkpoint < first_family || std::getenv("HEARTH_LONG") != nullptr)) return true;
  const std::size_t modes = golden_modes().size();
  return mode == checkpoint % modes || (!is_short_run() && mode == (checkpoint + 3) % modes);
}

// Sanitizers are slow: with them, prompts go a few tokens beyond a chunk of the delta rule.
constexpr std::size_t short_length = 70;
constexpr std::size_t any_length = HEARTH_SANITIZED ? short_length : ~std::size_t{0};

// So is the plain definition, which calls a function for every fused multiply-add (minutes on some
// processors). Every operation is held against it elsewhere; here it has a checkpoint of each
// format. A short run has two forms of the one that most processors have.
bool tried(Isa isa, const std::string& checkpoint) {
  if (is_short_run()) return isa == Isa::avx2 && (checkpoint == "fp8" || checkpoint == "bf16-tied");
  if (isa != Isa::scalar || std::getenv("HEARTH_LONG") != nullptr) return true;
  return checkpoint == "fp8" || checkpoint == "bf16-mtp-single" || checkpoint == "q35-tied";
}
std::size_t longest_for(Isa isa) {
  return isa == Isa::scalar ? short_length : any_length;
}

}  // namespace

TEST_CASE("every checkpoint gives the reference's results in every mode") {
  const std::vector<GoldenMode> modes = golden_modes();
  for (std::size_t checkpoint = 0; checkpoint < checkpoints.size(); ++checkpoint) {
    for (std::size_t mode = 0; mode < modes.size(); ++mode) {
      if (!tried(checkpoint, mode)) continue;
      const std::filesystem::path directory = data / checkpoints[checkpoint];
      CAPTURE(directory);
      CAPTURE(modes[mode].name());
      const auto runtime = load_golden_engine(directory);
      check(compare_golden(runtime, directory / "golden.safetensors", modes[mode],
                           {.longest = any_length}));
    }
  }
}

TEST_CASE("every ISA gives the reference's results") {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (!kernels::host_has(isa)) {
      MESSAGE("skipped: this host lacks " << kernels::name(isa));
      continue;
    }
    engine::EngineOptions options;
    options.host().isa = isa;
    for (const char* name : checkpoints) {
      if (!tried(isa, name)) continue;
      CAPTURE(kernels::name(isa));
      CAPTURE(name);
      const auto runtime = load_golden_engine(data / name, options);
      check(compare_golden(runtime, data / name / "golden.safetensors", {0, false, false},
                           {.longest = longest_for(isa)}));
    }
  }
}

TEST_CASE("the embedded checkpoint answers as the reference does") {
  std::vector<GoldenMode> modes = {{0, false, false}, {64, false, true}};
  if (!HEARTH_SANITIZED) modes.push_back({1, true, false});  // decoding takes that way, too
  for (const GoldenMode& mode : modes) {
    const auto runtime =
        load_golden_engine(std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember");
    CAPTURE(mode.name());
    const GoldenReport report = compare_golden(runtime, data / "ember.safetensors", mode);
    check(report);
    CHECK(report.prompts == 11);
  }
}

}  // namespace hearth::tests
