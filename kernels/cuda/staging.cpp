// Copies through the pieces in turn.
#include "kernels/cuda/staging.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/access.hpp"

namespace hearth::kernels::cuda {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10;

}  // namespace

Staging::Staging(Runtime& runtime) : runtime_(runtime) {
  for (Piece& piece : pieces_)
    piece.memory = runtime.allocate(piece_bytes, MemoryKind::page_locked);
}

Staging::Piece& Staging::next() {
  Piece& piece = pieces_[turn_++ % pieces_.size()];
  runtime_.wait(piece.used_until);
  return piece;
}

void Staging::upload(std::byte* to, std::span<const std::byte> from) {
  while (!from.empty()) {
    Piece& piece = next();
    const std::size_t bytes = std::min(from.size(), piece_bytes);
    std::memcpy(Access::data(piece.memory), from.data(), bytes);
    runtime_.copy(to, Access::data(piece.memory), bytes);
    piece.used_until = runtime_.record();
    to += bytes;
    from = from.subspan(bytes);
  }
}

void Staging::download(std::span<std::byte> to, const std::byte* from) {
  while (!to.empty()) {
    Piece& piece = next();
    const std::size_t bytes = std::min(to.size(), piece_bytes);
    runtime_.copy(Access::data(piece.memory), from, bytes);
    piece.used_until = runtime_.record();
    runtime_.wait(piece.used_until);
    std::memcpy(to.data(), Access::data(piece.memory), bytes);
    from += bytes;
    to = to.subspan(bytes);
  }
}

}  // namespace hearth::kernels::cuda
