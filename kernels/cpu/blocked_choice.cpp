// See blocked_choice.hpp.
#include "kernels/cpu/blocked_choice.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace hearth::kernels::cpu {
namespace {

// A panel and a rest of weight rows, a block and an odd rest of columns, more rows than a tile has.
constexpr int weight_rows = panel_rows + 3;
constexpr int columns = blocked_columns + 37;
constexpr int activation_rows = 15;
constexpr int blocks = 2;

std::uint32_t next(std::uint32_t& seed) {
  return seed = seed * 1664525u + 1013904223u;
}

std::vector<float> product(const BlockedTable& table, int format) {
  std::uint32_t seed = 11;
  // Codes of any format that are neither NaN nor infinite.
  std::vector<std::byte> codes(weight_rows * columns * 4);
  for (std::byte& code : codes) code = static_cast<std::byte>((next(seed) >> 24) & 0xbbu);
  std::vector<float> x(activation_rows * columns);
  for (float& value : x) value = static_cast<float>(next(seed) >> 8) * 0x1p-23f - 1.0f;
  const float scales[blocks] = {0.5f, 1.25f};

  struct alignas(64) Block {
    std::byte bytes[activation_rows * packed_bytes];
  };
  std::vector<Block> packed(blocks);
  for (int b = 0; b < blocks; ++b)
    table.pack[format]({.x = x.data() + b * blocked_columns,
                        .x_stride = columns,
                        .rows = activation_rows,
                        .columns = std::min(blocked_columns, columns - b * blocked_columns),
                        .to = packed[static_cast<std::size_t>(b)].bytes});
  std::vector<float> y(activation_rows * weight_rows);
  table.product[format]({.weights = {.data = codes.data(),
                                     .cols = columns,
                                     .stride = columns,
                                     .scales = scales,
                                     .scale_stride = blocks},
                         .first = 0,
                         .last = weight_rows,
                         .x = packed.front().bytes,
                         .x_stride = sizeof(Block),
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

struct Candidate {
  const char* name;
  const BlockedTable* table;
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

// The best first.
constexpr Candidate candidates[] = {
    {"avx512 vbmi", &avx512_vbmi_blocked, Isa::avx512, has_vbmi},
    {"avx512", &avx512_blocked, Isa::avx512, always},
    {"avx2", &avx2_blocked, Isa::avx2, always},
};

}  // namespace

bool agrees(const BlockedTable& table, const BlockedTable& definition) {
  for (int format = 0; format < format_count; ++format)
    if (!same(product(table, format), product(definition, format))) return false;
  return true;
}

BlockedChoice choose_blocked(Isa isa, std::vector<std::string>& notes) {
  for (const Candidate& candidate : candidates) {
    if (candidate.isa > isa || !host_has(candidate.isa) || !candidate.host()) continue;
    if (agrees(*candidate.table, scalar_blocked))
      return {candidate.table, "f32", std::string(candidate.name) + " f32"};
    notes.push_back(std::string(candidate.name) +
                    ": blocked matmul differs from the scalar definition and is not used");
  }
  return {&scalar_blocked, "f32", "scalar f32"};
}

}  // namespace hearth::kernels::cpu
