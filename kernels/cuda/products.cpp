// Sorts products by the kernel that computes them, and fills its parameters.
#include "kernels/cuda/products.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

namespace hearth::kernels::cuda {
namespace {

static_assert(gemv_threads == gemm_threads);

bool is_multiple(const void* address, std::size_t size) {
  return reinterpret_cast<std::uintptr_t>(address) % size == 0;
}

// A product, the kernel for it, and the results that one of its blocks of threads computes.
struct Chosen {
  Product product;
  const Kernel<Products>* kernel = nullptr;
  std::int64_t out = 0;
  std::int64_t rows = 0;
};

// One launch for each kernel, or for as many products as its parameters take.
void launch_all(Runtime& runtime, std::vector<Chosen> all) {
  std::ranges::stable_sort(all, {}, &Chosen::kernel);
  Products products;
  for (auto next = all.begin(); next != all.end();) {
    const Kernel<Products>& kernel = *next->kernel;
    Grid grid{.x = 0, .y = 0, .z = 1};
    for (products.count = 0;
         next != all.end() && next->kernel == &kernel && products.count < Products::max; ++next) {
      next->product.first = grid.x;
      grid.x += static_cast<unsigned>(divide_up(next->product.out, next->out));
      grid.y = std::max(grid.y, static_cast<unsigned>(divide_up(next->product.rows, next->rows)));
      products.product[products.count++] = next->product;
    }
    runtime.launch(kernel, grid, gemv_threads, products);
  }
}

// The products with a result, as parameters.
template <class Choose>
void launch_checked(Runtime& runtime, std::span<const MatMul> products, const Choose& choose) {
  const Operands operands(runtime.device());
  std::vector<Chosen> all;
  for (const MatMul& m : products) {
    Product p{.w = operands.weights(m.w), .out = m.w.rows(), .rows = m.rows};
    require(m.w.cols() <= std::numeric_limits<int>::max() / 2, "matmul: too many columns");
    p.x = operands.at("matmul: x", m.x, m.rows * m.w.cols());
    p.y = operands.at("matmul: y", m.y, m.rows * m.w.rows());
    p.aligned = is_multiple(p.w.data, size_of(m.w.type()));
    if (m.rows > 0) all.push_back(choose(m, p));
  }
  launch_all(runtime, std::move(all));
}

}  // namespace

void launch_gemv(Runtime& runtime, const Kernels& kernels, std::span<const MatMul> products) {
  launch_checked(runtime, products, [&](const MatMul& m, const Product& p) {
    const cpu::Format format = cpu::format(m.w.type());
    if (!is_multiple(p.w.data, 4 * size_of(m.w.type())) || m.w.cols() % 4 != 0)
      return Chosen{p, &kernels.gemv_unaligned[format], gemv_out, 1};
    std::size_t i = std::size(gemv_rows) - 1;
    while (gemv_rows[i] > m.rows) --i;
    return Chosen{p, &kernels.gemv[format][i], gemv_out, gemv_rows[i]};
  });
}

void launch_gemm(Runtime& runtime, const Kernels& kernels, std::span<const MatMul> products) {
  launch_checked(runtime, products, [&](const MatMul& m, const Product& p) {
    return Chosen{p, &kernels.gemm[cpu::format(m.w.type())], gemm_side, gemm_side};
  });
}

}  // namespace hearth::kernels::cuda
