// A text while it takes many edits: pieces of the old text and of what was put in, in a balanced
// tree. An edit moves pieces, never text, and finds its place by what the pieces count, in steps
// that grow with the logarithm of their number, however long the text and its lines are; the new
// text and its line index are made once, at the end. Documents use it for messages of several
// edits; text.hpp says what positions mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/support/text.hpp"

namespace hearth::lsp {

// For one thread.
class PieceTree {
 public:
  // Positions are counted in `encoding`. The base outlives the tree.
  PieceTree(const Text& base, Encoding encoding);
  PieceTree(const PieceTree&) = delete;
  PieceTree& operator=(const PieceTree&) = delete;

  std::size_t size() const { return whole(root_).bytes; }
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
  // By its place in nodes_; none: the empty tree.
  using NodeId = std::uint32_t;
  static constexpr NodeId none = 0xFFFFFFFF;
  // A treap: in order by place in the text, and no child's priority is above its parent's. Drawn
  // at random, they keep it about as deep as a balanced tree, whatever the edits are.
  struct Node {
    Piece piece;
    Extent whole;  // of the node and all below it
    std::uint32_t priority = 0;
    NodeId left = none;
    NodeId right = none;
  };
  // Where a search ended: what is before the piece, and the piece; null at the text's end.
  struct Found {
    Extent before;
    const Piece* piece = nullptr;
  };

  Extent measure(std::string_view text) const;
  template <typename Ends>
  Found find(Ends ends_here) const;
  Found find_byte(std::size_t offset) const;

  std::size_t lines() const;
  char byte_at(std::size_t offset) const;
  std::size_t line_start(std::size_t line) const;
  std::size_t line_end(std::size_t line) const;
  std::size_t units_before(std::size_t offset) const;
  std::size_t offset_of_units(std::size_t units) const;
  std::size_t offset(Position position) const;

  Extent whole(NodeId tree) const { return tree == none ? Extent{} : nodes_[tree].whole; }
  NodeId add(std::string_view text);         // a tree of pieces that show it
  NodeId add_piece(std::string_view text);   // of one
  void count(NodeId node);                   // `whole`, by its children's
  NodeId joined(NodeId left, NodeId right);  // all of `left` before all of `right`
  // What is before the byte and what is behind it; it is a character's start.
  std::pair<NodeId, NodeId> split(NodeId tree, std::size_t offset);

  Encoding encoding_;
  std::deque<std::string> inserted_;  // what pieces show that are not of the base
  std::vector<Node> nodes_;           // those that were cut out stay to the end
  NodeId root_ = none;
  std::minstd_rand priorities_;
};

}  // namespace hearth::lsp
