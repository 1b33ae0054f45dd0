// A job's state as people and the hearth/* extension see it. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lsp/extension.hpp"
#include "lsp/jobs.hpp"

namespace hearth::lsp {

// "reading 120 of 340 tokens, about 12 s left"
std::string message_of(const Job& job);
// 0 … 100. Reading is the first half and writing the second, whatever they cost.
std::int64_t percentage_of(const Job& job);
extension::JobState job_state(const Job& job, std::optional<Range> range);

}  // namespace hearth::lsp
