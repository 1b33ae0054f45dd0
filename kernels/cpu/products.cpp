// See products.hpp.
#include "kernels/cpu/products.hpp"

#include <algorithm>

#include "kernels/cpu/operands.hpp"

namespace hearth::kernels::cpu {
namespace {

// Activation rows of one piece of a product: few enough to stay in a core's cache.
constexpr std::int64_t product_rows = 64;

}  // namespace

void Products::canonical(std::span<const MatMul> products) {
  for (const MatMul& m : products) {
    const int rows = m.rows;
    const Product whole{.weights = weights(m.w),
                        .first = 0,
                        .last = m.w.rows(),
                        .x = at("matmul: x", m.x, rows * m.w.cols()),
                        .x_stride = m.w.cols(),
                        .y = at("matmul: y", m.y, rows * m.w.rows()),
                        .y_stride = m.w.rows(),
                        .rows = rows};
    const auto run = table_.product[format(m.w.type())];
    // A piece takes some weight rows and some activation rows; neighbours share the weights.
    const std::int64_t blocks = std::max<std::int64_t>(1, divide_up(rows, product_rows));
    const std::int64_t block = divide_up(rows, blocks);
    const std::int64_t per_piece =
        share(m.w.rows() * blocks, block * m.w.cols(), piece_work_, pool_.threads());
    const std::int64_t pieces = divide_up(m.w.rows(), per_piece);
    pool_.run(pieces * blocks, [&](std::int64_t piece) {
      Product p = whole;
      p.first = piece / blocks * per_piece;
      p.last = std::min(m.w.rows(), p.first + per_piece);
      const std::int64_t row = piece % blocks * block;
      p.rows = std::min<std::int64_t>(block, rows - row);
      p.x += row * p.x_stride;
      p.y += row * p.y_stride;
      run(p);
    });
  }
}

}  // namespace hearth::kernels::cpu
