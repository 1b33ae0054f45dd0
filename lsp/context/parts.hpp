// What the planners share: a plan's texts, cut where tokens never cross, and their counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/support/prompt.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

class Counts {
 public:
  Counts(std::span<const std::string> texts, std::span<const std::int64_t> counts)
      : texts_(texts), counts_(counts) {}
  std::int64_t operator[](std::size_t text) const {
    return text < counts_.size() ? counts_[text] : static_cast<std::int64_t>(texts_[text].size());
  }
  const std::string& text(std::size_t text) const { return texts_[text]; }

 private:
  std::span<const std::string> texts_;
  std::span<const std::int64_t> counts_;
};

// Texts [begin, end) of a plan, one after another in the document.
struct Pieces {
  std::size_t begin = 0;
  std::size_t end = 0;
};
std::int64_t total(const Counts& counts, Pieces pieces);
std::string joined(const Counts& counts, Pieces pieces);

// How a plan's texts become its prompt.
struct ContextPlan::Parts {
  virtual ~Parts() = default;
  virtual Prompt fit(const Counts& counts) const = 0;
  virtual std::vector<ContextPiece> pieces(const Counts& /*counts*/) const { return {}; }
};

// More text than this per token of a budget is not looked at: code has three or four bytes a token.
constexpr std::size_t max_bytes_per_token = 8;

// Appends `text` to `texts`, a piece for each line. Blank lines go with the line before them, so
// that a piece ends where a tokenizer's words end and counts add up; very long lines are split.
Pieces add_pieces(std::string_view text, std::vector<std::string>& texts);

// Where each of several texts is to end so that they share `left` tokens: small ones whole, what is
// left among the large ones. `cut` is the text that stands for what is left out of one.
std::vector<std::size_t> fair_ends(std::span<const Pieces> all, const Counts& counts,
                                   std::int64_t left, std::size_t cut);

// The text of `range` with '\n' at every line's end.
std::string with_newlines(const Text& text, ByteRange range);

// The imports' lines, each with its end; empty where there are none.
std::string import_lines(const Text& text, std::span<const ByteRange> imports);

// A declaration's signature on one line, without what leads to its body.
std::string signature_line(const Text& text, ByteRange signature);

// Backticks that the text does not hold as many of in a row.
std::string fence_for(std::string_view text);
// A title, then `text` in a fence for the language `name`.
std::string fenced(std::string_view title, std::string_view name, const std::string& text);

// What a plan shows of a file that a person named, without lines that look like secrets.
struct ShownFile {
  std::string path;
  std::string why;
  std::size_t open = 0;
  Pieces lines;
  std::size_t close = 0;
};
ShownFile shown_file(const PinnedText& file, std::string why, std::vector<std::string>& texts);
// The file up to `end`, which shown_file's lines may go beyond: then with the text `cut`.
std::string text_of(const ShownFile& file, const Counts& counts, std::size_t end, std::size_t cut);
inline constexpr const char* rest_left_out = "[... the rest of it is left out ...]\n";

// The sentence for a document that is_secret() names.
std::string secret_refusal(std::string_view uri);

}  // namespace hearth::lsp
