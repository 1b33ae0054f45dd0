// The engine against the reference implementation, on every form of checkpoint, through every ISA
// and every way of bringing a prompt through the layers.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/engine/golden_compare.hpp"

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

// Sanitizers and the plain definition are slow: long prompts are left to the others.
constexpr std::size_t any_length = HEARTH_SANITIZED ? 70 : ~std::size_t{0};
std::size_t longest_for(Isa isa) {
  return isa == Isa::scalar ? std::min<std::size_t>(any_length, 200) : any_length;
}

}  // namespace

TEST_CASE("every checkpoint gives the reference's results in every mode") {
  for (const char* name :
       {"fp8", "fp8-odd-bf16-scales", "fp8-mtp-f16-scales", "bf16-mtp-single", "bf16-tied"}) {
    for (const GoldenMode& mode : golden_modes()) {
      const auto engine = load_golden_engine(data / name);
      CAPTURE(name);
      CAPTURE(mode.name());
      check(compare_golden(engine, data / name / "golden.safetensors", mode, any_length));
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
    options.isa = isa;
    for (const char* name :
         {"fp8", "fp8-odd-bf16-scales", "fp8-mtp-f16-scales", "bf16-mtp-single", "bf16-tied"}) {
      CAPTURE(kernels::name(isa));
      CAPTURE(name);
      const auto engine = load_golden_engine(data / name, options);
      check(compare_golden(engine, data / name / "golden.safetensors", {0, false, false},
                           longest_for(isa)));
    }
  }
}

TEST_CASE("the embedded checkpoint answers as the reference does") {
  for (const GoldenMode& mode :
       {GoldenMode{0, false, false}, GoldenMode{1, true, false}, GoldenMode{64, false, true}}) {
    const auto engine =
        load_golden_engine(std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember");
    CAPTURE(mode.name());
    const GoldenReport report = compare_golden(engine, data / "ember.safetensors", mode);
    check(report);
    CHECK(report.prompts == 11);
  }
}

}  // namespace hearth::tests
