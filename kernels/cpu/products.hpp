// Matrix products on the CPU in the canonical order: checks the operands of a group, cuts it into
// pieces and lets the pool run the table's functions on them.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {

// One thread at a time, like the Backend. Refers to the table and the pool.
class Products {
 public:
  // piece_work: multiply-adds of a piece at most.
  Products(const Table& table, Pool& pool, std::int64_t piece_work)
      : table_(table), pool_(pool), piece_work_(piece_work) {}

  void canonical(std::span<const MatMul> products);

 private:
  const Table& table_;
  Pool& pool_;
  std::int64_t piece_work_;
};

}  // namespace hearth::kernels::cpu
