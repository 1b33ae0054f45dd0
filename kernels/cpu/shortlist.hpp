// Finding the largest values of a matrix-vector product without reading the whole matrix: an 8-bit
// copy gives every row's value with a bound of its error, and only rows that can still be among the
// k largest are multiplied exactly.
//
// The bound, for a row w of n columns with its 8-bit copy s·q, and activations x with their 16-bit
// copy x' = t·a, where y is the GEMV and all norms are Euclidean:
//   |y - s·t·Σqa| ≤ |w - s·q|·|x| + |s·q|·|x - x'| + γ·|w|·|x| + floor
// The first two terms are Cauchy-Schwarz, the sum of q·a is an exact integer, γ = m·u/(1 - m·u)
// with u = 2⁻²⁴ bounds what m successive roundings of a lane and its folding do (Higham, Accuracy
// and Stability of Numerical Algorithms, 3.1), and the floor what is lost below the normal numbers.
// Rows and activations for which a sum could overflow are multiplied exactly.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/rows/table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pool.hpp"

namespace hearth::kernels::cpu {

// One thread at a time, like the Backend. Refers to the table and the pool.
class ShortlistSearch {
 public:
  ShortlistSearch(const Table& table, Pool& pool) : table_(table), pool_(pool) {}

  Shortlist make(const Matrix& w);
  void top(const Shortlist& shortlist, const Matrix& w, Slice x, int rows, int k,
           std::span<const std::int32_t> always, std::span<Candidates> out);

 private:
  // What is known of a row of activations and its copy.
  struct Activations {
    bool bounded = false;  // if not, every row is multiplied exactly
    double scale = 0;      // t
    double norm = 0;       // |x|
    double rest = 0;       // |x - x'|
  };

  static Activations copy(const float* x, std::int64_t cols, std::int16_t* to);
  void judge(const Shortlist& shortlist, std::int64_t piece, int rows, std::int64_t kept);
  void choose(const Shortlist& shortlist, int row, int k, std::span<const std::int32_t> always,
              std::vector<std::int32_t>& ids);
  void multiply(const Matrix& w, const float* x, Candidates& result);

  const Table& table_;
  Pool& pool_;
  // Scratch of the current call; kept for its memory.
  std::vector<Activations> activations_;
  std::vector<std::int16_t> copies_;  // a: [rows][cols of the shortlist]
  std::vector<float> upper_;          // [rows][rows of the matrix]: what the exact value is at most
  std::vector<float> lower_;          // [rows][pieces][k]: the largest of what they are at least
  std::vector<float> packed_;
};

}  // namespace hearth::kernels::cpu
