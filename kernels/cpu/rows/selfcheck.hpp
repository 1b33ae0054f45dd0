// The start-up check: each operation of a vector table on a small case against the scalar one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/rows/table.hpp"

namespace hearth::kernels::cpu {

struct NamedTable {
  std::string_view name;
  const Table* table;
};

// `tables` from the one wanted down to the scalar definition. Every operation is taken from the
// first table that gives the definition's bits; for each one passed over there is a note.
Table checked(std::span<const NamedTable> tables, std::vector<std::string>& notes);

}  // namespace hearth::kernels::cpu
