// Reads shards: some of their pieces with a clock, what tells them from others, or all of their
// tensors.
#include "engine/measure/checkpoint_files.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/checkpoint/digest.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/support/parallel_for.hpp"

namespace hearth::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t piece_bytes = std::size_t{1} << 20;
constexpr std::size_t at_once = 8;  // reads, as many as keep an NVMe disk busy

struct FreeAligned {
  void operator()(std::byte* memory) const {
    ::operator delete[](memory, std::align_val_t(direct_alignment));
  }
};
using Piece = std::unique_ptr<std::byte[], FreeAligned>;

Piece make_piece() {
  return Piece(
      static_cast<std::byte*>(::operator new[](piece_bytes, std::align_val_t(direct_alignment))));
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The first value of `bytes` that is no number; size() where all are. Other types have none.
std::size_t find_nan(TensorType type, std::span<const std::byte> bytes) {
  const auto find = [&]<typename Bits>(Bits magnitude, Bits infinity) {
    for (std::size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
      Bits value;
      std::memcpy(&value, bytes.data() + at, sizeof value);
      if (static_cast<Bits>(value & magnitude) > infinity) return at;
    }
    return bytes.size();
  };
  switch (type) {
    case TensorType::f32:
      return find(std::uint32_t{0x7fffffff}, std::uint32_t{0x7f800000});
    case TensorType::f16:
      return find(std::uint16_t{0x7fff}, std::uint16_t{0x7c00});
    case TensorType::bf16:
      return find(std::uint16_t{0x7fff}, std::uint16_t{0x7f80});
    case TensorType::f8_e4m3:
      return find(std::uint8_t{0x7f}, std::uint8_t{0x7e});
    default:
      return bytes.size();
  }
}

}  // namespace

ReadSpeed read_speed(const std::filesystem::path& model, double seconds) {
  const Tensors tensors = Tensors::open(model);
  ReadSpeed speed;
  speed.shards = tensors.files().size();
  speed.direct =
      std::ranges::all_of(tensors.files(), [](const auto& file) { return file->direct(); });
  std::vector<const File*> files;
  std::vector<double> sizes;
  for (const auto& file : tensors.files()) {
    files.push_back(file.get());
    sizes.push_back(static_cast<double>(file->size()));
    speed.bytes += file->size();
  }
  std::atomic<std::uint64_t> bytes = 0;
  const auto began = Clock::now();
  parallel_for(at_once, at_once, [&](std::size_t reader) {
    std::mt19937_64 random(reader);
    std::discrete_distribution<std::size_t> any_file(sizes.begin(), sizes.end());
    const Piece piece = make_piece();
    while (seconds_since(began) < seconds) {
      const File& file = *files[any_file(random)];
      const std::uint64_t pieces = std::max<std::uint64_t>(file.size() / piece_bytes, 1);
      bytes += file.read_direct(random() % pieces * piece_bytes, {piece.get(), piece_bytes});
    }
  });
  speed.bytes_per_second = static_cast<double>(bytes) / seconds_since(began);
  return speed;
}

std::uint64_t fingerprint(const std::filesystem::path& model) {
  return digest_samples(Tensors::open(model));
}

bool verify_files(const std::filesystem::path& model,
                  const std::function<void(const ReadProgress&)>& progress,
                  const std::atomic<bool>* stop) {
  struct Part {
    const TensorInfo* tensor;
    std::uint64_t from;
  };
  const Tensors tensors = Tensors::open(model);
  std::vector<Part> parts;
  ReadProgress done;
  for (const auto& [name, tensor] : tensors.all()) {
    done.bytes_total += tensor.bytes;
    for (std::uint64_t from = 0; from < tensor.bytes; from += piece_bytes)
      parts.push_back({&tensor, from});
  }
  // In the order of the files: a disk that turns reads them once from end to end.
  std::ranges::sort(parts, {}, [](const Part& part) {
    return std::pair(part.tensor->file, part.tensor->offset + part.from);
  });

  constexpr std::size_t round = 64;  // parts between two looks at `stop`
  for (std::size_t begin = 0; begin < parts.size(); begin += round) {
    if (stop != nullptr && *stop) return false;
    const std::size_t count = std::min(round, parts.size() - begin);
    std::atomic<std::uint64_t> bytes = 0;
    parallel_for(count, at_once, [&](std::size_t i) {
      const auto& [tensor, from] = parts[begin + i];
      std::vector<std::byte> piece(
          static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, tensor->bytes - from)));
      tensors.read(*tensor, from, piece);
      bytes += piece.size();
      if (const std::size_t at = find_nan(tensor->type, piece); at < piece.size()) {
        throw Error(tensors.files()[tensor->file]->name() + ": tensor " + tensor->name +
                    " is damaged: the value at its byte " + std::to_string(from + at) +
                    " is not a number. Download the file again.");
      }
    });
    done.bytes_done += bytes;
    if (progress) progress(done);
  }
  for (const auto& file : tensors.files()) {
    file->drop_cached();
    file->check_unchanged();
  }
  return true;
}

}  // namespace hearth::engine
