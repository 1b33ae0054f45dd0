// Matrix products on the CPU in the GEMM's order: checks the operands of a group, packs the
// activations, cuts the group into pieces and lets the pool run the table's functions on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/gemm/gemm.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {

// One thread at a time, like the Backend. Refers to the table and the pool; keeps up to 8 MiB for
// packed activations.
class Gemm {
 public:
  Gemm(const GemmTable& table, Pool& pool) : table_(table), pool_(pool) {}

  void run(std::span<const MatMul> products);

 private:
  // Rows of activations that are packed once for all products that read them.
  struct Packed {
    const float* x = nullptr;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    Format format = format_f32;
    std::size_t offset = 0;       // in scratch_
    std::int64_t first_unit = 0;  // a unit is one block of columns
  };
  // One product on rows that are packed, and how it is cut: `parts` of its rows times groups of
  // panels.
  struct Job {
    GemmArguments whole;
    Format format = format_f32;
    std::size_t packed = 0;
    std::int64_t parts = 1;
    std::int64_t piece_weights = panel_rows;  // weight rows of a piece
    std::int64_t first_piece = 0;
  };

  void add(const GemmArguments& product, Format format, const float* x);
  void flush();
  void forget();
  void pack(std::int64_t unit) const;
  void multiply(std::int64_t piece) const;

  const GemmTable& table_;
  Pool& pool_;
  Buffer scratch_;
  std::size_t used_ = 0;  // bytes of scratch_ that packed_ takes
  std::vector<Packed> packed_;
  std::vector<Job> jobs_;
};

}  // namespace hearth::kernels::cpu
