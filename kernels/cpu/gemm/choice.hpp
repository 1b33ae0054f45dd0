// Which table of blocked products this host runs: all products of a process follow one definition.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/blocked.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels::cpu {

struct BlockedChoice {
  const BlockedTable* table = &scalar_blocked;
  std::string definition;  // "f32" or "bf16x2": what the results depend on
  std::string name;        // "avx512 f32": for people
};

// The best table of an ISA, or of one below it, that follows its definition on a small case; for
// each one passed over there is a note.
BlockedChoice choose_blocked(Isa isa, std::vector<std::string>& notes);

// Whether a table follows its definition on awkward sizes of every format: f32 to the bit, bf16x2
// as near as two such results are (blocked.hpp).
bool agrees(const BlockedTable& table);

}  // namespace hearth::kernels::cpu
