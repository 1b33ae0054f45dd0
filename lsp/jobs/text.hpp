// A job's state as people and the hearth/* extension see it. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lsp/jobs/jobs.hpp"
#include "lsp/protocol/extension.hpp"

namespace hearth::lsp {

// "about 12 s"
std::string about(std::chrono::milliseconds time);
// "queued behind 2, begins in about 40 s", "prefilling 120 of 340 tokens, 10 to 25 s left"
std::string message_of(const Job& job);
// "begins in about 40 s", "10 to 25 s left"; empty: not known, or it has ended.
std::string time_left(const Job& job);
// "loading the model, about 12 s left"
std::string loading_message(const LoadingProgress& progress);
// What keeps an ended job's text from being the whole answer, as a sentence; empty: nothing.
std::string ending_note(const Job& job);
// "Thought for 12 tokens"
std::string thought_words(const Job& job);
// 0 … 100. Prefill is the first half and generation the second, whatever they cost; a thought takes
// half of the second.
std::int64_t percentage_of(const Job& job);
extension::JobStateParams job_state_params(const Job& job, std::optional<Range> range);

}  // namespace hearth::lsp
