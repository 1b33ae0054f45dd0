// Searching, splitting and joining the tree.
#include "lsp/document/piece_tree.hpp"

#include <algorithm>
#include <utility>

namespace hearth::lsp {
namespace {

// A place inside a piece is found by reading it.
constexpr std::size_t max_piece_bytes = 256;

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

bool is_four_bytes(char first) {
  return static_cast<unsigned char>(first) >= 0xF0;
}

// What the byte adds to the units of the sequence that it is part of.
std::size_t units_of(char byte, Encoding encoding) {
  if (encoding == Encoding::utf8) return 1;
  if (is_continuation(byte)) return 0;
  return encoding == Encoding::utf16 && is_four_bytes(byte) ? 2 : 1;
}

}  // namespace

PieceTree::Extent PieceTree::Extent::operator+(const Extent& next) const {
  if (bytes == 0) return next;
  if (next.bytes == 0) return *this;
  const std::size_t ended = pending_cr && !next.starts_with_lf ? 1 : 0;
  return {bytes + next.bytes, units + next.units, breaks + ended + next.breaks, starts_with_lf,
          next.pending_cr};
}

PieceTree::PieceTree(const Text& base, Encoding encoding) : encoding_(encoding) {
  nodes_.reserve(base.str().size() / max_piece_bytes + 1);
  root_ = add(base.str());
}

PieceTree::Extent PieceTree::measure(std::string_view text) const {
  Extent extent{text.size(), 0, 0, text.starts_with('\n'), false};
  for (const char byte : text) {
    extent.units += units_of(byte, encoding_);
    if (byte == '\n' || extent.pending_cr) ++extent.breaks;
    extent.pending_cr = byte == '\r';
  }
  return extent;
}

// The first piece for which `ends_here(all before its end)`. What is asked for must
// not become false again further on.
template <typename Ends>
PieceTree::Found PieceTree::find(Ends ends_here) const {
  Found found;
  NodeId at = root_;
  while (at != none) {
    const Node& node = nodes_[at];
    const Extent left = found.before + whole(node.left);
    if (node.left != none && ends_here(left)) {
      at = node.left;
      continue;
    }
    const Extent behind = left + node.piece.extent;
    if (ends_here(behind)) return {left, &node.piece};
    found.before = behind;
    at = node.right;
  }
  return found;
}

PieceTree::Found PieceTree::find_byte(std::size_t offset) const {
  return find([offset](const Extent& before) { return before.bytes > offset; });
}

char PieceTree::byte_at(std::size_t offset) const {
  const Found found = find_byte(offset);
  return found.piece->data[offset - found.before.bytes];
}

std::size_t PieceTree::lines() const {
  const Extent all = whole(root_);
  return all.breaks + (all.pending_cr ? 1 : 0) + 1;
}

std::size_t PieceTree::line_start(std::size_t line) const {
  if (line == 0) return 0;
  const Found found = find([line](const Extent& before) { return before.breaks >= line; });
  if (found.piece == nullptr) return size();  // after a \r at the end of the text
  Extent before = found.before;
  for (const char byte : found.piece->text()) {
    if (before.pending_cr && byte != '\n' && ++before.breaks == line) break;
    ++before.bytes;
    if (byte == '\n' && ++before.breaks == line) break;
    before.pending_cr = byte == '\r';
  }
  return before.bytes;
}

std::size_t PieceTree::line_end(std::size_t line) const {
  if (line + 1 >= lines()) return size();
  const std::size_t end = line_start(line + 1) - 1;
  const bool two = byte_at(end) == '\n' && end > 0 && byte_at(end - 1) == '\r';
  return two ? end - 1 : end;
}

std::size_t PieceTree::units_before(std::size_t offset) const {
  const Found found = find_byte(offset);
  std::size_t units = found.before.units;
  if (found.piece == nullptr) return units;
  for (const char byte : found.piece->text().substr(0, offset - found.before.bytes))
    units += units_of(byte, encoding_);
  return units;
}

// The start of the character that the unit belongs to.
std::size_t PieceTree::offset_of_units(std::size_t units) const {
  const Found found = find([units](const Extent& before) { return before.units > units; });
  if (found.piece == nullptr) return size();
  const std::string_view text = found.piece->text();
  std::size_t left = units - found.before.units;
  std::size_t at = 0;
  for (;;) {
    std::size_t next = at + 1;
    std::size_t width = units_of(text[at], encoding_);
    for (; next < text.size() && is_continuation(text[next]); ++next)
      width += units_of(text[next], encoding_);
    if (left < width) return found.before.bytes + at;
    left -= width;
    at = next;
  }
}

std::size_t PieceTree::offset(Position position) const {
  if (position.line >= lines()) return size();
  const std::size_t end = line_end(position.line);
  const std::size_t units = units_before(line_start(position.line)) + position.character;
  return std::min(offset_of_units(units), end);
}

ByteEdit PieceTree::replace(const Range& range, std::string text) {
  std::size_t begin = offset(range.start);
  std::size_t end = range.end == range.start ? begin : offset(range.end);
  if (begin > end) std::swap(begin, end);
  const auto [before, rest] = split(root_, begin);
  const NodeId behind = split(rest, end - begin).second;
  inserted_.push_back(valid_utf8(std::move(text)));
  const std::string& added = inserted_.back();
  root_ = joined(joined(before, add(added)), behind);
  return {Byte{begin}, Byte{end}, Byte{begin + added.size()}};
}

Text PieceTree::flattened() const {
  std::string text;
  text.reserve(size());
  std::vector<NodeId> open;  // whose left sides are on their way
  for (NodeId at = root_; at != none || !open.empty();) {
    for (; at != none; at = nodes_[at].left) open.push_back(at);
    const Node& node = nodes_[open.back()];
    open.pop_back();
    text.append(node.piece.text());
    at = node.right;
  }
  return Text(std::move(text));
}

PieceTree::NodeId PieceTree::add(std::string_view text) {
  NodeId tree = none;
  while (!text.empty()) {
    std::size_t size = std::min(text.size(), max_piece_bytes);
    while (size < text.size() && is_continuation(text[size])) --size;
    tree = joined(tree, add_piece(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return tree;
}

PieceTree::NodeId PieceTree::add_piece(std::string_view text) {
  const Extent extent = measure(text);
  const auto priority = static_cast<std::uint32_t>(priorities_());
  nodes_.push_back({{text.data(), extent}, extent, priority, none, none});
  return static_cast<NodeId>(nodes_.size() - 1);
}

void PieceTree::count(NodeId node) {
  Node& at = nodes_[node];
  at.whole = whole(at.left) + at.piece.extent + whole(at.right);
}

PieceTree::NodeId PieceTree::joined(NodeId left, NodeId right) {
  if (left == none) return right;
  if (right == none) return left;
  if (nodes_[left].priority >= nodes_[right].priority) {
    nodes_[left].right = joined(nodes_[left].right, right);
    count(left);
    return left;
  }
  nodes_[right].left = joined(left, nodes_[right].left);
  count(right);
  return right;
}

std::pair<PieceTree::NodeId, PieceTree::NodeId> PieceTree::split(NodeId tree, std::size_t offset) {
  if (tree == none) return {none, none};
  const std::size_t left = whole(nodes_[tree].left).bytes;
  const std::size_t end = left + nodes_[tree].piece.extent.bytes;
  if (offset <= left) {
    const auto [before, behind] = split(nodes_[tree].left, offset);
    nodes_[tree].left = behind;
    count(tree);
    return {before, tree};
  }
  if (offset >= end) {
    const auto [before, behind] = split(nodes_[tree].right, offset - end);
    nodes_[tree].right = before;
    count(tree);
    return {tree, behind};
  }
  // Inside its piece: what is behind becomes a node of its own.
  const std::string_view text = nodes_[tree].piece.text();
  const NodeId tail = add_piece(text.substr(offset - left));
  const NodeId behind = joined(tail, std::exchange(nodes_[tree].right, none));
  nodes_[tree].piece = {text.data(), measure(text.substr(0, offset - left))};
  count(tree);
  return {tree, behind};
}

}  // namespace hearth::lsp
