// What a model's answer says, in either of the two forms that it is asked for. Views are of the
// answer, which must outlive them. Reads text that nobody vouches for: bounded in time, and when in
// doubt a refusal.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/code_lines.hpp"
#include "lsp/edits/refusal.hpp"

namespace hearth::lsp {

// Follows the second form where files may be made.
inline constexpr std::string_view new_file_wording =
    " For a new file, write its path and a block with nothing in SEARCH and the whole file in "
    "REPLACE.";

// What asks for each form, as the end of a task's wording.
// The embedded checkpoint was trained on these words.
inline constexpr std::string_view whole_code_wording =
    "Reply with the whole {unit} in one code block.";
inline constexpr std::string_view hunks_wording =
    R"(Answer with the lines that change, and nothing else, in blocks of this form:

<<<<<<< SEARCH
lines of the code, exactly as they are
=======
the lines to put in their place
>>>>>>> REPLACE

SEARCH holds whole lines, as few as possible but so many that they occur only once in the code. To insert lines, repeat the line before or after them on both sides. Use a block for each place, in order. If the code is from several files, write the file's path on a line of its own before each block.)";

// The answer behind the model's thought, if it wrote one down. `code` tells a tag that ends a
// thought from one that the code is about.
Checked<std::string_view> without_thought(std::string_view answer, std::string_view code);

// All of the new code. Of several blocks, the one that is most like `code`, the lines that were
// shown.
Checked<CodeLines> read_whole_code(std::string_view answer, std::span<const std::string_view> code);

struct AnswerHunk {
  std::string_view path;  // of its file, as the model wrote it; empty: none
  CodeLines lines;        // between the outer markers
  // The lines that may be the divider; usually one, but the code may have such lines too.
  std::vector<std::size_t> dividers;
};
// Whether a line begins a hunk.
bool has_hunks(std::string_view text);
// At least one hunk.
Checked<std::vector<AnswerHunk>> read_hunks(std::string_view answer);

// A line that stands for code that was left out ("# ... existing code ...") and that `code` does
// not have; empty: there is none.
std::string_view placeholder_in(std::span<const std::string_view> lines,
                                std::span<const std::string_view> code);

}  // namespace hearth::lsp
