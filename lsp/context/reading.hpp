// What reading a completion's prompt may cost at a keystroke: how much of the text behind the
// cursor a model can be shown, and whether even the least of it takes too long.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "lsp/support/model.hpp"

namespace hearth::lsp {

// What every keystroke reads: the word that is typed and what the template adds.
constexpr std::int64_t keystroke_tokens = 24;
// The least of the text behind the cursor: about a line.
constexpr std::int64_t least_suffix_tokens = 16;

// Tokens of the suffix that can be read at each keystroke within `max_read`. A model that reads the
// suffix first has it behind it then, and is shown all that it was trained with.
std::int64_t suffix_tokens(const ModelProfile& profile, std::chrono::milliseconds max_read);

// Where it is read at each keystroke, the suffix is at most so long behind `prefix_tokens`, however
// fast they are read: nine tenths of a prompt are known from the keystroke before.
std::int64_t proportionate_suffix(std::int64_t prefix_tokens);

// Whether a keystroke takes longer than `max_read` to read with the least suffix.
bool reads_too_slowly(FimOrder order, std::optional<double> tokens_a_second,
                      std::chrono::milliseconds max_read);

}  // namespace hearth::lsp
