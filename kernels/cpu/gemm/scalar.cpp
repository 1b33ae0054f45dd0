// The definition of the GEMMs (see gemm.hpp), written to be read. The vector versions
// are held against it bit for bit. Nothing here is tuned.
#include <cmath>
#include <cstring>

#include "kernels/cpu/gemm/gemm.hpp"
#include "kernels/numeric.hpp"

namespace hearth::kernels::cpu {
namespace {

template <int format>
float weight(const Weights& w, std::int64_t row, std::int64_t column) {
  constexpr int size = format == format_f32 ? 4 : format == format_f8 ? 1 : 2;
  const auto* const from = static_cast<const std::byte*>(w.data) + (row * w.stride + column) * size;
  if constexpr (format == format_f8) return widen_f8(std::to_integer<std::uint8_t>(*from));
  if constexpr (format == format_f32) {
    float value;
    std::memcpy(&value, from, size);
    return value;
  }
  std::uint16_t code = 0;
  std::memcpy(&code, from, sizeof code);
  return format == format_f16 ? widen_f16(code) : widen_bf16(code);
}

void pack(const Packing& p) {
  for (std::int64_t r = 0; r < p.rows; ++r)
    std::memcpy(p.to + r * packed_bytes, p.x + r * p.x_stride,
                static_cast<std::size_t>(p.columns) * sizeof(float));
}

float packed(const GemmArguments& p, std::int64_t row, std::int64_t column) {
  float value;
  std::memcpy(&value,
              p.x + column / gemm_columns * p.x_stride + row * packed_bytes +
                  column % gemm_columns * static_cast<std::int64_t>(sizeof value),
              sizeof value);
  return value;
}

template <int format>
void product(const GemmArguments& p) {
  const Weights& w = p.weights;
  for (std::int64_t row = p.first; row < p.last; ++row)
    for (std::int64_t r = 0; r < p.rows; ++r) {
      float total = 0;
      for (std::int64_t begin = 0; begin < w.cols; begin += gemm_columns) {
        const std::int64_t end = begin + gemm_columns < w.cols ? begin + gemm_columns : w.cols;
        float sum = 0;
        for (std::int64_t c = begin; c < end; ++c)
          sum = std::fma(weight<format>(w, row, c), packed(p, r, c), sum);
        const float scale =
            format == format_f8 ? row_scales(w, row)[begin / scale_block * w.scale_step] : 1.0f;
        total = std::fma(sum, scale, total);
      }
      p.y[r * p.y_stride + row] = total;
    }
}

}  // namespace

constinit const GemmTable scalar_gemm = {
    .in_parts = false,
    .piece_work = 1 << 19,
    .pack = {pack, pack, pack, pack},
    .product = {product<format_f32>, product<format_f16>, product<format_bf16>, product<format_f8>},
};

}  // namespace hearth::kernels::cpu
