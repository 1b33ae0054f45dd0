// Matrix products on the CPU in the reference summation order: checks the operands of a group,
// packs the activations, cuts the whole group into pieces and lets the pool run the table's
// functions on them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {

// One thread at a time, like the Backend. Refers to the table and the pool.
class Products {
 public:
  // piece_work: multiply-adds of a piece of other operations at most. Those of products are far
  // smaller, tens of microseconds: a thread that loses its core holds the others up by one piece.
  Products(const Table& table, Pool& pool, std::int64_t piece_work)
      : table_(table), pool_(pool), piece_work_(piece_work / 8) {}

  // One hand-out to the threads for the whole group.
  void gemv(std::span<const MatMul> products);

 private:
  // The activations of one or more products, and the offset of their packed copy.
  struct Activations {
    const float* x = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    void (*pack_activations)(const float*, float*, std::int64_t) = nullptr;
    std::int64_t offset = 0;  // in packed_

    bool operator==(const Activations& other) const {
      return x == other.x && rows == other.rows && cols == other.cols &&
             pack_activations == other.pack_activations;
    }
  };
  // A product and its pieces: each takes some weight rows and some activation rows.
  struct Job {
    Product whole;
    void (*run)(const Product&) = nullptr;
    std::int64_t size = 0;         // bytes of a weight
    std::int64_t activations = 0;  // index in activations_
    std::int64_t weight_rows = 0;  // of a piece
    std::int64_t blocks = 0;       // of activation rows
    std::int64_t block_rows = 0;   // of one such block
    std::int64_t first_piece = 0;  // in the group's numbering
  };

  std::int64_t index_of(const Activations& wanted);
  void pack_all();
  std::int64_t cut();
  void run(std::int64_t piece) const;

  const Table& table_;
  Pool& pool_;
  std::int64_t piece_work_;
  // Scratch of the current call; kept for its memory.
  std::vector<Activations> activations_;
  Buffer packed_;  // aligned: loads across two lines of cache halve the speed of several rows
  std::vector<Job> jobs_;
};

}  // namespace hearth::kernels::cpu
