// The engine on AMX's GEMMs with tiles in software, against the reference
// implementation: what a processor with AMX answers is known on every machine. One prompt of two
// checkpoints, with HEARTH_LONG all of every one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cpu/gemm/choice.hpp"
#include "tests/engine/golden_compare.hpp"
#include "tests/kernels/gemm/software_tables.hpp"

namespace hearth::tests {
namespace {

const std::filesystem::path source = HEARTH_SOURCE_DIR;
const std::filesystem::path golden = source / "tests/golden";

GoldenReport compare(const std::filesystem::path& checkpoint, const std::filesystem::path& data,
                     const kernels::cpu::GemmTable& table, const GoldenPrompts& prompts) {
  const kernels::cpu::ForcedChoice forced({&table, "in parts", "tiles in software"});
  return compare_golden(load_golden_engine(checkpoint), data, {}, prompts);
}

void check(const std::filesystem::path& checkpoint, const std::filesystem::path& data,
           const GoldenPrompts& prompts) {
  CAPTURE(checkpoint);
  const GoldenReport report = compare(checkpoint, data, kernels::test::software_tiles, prompts);
  for (const std::string& miss : report.misses) FAIL_CHECK(miss);
  CHECK(report.prompts > 0);
  CHECK(report.logits > 0);
  CHECK(report.logits <= golden_tolerance);
  CHECK(report.hidden <= golden_tolerance);
  CHECK(report.mtp <= golden_tolerance);
}

constexpr std::size_t single = 2;  // of bf16-mtp-single
constexpr std::size_t ember = 9;

// Of every activation the high part alone: tiles of low, middle and high parts by turns.
void high_parts(const kernels::cpu::Packing& p) {
  constexpr std::size_t tile = 1024, tiles_of_16_rows = 4;
  kernels::test::software_tiles.pack[kernels::cpu::format_bf16](p);
  const std::size_t tiles = static_cast<std::size_t>(p.rows + 15) / 16 * tiles_of_16_rows;
  for (std::size_t i = 0; i < tiles; ++i) std::memset(p.to + 3 * i * tile, 0, 2 * tile);
}

}  // namespace

TEST_CASE("AMX's products give the reference's results") {
  const std::filesystem::path directory = golden / "bf16-mtp-single";
  check(directory, directory / "golden.safetensors", {.only = single});
  check(source / "engine/ember", golden / "ember.safetensors", {.only = ember});
}

TEST_CASE("AMX's products give the reference's results for every prompt of every checkpoint") {
  if (std::getenv("HEARTH_LONG") == nullptr) {
    MESSAGE("skipped: HEARTH_LONG is not set");
    return;
  }
  for (const char* name :
       {"fp8", "fp8-odd-bf16-scales", "fp8-mtp-f16-scales", "bf16-mtp-single", "bf16-tied",
        "q35moe-fp8", "q35moe-bf16-fused", "q35moe-text", "q35moe-channel", "q35-tied", "q35-fp8"})
    check(golden / name, golden / name / "golden.safetensors", {});
  check(source / "engine/ember", golden / "ember.safetensors", {});
}

TEST_CASE("two parts of BF16 do not, and the difference names the closest pick on its way") {
  const std::filesystem::path directory = golden / "bf16-mtp-single";
  const GoldenReport report = compare(directory, directory / "golden.safetensors",
                                      kernels::test::software_two_parts, {.only = single});
  CHECK(report.logits > golden_tolerance);
  CHECK(report.mtp > golden_tolerance);
  REQUIRE_FALSE(report.misses.empty());
  const std::string& miss = report.misses.front();
  CAPTURE(miss);
  CHECK(miss.find("prompt 2 (whole): logits differ by 0.0005") == 0);
  // No pick fell the other way: it is the products that are not exact enough.
  CHECK(miss.find("in row 2; the smallest router gap on the way is 0.011, in layer 2 for row 2, "
                  "where the same experts were picked") != std::string::npos);
}

TEST_CASE("a pick that fell the other way is named with the difference that it made") {
  const std::filesystem::path directory = golden / "bf16-mtp-single";
  kernels::cpu::GemmTable table = kernels::test::software_tiles;
  table.pack[kernels::cpu::format_bf16] = high_parts;
  const GoldenReport report = compare(directory, directory / "golden.safetensors", table, {});
  const bool named = std::ranges::any_of(report.misses, [](const std::string& miss) {
    return miss.find("logits differ") != std::string::npos &&
           miss.ends_with("where other experts were picked");
  });
  CHECK(named);
}

}  // namespace hearth::tests
