// Chooses and checks the GEMM table of this host.
#include "kernels/cpu/gemm/choice.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace hearth::kernels::cpu {
namespace {

// A panel and a rest of weight rows, a block and an odd rest of columns, more rows than two tiles
// have.
constexpr int weight_rows = panel_rows + 3;
constexpr int columns = gemm_columns + 37;
constexpr int activation_rows = 35;
constexpr int blocks = 2;

std::uint32_t next(std::uint32_t& seed) {
  return seed = seed * 1664525u + 1013904223u;
}

struct Operands {
  std::vector<std::byte> codes;
  std::vector<float> x;
  float scales[blocks] = {0.5f, 1.25f};
};

Operands operands() {
  std::uint32_t seed = 11;
  Operands o{.codes = std::vector<std::byte>(weight_rows * columns * 4),
             .x = std::vector<float>(activation_rows * columns)};
  // Codes of any format that are neither NaN nor infinite.
  for (std::byte& code : o.codes) code = static_cast<std::byte>((next(seed) >> 24) & 0xbbu);
  for (float& value : o.x) value = static_cast<float>(next(seed) >> 8) * 0x1p-23f - 1.0f;
  return o;
}

// The same without signs, for a format whose sign is the highest bit of so many bytes.
Operands magnitudes(int code_bytes) {
  Operands o = operands();
  for (std::size_t i = 0; i < o.codes.size(); ++i)
    if (i % static_cast<std::size_t>(code_bytes) == static_cast<std::size_t>(code_bytes - 1))
      o.codes[i] &= std::byte{0x7f};
  for (float& value : o.x) value = std::abs(value);
  return o;
}

std::vector<float> product(const GemmTable& table, int format, const Operands& o) {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  const PackedRows& rows = table.packed[format];
  const std::int64_t block_bytes =
      (activation_rows + rows.group - 1) / rows.group * rows.group * rows.bytes;
  std::vector<Line> packed(static_cast<std::size_t>(blocks * block_bytes) / sizeof(Line));
  for (int b = 0; b < blocks; ++b)
    table.pack[format]({.x = o.x.data() + b * gemm_columns,
                        .x_stride = columns,
                        .rows = activation_rows,
                        .columns = std::min(gemm_columns, columns - b * gemm_columns),
                        .to = packed.front().bytes + b * block_bytes});
  std::vector<float> y(activation_rows * weight_rows);
  table.product[format]({.weights = {.data = o.codes.data(),
                                     .cols = columns,
                                     .stride = columns,
                                     .scales = o.scales,
                                     .scale_stride = blocks},
                         .first = 0,
                         .last = weight_rows,
                         .x = packed.front().bytes,
                         .x_stride = block_bytes,
                         .y = y.data(),
                         .y_stride = weight_rows,
                         .rows = activation_rows});
  return y;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) ||
           (std::isnan(x) && std::isnan(y));
  });
}

// Whether results in parts are as near to those in F32 as two such results are, measured by the
// sums of all magnitudes: 2^-19, where they come to 2^-22 and a part left out to 2^-17.
bool near(const std::vector<float>& a, const std::vector<float>& b,
          const std::vector<float>& magnitudes) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= 0x1p-19f * magnitudes[i])) return false;
  return true;
}

struct Candidate {
  const char* name;
  const GemmTable* table;
  Isa isa;
  bool (*host)();
};

bool always() {
  return true;
}
bool has_vbmi() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vbmi");
}

// The best first. There is none for AVX-512's own products of BF16 (VDPBF16PS): it does two
// multiply-adds where that of F32 does one, and three parts take three times as many: a loss.
constexpr Candidate candidates[] = {
    {"amx", &amx_gemm, Isa::amx, always},
    {"avx512 vbmi", &avx512_vbmi_gemm, Isa::avx512, has_vbmi},
    {"avx512", &avx512_gemm, Isa::avx512, always},
    {"avx2", &avx2_gemm, Isa::avx2, always},
};

std::optional<GemmChoice> forced_choice;

}  // namespace

bool agrees(const GemmTable& table) {
  for (int format = 0; format < format_count; ++format) {
    const Operands plain = operands(), positive = magnitudes(format == format_f8 ? 1 : 2);
    const std::vector<float> y = product(table, format, plain);
    const std::vector<float> f32 = product(scalar_gemm, format, plain);
    if (!table.in_parts || (format != format_bf16 && format != format_f8)) {
      if (!same(y, f32)) return false;
      continue;
    }
    // Sums of positive products show what is missing from them.
    const std::vector<float> max = product(scalar_gemm, format, positive);
    if (!near(y, f32, max) || !near(product(table, format, positive), max, max)) return false;
  }
  return true;
}

ForcedChoice::ForcedChoice(const GemmChoice& choice) {
  forced_choice = choice;
}
ForcedChoice::~ForcedChoice() {
  forced_choice.reset();
}

GemmChoice choose_gemm(Isa isa, std::vector<std::string>& notes) {
  if (forced_choice) return *forced_choice;
  const auto chosen = [](const char* name, const GemmTable* table) {
    const std::string definition = table->in_parts ? "bf16x3" : "f32";
    return GemmChoice{table, definition, name + (" " + definition)};
  };
  for (const Candidate& candidate : candidates) {
    if (candidate.isa > isa || !host_has(candidate.isa) || !candidate.host()) continue;
    if (agrees(*candidate.table)) return chosen(candidate.name, candidate.table);
    notes.push_back(std::string(candidate.name) +
                    ": GEMM differs from the scalar definition and is not used");
  }
  return chosen("scalar", &scalar_gemm);
}

}  // namespace hearth::kernels::cpu
