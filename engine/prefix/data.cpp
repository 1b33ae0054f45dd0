// Snapshots of state: layout, saving and restoring.
#include "engine/prefix/data.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <thread>
#include <utility>

#include "engine/support/parallel_for.hpp"

namespace hearth::engine {

namespace {

constexpr std::size_t copy_piece = std::size_t{1} << 20;  // between two looks at an interrupt

struct Copy {
  std::span<const std::byte> from;
  std::span<std::byte> to;
};

// The first bytes of `to` are those of `from`, in pieces.
void add_pieces(std::vector<Copy>& copies, std::span<const std::byte> from,
                std::span<std::byte> to) {
  for (std::size_t at = 0; at < from.size(); at += copy_piece) {
    const std::size_t bytes = std::min(copy_piece, from.size() - at);
    copies.push_back({from.subspan(at, bytes), to.subspan(at, bytes)});
  }
}

// Empty where this program cannot reach them.
std::span<std::byte> mapped_bytes(kernels::Backend& backend, const kernels::Buffer& buffer) {
  return backend.map(buffer).value_or(std::span<std::byte>());
}

std::size_t sum(std::span<const std::size_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
}

}  // namespace

bool is_set(const std::atomic<bool>* interrupt) {
  return interrupt != nullptr && *interrupt;
}

std::size_t copying_threads(std::size_t bytes) {
  constexpr std::size_t worth_a_thread = std::size_t{16} << 20;
  constexpr std::size_t max = 4;
  const std::size_t cores = std::max(std::thread::hardware_concurrency(), 1U);
  return std::min({bytes / worth_a_thread + 1, max, cores});
}

HostBlock::HostBlock(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* const data =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  // Fewer page faults when it is filled; where huge pages are off, nothing is lost.
  static_cast<void>(::madvise(data, bytes, MADV_HUGEPAGE));
  data_ = static_cast<std::byte*>(data);
}

HostBlock::~HostBlock() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

StateSnapshot::StateSnapshot(std::shared_ptr<const void> owner,
                             std::vector<std::span<const std::byte>> parts)
    : owner_(std::move(owner)), parts_(std::move(parts)) {}

std::size_t StateSnapshot::bytes() const {
  std::size_t total = 0;
  for (const std::span<const std::byte> part : parts_) total += part.size();
  return total;
}

StateSnapshot split_block(std::shared_ptr<HostBlock> block, std::span<const std::size_t> sizes) {
  std::span<const std::byte> rest = block->bytes();
  std::vector<std::span<const std::byte>> parts;
  for (const std::size_t size : sizes) {
    parts.push_back(rest.first(size));
    rest = rest.subspan(size);
  }
  return {std::move(block), std::move(parts)};
}

PrefixLayout PrefixLayout::of(const ModelConfig& config, KvType kv, bool mtp) {
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  PrefixLayout layout;
  layout.caches =
      size(std::ranges::count(config.layers, LayerKind::full_attention)) + (mtp ? 1 : 0);
  layout.mtp = mtp;
  layout.row_bytes = size(config.num_key_value_heads) * size(config.head_dim) *
                     (kv == KvType::f16 ? sizeof(std::uint16_t) : sizeof(float));
  const RecurrentShape shape = recurrent_shape(config);
  for (const LayerKind kind : config.layers) {
    if (kind != LayerKind::linear_attention) continue;
    layout.state_parts.push_back(shape.delta_bytes);
    layout.state_parts.push_back(shape.conv_bytes);
  }
  layout.hidden = size(config.hidden_size);
  layout.vocab = size(config.vocab_size);
  return layout;
}

PrefixLayout::RowRange PrefixLayout::rows(std::size_t cache, std::int64_t begin,
                                          std::int64_t end) const {
  const std::int64_t behind = mtp && cache + 1 == caches ? 1 : 0;
  const std::int64_t first = std::max<std::int64_t>(begin - behind, 0);
  return {first, std::max<std::int64_t>(end - behind, 0) - first};
}

std::vector<std::size_t> PrefixLayout::kv_parts(std::int64_t begin, std::int64_t end) const {
  std::vector<std::size_t> sizes;
  for (std::size_t cache = 0; cache < caches; ++cache) {
    const std::size_t bytes = static_cast<std::size_t>(rows(cache, begin, end).count) * row_bytes;
    sizes.insert(sizes.end(), 2, bytes);
  }
  return sizes;
}

std::size_t PrefixLayout::state_bytes() const {
  return sum(state_parts);
}

StateSnapshot save_kv(const StateHomes& homes, const PrefixLayout& layout,
                      std::span<const kernels::KvCache> caches, std::int64_t begin,
                      std::int64_t end, const std::atomic<bool>* interrupt) {
  const std::vector<std::size_t> sizes = layout.kv_parts(begin, end);
  auto block = std::make_shared<HostBlock>(sum(sizes));
  std::span<std::byte> rest = block->bytes();
  std::vector<Copy> copies;
  for (std::size_t cache = 0; cache < caches.size(); ++cache) {
    const auto offset =
        static_cast<std::size_t>(layout.rows(cache, begin, end).first) * layout.row_bytes;
    kernels::Backend& backend = *homes.kv[cache];
    for (const kernels::Buffer* half : {&caches[cache].keys, &caches[cache].values}) {
      const std::size_t bytes = sizes[2 * cache];
      const std::span<const std::byte> mapped = mapped_bytes(backend, *half);
      if (mapped.size() >= offset + bytes) {
        add_pieces(copies, mapped.subspan(offset, bytes), rest);
      } else if (bytes > 0) {
        backend.read(*half, offset, rest.first(bytes));
      }
      rest = rest.subspan(bytes);
    }
  }
  std::atomic<bool> given_up = false;
  parallel_for(copies.size(), copying_threads(block->bytes().size()), [&](std::size_t i) {
    given_up = given_up || is_set(interrupt);
    if (!given_up) std::memcpy(copies[i].to.data(), copies[i].from.data(), copies[i].from.size());
  });
  return given_up ? StateSnapshot() : split_block(std::move(block), sizes);
}

void StateRestore::kv(const PrefixLayout& layout, const StateSnapshot& snapshot, std::int64_t begin,
                      std::int64_t from, std::int64_t to,
                      std::span<const kernels::KvCache> caches) {
  for (std::size_t cache = 0; cache < caches.size(); ++cache) {
    const PrefixLayout::RowRange held = layout.rows(cache, begin, to);
    const PrefixLayout::RowRange wanted = layout.rows(cache, from, to);
    if (wanted.count <= 0) continue;
    const auto skipped = static_cast<std::size_t>(wanted.first - held.first) * layout.row_bytes;
    const auto bytes = static_cast<std::size_t>(wanted.count) * layout.row_bytes;
    const auto offset = static_cast<std::size_t>(wanted.first) * layout.row_bytes;
    kernels::Backend& backend = *homes_->kv[cache];
    add(backend, caches[cache].keys, offset, snapshot.parts()[2 * cache].subspan(skipped, bytes));
    add(backend, caches[cache].values, offset,
        snapshot.parts()[2 * cache + 1].subspan(skipped, bytes));
  }
}

void StateRestore::state(const StateSnapshot& snapshot, const RecurrentState& state) {
  for (std::size_t i = 0; i < state.delta.size(); ++i) {
    kernels::Backend& backend = *homes_->linear[i];
    add(backend, state.delta[i], 0, snapshot.parts()[2 * i]);
    add(backend, state.conv[i], 0, snapshot.parts()[2 * i + 1]);
  }
}

void StateRestore::add(kernels::Backend& backend, const kernels::Buffer& to, std::size_t offset,
                       std::span<const std::byte> from) {
  const std::span<std::byte> mapped = mapped_bytes(backend, to);
  const bool on_host = mapped.size() >= offset + from.size();
  pieces_.push_back({&backend, &to, offset, from,
                     on_host ? mapped.subspan(offset, from.size()) : std::span<std::byte>()});
}

void StateRestore::sort() {
  std::ranges::sort(pieces_, {}, [](const Piece& piece) { return piece.from.data(); });
}

bool StateRestore::copy(std::span<const std::byte> part, const std::atomic<bool>* interrupt) const {
  const auto source = [](const Piece& piece) { return piece.from.data(); };
  const std::byte* const end = part.data() + part.size();
  auto piece = std::ranges::lower_bound(pieces_, part.data(), {}, source);
  for (; piece != pieces_.end() && piece->from.data() < end; ++piece) {
    std::vector<Copy> copies;
    if (!piece->to.empty()) add_pieces(copies, piece->from, piece->to);
    for (const Copy& each : copies) {
      if (is_set(interrupt)) return false;
      std::memcpy(each.to.data(), each.from.data(), each.from.size());
    }
  }
  return true;
}

void StateRestore::finish() const {
  for (const Piece& piece : pieces_)
    if (piece.to.empty()) piece.backend->write(*piece.buffer, piece.offset, piece.from);
}

StateSnapshot save_state(const StateHomes& homes, RecurrentState state) {
  const auto owned = std::make_shared<RecurrentState>(std::move(state));
  std::vector<std::span<const std::byte>> parts;
  for (std::size_t i = 0; i < owned->delta.size(); ++i) {
    for (const kernels::Buffer* buffer : {&owned->delta[i], &owned->conv[i]}) {
      parts.emplace_back(mapped_bytes(*homes.linear[i], *buffer));
      if (parts.back().size() != buffer->bytes()) return copy_state(homes, *owned);
    }
  }
  return {owned, std::move(parts)};
}

StateSnapshot copy_state(const StateHomes& homes, const RecurrentState& state) {
  std::vector<std::size_t> sizes;
  auto block = std::make_shared<HostBlock>(state.bytes());
  std::span<std::byte> rest = block->bytes();
  for (std::size_t i = 0; i < state.delta.size(); ++i) {
    for (const kernels::Buffer* buffer : {&state.delta[i], &state.conv[i]}) {
      sizes.push_back(buffer->bytes());
      homes.linear[i]->read(*buffer, 0, rest.first(buffer->bytes()));
      rest = rest.subspan(buffer->bytes());
    }
  }
  return split_block(std::move(block), sizes);
}

}  // namespace hearth::engine
