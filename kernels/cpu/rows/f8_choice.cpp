// Measures both forms of AVX2's F8 product and chooses one.
#include "kernels/cpu/rows/f8_choice.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace hearth::kernels::cpu {
namespace {

constexpr std::int64_t rows = 64, columns = 2048;  // 128 KiB: about 20 us
// The quickest of so many, by turns: what else the machine does disturbs some, not all.
constexpr int runs = 25;

double seconds_of(const Product& product, const Table& table) {
  const auto begin = std::chrono::steady_clock::now();
  table.product[format_f8](product);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

F8Times time_f8(const Table& table) {
  std::vector<std::uint8_t> without(rows * columns);
  std::uint32_t seed = 1;
  const auto next = [&seed] { return seed = seed * 1664525u + 1013904223u; };
  for (std::uint8_t& code : without) code = static_cast<std::uint8_t>((next() >> 24 & 0x87) | 0x38);
  std::vector<std::uint8_t> with = without;
  for (std::size_t i = 0; i < with.size() / 1000; ++i)
    with[std::size_t{next()} * with.size() >> 32] = 0x03;

  const std::vector<float> x(columns, 0.5f), scales(columns / scale_block, 1.0f);
  std::vector<float> packed(static_cast<std::size_t>(packed_size(columns))), y(rows);
  table.pack_activations[format_f8](x.data(), packed.data(), columns);
  Product product{.weights = {.data = nullptr,
                              .cols = columns,
                              .stride = columns,
                              .scales = scales.data(),
                              .scale_stride = columns / scale_block},
                  .first = 0,
                  .last = rows,
                  .x = packed.data(),
                  .x_stride = packed_stride(columns),
                  .y = y.data(),
                  .y_stride = rows,
                  .rows = 1};
  F8Times best{.without = 1, .with = 1};
  for (int run = 0; run < runs; ++run) {
    product.weights.data = without.data();
    best.without = std::min(best.without, seconds_of(product, table));
    product.weights.data = with.data();
    best.with = std::min(best.with, seconds_of(product, table));
  }
  return best;
}

F8Times f8_times_of_host() {
  static const F8Times times = time_f8(avx2_table);
  return times;
}

std::vector<NamedTable> avx2_tables(const F8Times& times) {
  std::vector<NamedTable> result = {{"avx2", &avx2_table}};
  if (subnormals_are_dear(times))
    result.insert(result.begin(), {"avx2 with F8 through F16", &avx2_f16_table});
  return result;
}

}  // namespace hearth::kernels::cpu
