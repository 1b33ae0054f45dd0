// A text while it takes many edits: a list of pieces of the old text and of what was put in. An
// edit moves pieces, never text, and finds its place by the pieces' counts, however long the text
// and its lines are; the new text and its line index are made once, at the end. Documents use it
// for messages of several edits; text.hpp says what positions mean.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

// For one thread.
class PieceList {
 public:
  // Positions are counted in `encoding`. The base outlives the list.
  PieceList(const Text& base, Encoding encoding);
  PieceList(const PieceList&) = delete;
  PieceList& operator=(const PieceList&) = delete;

  std::size_t size() const { return whole_.bytes; }
  // Puts `text` in the place of `range`, both as of the edits so far. Ranges are clamped as by
  // Text::bytes, invalid UTF-8 is replaced as by Text.
  ByteEdit replace(const Range& range, std::string text);
  // The text with all edits made.
  Text flattened() const;

 private:
  // What a run of text counts, so that runs can be joined without reading them again. A \r ends a
  // line only once it is known that no \n follows: it is pending at the end of a run.
  struct Extent {
    std::size_t bytes = 0;
    std::size_t units = 0;
    std::size_t breaks = 0;
    bool starts_with_lf = false;
    bool pending_cr = false;

    Extent operator+(const Extent& next) const;
  };
  struct Piece {
    const char* data = nullptr;
    Extent extent;
    std::string_view text() const { return {data, extent.bytes}; }
  };
  struct Block {
    std::vector<Piece> pieces;
    Extent extent;
  };
  // Before a piece; behind the last one: the first place of the block after the last.
  struct Place {
    std::size_t block = 0;
    std::size_t piece = 0;
  };
  // Where a search ended: what is before the piece, and the piece; null at the text's end.
  struct Found {
    Extent before;
    const Piece* piece = nullptr;
    Place place;
  };

  Extent measure(std::string_view text) const;
  std::vector<Piece> cut(std::string_view text) const;
  template <typename Ends>
  Found find(Ends ends_here) const;
  Found find_byte(std::size_t offset) const;

  std::size_t lines() const { return whole_.breaks + (whole_.pending_cr ? 1 : 0) + 1; }
  char byte_at(std::size_t offset) const;
  std::size_t line_start(std::size_t line) const;
  std::size_t line_end(std::size_t line) const;
  std::size_t units_before(std::size_t offset) const;
  std::size_t offset_of_units(std::size_t units) const;
  std::size_t offset(Position position) const;

  Place split(std::size_t offset);
  void erase(Place begin, Place end);
  void insert(Place place, const std::vector<Piece>& pieces);
  void settle(std::size_t block);
  static void count(Block& block);

  Encoding encoding_;
  std::deque<std::string> inserted_;  // what pieces show that are not of the base
  std::vector<Block> blocks_;         // none is empty
  Extent whole_;
};

}  // namespace hearth::lsp
