// Which table of GEMMs this host runs: all products of a process follow one definition.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/gemm/gemm.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cpu {

struct GemmChoice {
  const GemmTable* table = &scalar_gemm;
  std::string definition;  // "f32" or "bf16x3": what the results depend on
  std::string name;        // "avx512 f32": for people
};

// The best table of an ISA, or of one below it, that follows its definition on a small case; for
// each one passed over there is a note.
GemmChoice choose_gemm(Isa isa, std::vector<std::string>& notes);

// What choose_gemm gives while this lives, whatever the host has: for tests of all that is
// on it, on tables that no processor here would choose.
class ForcedChoice {
 public:
  explicit ForcedChoice(const GemmChoice& choice);
  ~ForcedChoice();
  ForcedChoice(const ForcedChoice&) = delete;
  ForcedChoice& operator=(const ForcedChoice&) = delete;
};

// Whether a table follows its definition on awkward sizes of every format: f32 to the bit, bf16x3
// as near as two such results are (gemm.hpp).
bool agrees(const GemmTable& table);

}  // namespace hearth::kernels::cpu
