// Attention on the CPU: checks the operands, cuts queries and spans of keys into pieces and lets
// the pool run the table's functions on them.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {

// One thread at a time, like the Backend. Refers to the table and the pool; keeps scratch memory
// between calls: the sums of every query head, and up to 4 MiB of spans' partial sums.
class GroupedAttention {
 public:
  // Multiply-adds of a piece at most: where it reads its keys once, and where rows share them.
  GroupedAttention(const Table& table, Pool& pool, std::int64_t piece_work, std::int64_t dense_work)
      : table_(table), pool_(pool), piece_work_(piece_work), dense_work_(dense_work) {}

  // The cache has been checked.
  void run(const Attention& args, const KvCache& kv);

 private:
  struct Call;  // one call's arguments and what follows from them

  void attend_by_rows(const Call& call);
  void attend_by_spans(const Call& call);
  void attend(const Call& call, std::int64_t row, std::int64_t kv_head, std::int64_t span,
              float* partials) const;
  void merge(const Call& call, std::int64_t row_head, const float* partial);
  void divide(const Call& call, float* out);

  const Table& table_;
  Pool& pool_;
  std::int64_t piece_work_;
  std::int64_t dense_work_;
  std::vector<float> totals_;
  std::vector<float> partials_;
};

}  // namespace hearth::kernels::cpu
