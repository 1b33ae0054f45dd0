// Computes the digests of a checkpoint's files, in parallel.
#include "engine/checkpoint/digest.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <exception>
#include <span>
#include <utility>

#include "engine/checkpoint/weight_tensor.hpp"
#include "engine/support/digest.hpp"
#include "engine/support/mutex.hpp"
#include "engine/support/parallel_for.hpp"

namespace hearth::engine {

namespace {

constexpr std::size_t samples_per_file = 64;
constexpr std::size_t reading_threads = 16;  // at once; an SSD answers them together
constexpr std::uint64_t sample_seed = 0x6865'6172'7468'3230;

std::span<const std::byte> bytes_of(const std::uint64_t& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::uint64_t add_number(std::uint64_t sum, std::uint64_t value) {
  return digest(bytes_of(value), sum);
}

// The size field and the text behind it.
std::uint64_t digest_header(const File& file) {
  std::array<std::byte, 8> size{};
  file.read(0, size);
  // Opening the file has shown that it fits.
  std::vector<std::byte> text(static_cast<std::size_t>(std::bit_cast<std::uint64_t>(size)));
  file.read(size.size(), text);
  return digest(text, std::bit_cast<std::uint64_t>(size));
}

// Throws Error.
std::uint64_t digest_page(const File& file, std::uint64_t offset) {
  alignas(direct_alignment) std::array<std::byte, sample_bytes> page;
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(page.size(), file.size() - offset));
  std::size_t got = file.read_direct(offset, page);
  if (got < wanted) {
    file.read(offset, std::span(page).first(wanted));
    got = wanted;
  }
  return digest(std::span(page).first(wanted), offset);
}

}  // namespace

bool is_expert_weight(std::string_view name) {
  return name.find(".mlp.experts.") != std::string_view::npos &&
         !name.ends_with(block_scale_ending) && !name.ends_with(scale_ending);
}

bool is_skipped(std::string_view name) {
  return name.starts_with("model.visual.");
}

std::vector<std::uint64_t> sample_offsets(const Tensors& tensors, std::size_t file) {
  std::vector<const TensorInfo*> experts;
  for (const auto& [name, tensor] : tensors.all()) {
    if (tensor.file == file && tensor.bytes > 0 && is_expert_weight(name))
      experts.push_back(&tensor);
  }
  std::ranges::sort(experts, {}, &TensorInfo::offset);
  std::vector<std::uint64_t> ends;  // in the experts' data, as if it were in one piece
  for (const TensorInfo* tensor : experts)
    ends.push_back((ends.empty() ? 0 : ends.back()) + tensor->bytes);
  if (ends.empty()) return {};

  const std::uint64_t total = ends.back();
  const std::uint64_t step = total / samples_per_file + 1;
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t i = 0; i < samples_per_file; ++i) {
    // One in each of as many equal parts.
    const std::uint64_t within = digest(bytes_of(i), sample_seed ^ total) % step;
    const std::uint64_t at = std::min(i * total / samples_per_file + within, total - 1);
    const auto index = static_cast<std::size_t>(std::ranges::upper_bound(ends, at) - ends.begin());
    const TensorInfo& tensor = *experts[index];
    const std::uint64_t offset = tensor.offset + tensor.bytes - (ends[index] - at);
    offsets.push_back(offset / sample_bytes * sample_bytes);
  }
  return offsets;
}

std::uint64_t digest_samples(const Tensors& tensors) {
  struct Sample {
    const File* file = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t digest = 0;
  };
  std::vector<Sample> samples;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < tensors.files().size(); ++i) {
    const File& file = *tensors.files()[i];
    sum = add_number(add_number(sum, file.size()), digest_header(file));
    for (const std::uint64_t offset : sample_offsets(tensors, i))
      samples.push_back({&file, offset, 0});
  }
  Mutex mutex;
  std::string failure;
  parallel_for(samples.size(), reading_threads, [&](std::size_t i) {
    try {
      samples[i].digest = digest_page(*samples[i].file, samples[i].offset);
    } catch (const std::exception& error) {
      const Lock lock(mutex);
      failure = error.what();
    }
  });
  if (!failure.empty()) throw Error(failure);
  for (const Sample& sample : samples) sum = add_number(sum, sample.digest);
  return sum;
}

std::uint64_t digest_tensor(const Tensors& tensors, const TensorInfo& tensor) {
  std::vector<std::byte> piece;
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < tensor.bytes; at += digest_piece) {
    piece.resize(static_cast<std::size_t>(std::min(digest_piece, tensor.bytes - at)));
    tensors.read(tensor, at, piece);
    sum = digest(piece, sum);
  }
  return sum;
}

void TensorDigests::add(std::string_view name, std::uint64_t digest) {
  sum_ += engine::digest(std::as_bytes(std::span(name)), digest);
}

std::uint64_t digest_stamps(const Tensors& tensors) {
  std::uint64_t sum = 0;
  for (const auto& file : tensors.files()) {
    const FileStamp stamp = file->stamp();
    for (const std::uint64_t value :
         {stamp.size, stamp.inode, static_cast<std::uint64_t>(stamp.written)})
      sum = add_number(sum, value);
  }
  return sum;
}

CheckpointFiles::CheckpointFiles(std::filesystem::path directory, const Tensors& tensors,
                                 std::uint64_t samples, std::uint64_t outside)
    : directory_(std::move(directory)), tensors_(tensors), samples_(samples), outside_(outside) {
  for (const auto& file : tensors_.files()) seen_.push_back(file->stamp());
}

void CheckpointFiles::check() {
  const File* changed = nullptr;
  std::vector<FileStamp> now = seen_;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const File& file = *tensors_.files()[i];
    now[i] = file.stamp_now().value_or(seen_[i]);
    if (now[i] != seen_[i]) changed = &file;
  }
  if (changed == nullptr) return;
  const Tensors again = Tensors::open(directory_);
  bool same = digest_samples(again) == samples_;
  if (same) {
    TensorDigests outside;
    for (const auto& [name, tensor] : again.all())
      if (!is_expert_weight(name)) outside.add(name, digest_tensor(again, tensor));
    same = outside.sum() == outside_;
  }
  if (!same) {
    throw Error(changed->name() +
                ": the checkpoint's files are other ones than those that were loaded. Run `hearth "
                "stop`; the next request loads them.");
  }
  seen_ = std::move(now);
}

}  // namespace hearth::engine
