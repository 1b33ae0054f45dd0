// Pieces in blocks: two levels are enough for the largest message.
#include "lsp/document/piece_list.hpp"

#include <algorithm>
#include <utility>

namespace hearth::lsp {
namespace {

// A place inside a piece is found by reading it.
constexpr std::size_t max_piece_bytes = 1024;
constexpr std::size_t max_block_pieces = 256;

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

PieceList::Extent PieceList::Extent::operator+(const Extent& next) const {
  if (bytes == 0) return next;
  if (next.bytes == 0) return *this;
  const std::size_t ended = pending_cr && !next.starts_with_lf ? 1 : 0;
  return {bytes + next.bytes, units + next.units, breaks + ended + next.breaks, starts_with_lf,
          next.pending_cr};
}

PieceList::PieceList(const Text& base, Encoding encoding) : encoding_(encoding) {
  insert({0, 0}, cut(base.str()));
}

PieceList::Extent PieceList::measure(std::string_view text) const {
  Extent extent{text.size(), 0, 0, text.starts_with('\n'), false};
  for (const char byte : text) {
    extent.units += units_of(byte, encoding_);
    if (byte == '\n' || extent.pending_cr) ++extent.breaks;
    extent.pending_cr = byte == '\r';
  }
  return extent;
}

std::vector<PieceList::Piece> PieceList::cut(std::string_view text) const {
  std::vector<Piece> pieces;
  pieces.reserve(text.size() / max_piece_bytes + 1);
  while (!text.empty()) {
    std::size_t size = std::min(text.size(), max_piece_bytes);
    while (size < text.size() && is_continuation(text[size])) --size;
    pieces.push_back({text.data(), measure(text.substr(0, size))});
    text.remove_prefix(size);
  }
  return pieces;
}

// The first piece for which `ends_here(all before its end)`. What is asked for must
// not become false again further on.
template <typename Ends>
PieceList::Found PieceList::find(Ends ends_here) const {
  Found found;
  for (; found.place.block < blocks_.size(); ++found.place.block) {
    const Block& block = blocks_[found.place.block];
    const Extent behind = found.before + block.extent;
    if (!ends_here(behind)) {
      found.before = behind;
      continue;
    }
    for (const Piece& piece : block.pieces) {
      const Extent after = found.before + piece.extent;
      if (ends_here(after)) {
        found.piece = &piece;
        return found;
      }
      found.before = after;
      ++found.place.piece;
    }
  }
  return found;
}

PieceList::Found PieceList::find_byte(std::size_t offset) const {
  return find([offset](const Extent& before) { return before.bytes > offset; });
}

char PieceList::byte_at(std::size_t offset) const {
  const Found found = find_byte(offset);
  return found.piece->data[offset - found.before.bytes];
}

std::size_t PieceList::line_start(std::size_t line) const {
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

std::size_t PieceList::line_end(std::size_t line) const {
  if (line + 1 >= lines()) return size();
  const std::size_t end = line_start(line + 1) - 1;
  const bool two = byte_at(end) == '\n' && end > 0 && byte_at(end - 1) == '\r';
  return two ? end - 1 : end;
}

std::size_t PieceList::units_before(std::size_t offset) const {
  const Found found = find_byte(offset);
  std::size_t units = found.before.units;
  if (found.piece == nullptr) return units;
  for (const char byte : found.piece->text().substr(0, offset - found.before.bytes))
    units += units_of(byte, encoding_);
  return units;
}

// The start of the character that the unit belongs to.
std::size_t PieceList::offset_of_units(std::size_t units) const {
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

std::size_t PieceList::offset(Position position) const {
  if (position.line >= lines()) return size();
  const std::size_t end = line_end(position.line);
  const std::size_t units = units_before(line_start(position.line)) + position.character;
  return std::min(offset_of_units(units), end);
}

ByteEdit PieceList::replace(const Range& range, std::string text) {
  std::size_t begin = offset(range.start);
  std::size_t end = offset(range.end);
  if (begin > end) std::swap(begin, end);
  split(begin);
  const Place after = split(end);
  erase(find_byte(begin).place, after);
  inserted_.push_back(valid_utf8(std::move(text)));
  const std::string& added = inserted_.back();
  insert(find_byte(begin).place, cut(added));
  return {Byte{begin}, Byte{end}, Byte{begin + added.size()}};
}

Text PieceList::flattened() const {
  std::string text;
  text.reserve(size());
  for (const Block& block : blocks_) {
    for (const Piece& piece : block.pieces) text.append(piece.text());
  }
  return Text(std::move(text));
}

// Where the piece begins that begins at `offset`, which is a character's start.
PieceList::Place PieceList::split(std::size_t offset) {
  const Found found = find_byte(offset);
  const std::size_t head = offset - found.before.bytes;
  if (found.piece == nullptr || head == 0) return found.place;
  std::vector<Piece>& pieces = blocks_[found.place.block].pieces;
  const std::string_view text = found.piece->text();
  const auto at = pieces.begin() + static_cast<std::ptrdiff_t>(found.place.piece);
  *at = {text.data(), measure(text.substr(0, head))};
  pieces.insert(at + 1, {text.data() + head, measure(text.substr(head))});
  return {found.place.block, found.place.piece + 1};
}

void PieceList::erase(Place begin, Place end) {
  if (begin.block == blocks_.size()) return;
  const auto at = [this](Place place) {
    return blocks_[place.block].pieces.begin() + static_cast<std::ptrdiff_t>(place.piece);
  };
  std::vector<Piece>& first = blocks_[begin.block].pieces;
  if (begin.block == end.block) {
    first.erase(at(begin), at(end));
  } else {
    first.erase(at(begin), first.end());
    if (end.block < blocks_.size()) {
      std::vector<Piece>& last = blocks_[end.block].pieces;
      last.erase(last.begin(), at(end));
      settle(end.block);
    }
    const auto blocks = blocks_.begin();
    blocks_.erase(blocks + static_cast<std::ptrdiff_t>(begin.block) + 1,
                  blocks + static_cast<std::ptrdiff_t>(end.block));
  }
  settle(begin.block);
}

void PieceList::insert(Place place, const std::vector<Piece>& pieces) {
  if (pieces.empty()) return;
  if (place.block == blocks_.size()) {
    if (blocks_.empty()) blocks_.emplace_back();
    place = {blocks_.size() - 1, blocks_.back().pieces.size()};
  }
  std::vector<Piece>& block = blocks_[place.block].pieces;
  block.insert(block.begin() + static_cast<std::ptrdiff_t>(place.piece), pieces.begin(),
               pieces.end());
  settle(place.block);
}

// After a change of the block's pieces: none stays that is empty or too large, all are counted.
void PieceList::settle(std::size_t block) {
  const auto place = blocks_.begin() + static_cast<std::ptrdiff_t>(block);
  if (place->pieces.empty()) {
    blocks_.erase(place);
  } else {
    std::vector<Block> tails;  // from the last one on
    std::vector<Piece>& pieces = place->pieces;
    while (pieces.size() > max_block_pieces) {
      const auto tail = pieces.end() - static_cast<std::ptrdiff_t>(max_block_pieces / 2);
      tails.push_back({{tail, pieces.end()}, {}});
      pieces.erase(tail, pieces.end());
    }
    count(*place);
    for (Block& tail : tails) count(tail);
    blocks_.insert(place + 1, std::make_move_iterator(tails.rbegin()),
                   std::make_move_iterator(tails.rend()));
  }
  whole_ = {};
  for (const Block& one : blocks_) whole_ = whole_ + one.extent;
}

void PieceList::count(Block& block) {
  block.extent = {};
  for (const Piece& piece : block.pieces) block.extent = block.extent + piece.extent;
}

}  // namespace hearth::lsp
