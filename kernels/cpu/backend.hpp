// Makes the CPU's Backend from a table of functions. Which table is open.cpp's choice.
#pragma once

#include <memory>
#include <string>

#include "kernels/cpu/gemm/choice.hpp"
#include "kernels/cpu/rows/table.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cpu {

// piece_work: multiply-adds of a piece at most, so that one takes less than 5 ms.
std::unique_ptr<Backend> make_backend(const Table& table, const GemmChoice& gemm,
                                      std::int64_t piece_work, int threads,
                                      std::string description);

}  // namespace hearth::kernels::cpu
