// Random weights that behave: normal-like, without NaN codes, of the standard deviation a layer
// needs.
#include "engine/dummy/values.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/dummy/dummy.hpp"
#include "engine/support/digest.hpp"
#include "kernels/numeric.hpp"

namespace hearth::engine {
namespace {

constexpr std::size_t line_words = 8;
constexpr std::size_t line_bytes = line_words * sizeof(std::uint64_t);
// A prime: the rows of no matrix come around to the same place of the pool.
constexpr std::uint64_t pool_lines = 65'521;
constexpr std::uint64_t pool_words = pool_lines * line_words;

// What makes a skew of 2 mean 70 % hits; see DummyOptions::skew.
constexpr double bias_per_skew = 0.39;

// --- Randomness: a counter, hashed -----------------------------------------------------------

constexpr std::uint64_t golden = 0x9e37'79b9'7f4a'7c15;

// splitmix64 (Steele, Lea, Flood 2014) at place `index` of the sequence that `key` begins.
constexpr std::uint64_t hash(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + (index + 1) * golden;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}

// From 0 to below 1.
double uniform(std::uint64_t key, std::uint64_t index) {
  return static_cast<double>(hash(key, index) >> 11) * 0x1p-53;
}

// Four uniform values added up: standard deviation 1, at most 3.47, close to normal.
double bounded_normal(std::uint64_t bits) {
  const std::uint64_t sum =
      (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
  constexpr double deviation = 65536 * 0.57735026918962576;  // √(4/12)
  return (static_cast<double>(sum) - 131070.0) / deviation;
}
constexpr double largest_normal = 3.47;

// The same of twelve values, whose tails reach to 6.
double normal(std::uint64_t key, std::uint64_t index) {
  double sum = 0;
  for (std::uint64_t i = 0; i < 3; ++i) sum += bounded_normal(hash(key, 3 * index + i));
  return sum / std::sqrt(3.0);
}

std::uint64_t key_of(const DummyTensor& tensor, std::uint64_t seed) {
  const std::uint64_t name = digest(std::as_bytes(std::span(tensor.name)));
  return hash(name, seed);
}

// --- Number formats --------------------------------------------------------------------------

std::uint16_t narrow_bf16(double value) {  // to nearest, ties to even
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

// Positive e4m3 codes by value: 126 is 448, and 127, NaN, is never made.
class CodeTable {
 public:
  CodeTable() {
    for (std::size_t code = 0; code < between_.size(); ++code) {
      const auto low = static_cast<std::uint8_t>(code);
      const auto high = static_cast<std::uint8_t>(code + 1);
      between_[code] = (kernels::widen_f8(low) + kernels::widen_f8(high)) / 2;
    }
  }
  std::uint8_t nearest(float magnitude) const {
    return static_cast<std::uint8_t>(std::ranges::lower_bound(between_, magnitude) -
                                     between_.begin());
  }

 private:
  std::array<float, 126> between_{};  // [code]: half way from code to code + 1
};

// --- Pools -----------------------------------------------------------------------------------

// Codes of weights whose largest in a block is 448, as quantisation leaves them. `deviation` is set
// to the standard deviation of the values.
std::vector<std::uint64_t> make_codes(std::uint64_t key, double& deviation) {
  const CodeTable table;
  std::vector<std::uint64_t> words(pool_words);
  double squares = 0;
  for (std::size_t word = 0; word < words.size(); ++word) {
    std::array<std::uint8_t, sizeof(std::uint64_t)> codes{};
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double value = bounded_normal(hash(key, word * codes.size() + i));
      codes[i] = table.nearest(static_cast<float>(std::fabs(value) * (448 / largest_normal)));
      const double coded = static_cast<double>(kernels::widen_f8(codes[i]));
      squares += coded * coded;
    }
    words[word] = std::bit_cast<std::uint64_t>(codes);
  }
  deviation = std::sqrt(squares / static_cast<double>(words.size() * sizeof(std::uint64_t)));
  return words;
}

std::vector<std::uint64_t> make_plain(std::uint64_t key, double deviation) {
  std::vector<std::uint64_t> words(pool_words);
  for (std::size_t word = 0; word < words.size(); ++word) {
    std::array<std::uint16_t, sizeof(std::uint64_t) / sizeof(std::uint16_t)> values{};
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = narrow_bf16(deviation * bounded_normal(hash(key, word * values.size() + i)));
    }
    words[word] = std::bit_cast<std::uint64_t>(values);
  }
  return words;
}

bool is_random(const DummyTensor& tensor) {
  switch (tensor.values) {
    case Values::random:
    case Values::embedding:
    case Values::router:
    case Values::output:
    case Values::mtp_input:
      return true;
    case Values::scales:
    case Values::near_zero:
    case Values::near_one:
    case Values::a_log:
    case Values::dt_bias:
      break;
  }
  return false;
}

// Writes BF16 element `index` of the tensor, if it is in `to`, which begins at its byte
// `from`.
void put_bf16(std::uint64_t index, double value, std::uint64_t from, std::span<std::byte> to) {
  const std::uint64_t at = index * sizeof(std::uint16_t);
  if (at < from || at + sizeof(std::uint16_t) > from + to.size()) return;
  const std::uint16_t narrowed = narrow_bf16(value);
  std::memcpy(to.data() + (at - from), &narrowed, sizeof narrowed);
}

// Zeroes the tensor's first `count` bytes, as far as they are in `to`.
void clear_first(std::uint64_t count, std::uint64_t from, std::span<std::byte> to) {
  if (from >= count) return;
  const std::uint64_t here = std::min<std::uint64_t>(to.size(), count - from);
  std::ranges::fill(to.first(static_cast<std::size_t>(here)), std::byte{0});
}

}  // namespace

DummyValues::DummyValues(const DummyOptions& options, std::span<const DummyShard> shards)
    : skew_(options.skew), sparse_(options.sparse), seed_(options.seed) {
  codes_ = make_codes(hash(seed_, 0), code_deviation_);
  for (const DummyShard& shard : shards) {
    for (const DummyTensor& tensor : shard.tensors) {
      if (tensor.type != TensorType::bf16 || !is_random(tensor)) continue;
      Words& pool = plain_[tensor.deviation];
      if (pool.empty()) pool = make_plain(hash(seed_, plain_.size()), tensor.deviation);
    }
  }
}

void DummyValues::fill(const DummyShard& shard, std::uint64_t begin,
                       std::span<std::byte> to) const {
  std::uint64_t at = begin;
  const auto take = [&](std::uint64_t end) {  // the part of `to` before byte `end` of the file
    const std::uint64_t count = std::min<std::uint64_t>(end - at, to.size());
    const std::span<std::byte> part = to.first(static_cast<std::size_t>(count));
    to = to.subspan(part.size());
    at += count;
    return part;
  };

  if (at < shard.header.size()) {
    const char* from = shard.header.data() + at;
    const std::span<std::byte> part = take(shard.header.size());
    std::memcpy(part.data(), from, part.size());
  }
  auto tensor = std::ranges::upper_bound(shard.tensors, at, {}, &DummyTensor::offset);
  if (tensor != shard.tensors.begin()) --tensor;
  for (; tensor != shard.tensors.end() && !to.empty(); ++tensor) {
    const std::uint64_t from = at - tensor->offset;
    if (from < tensor->bytes) fill_tensor(*tensor, from, take(tensor->offset + tensor->bytes));
  }
  std::ranges::fill(to, std::byte{0});
}

// `to` receives the tensor's bytes from `from` on, which is the beginning of an element.
void DummyValues::fill_tensor(const DummyTensor& tensor, std::uint64_t from,
                              std::span<std::byte> to) const {
  if (tensor.expert && sparse_) {
    std::ranges::fill(to, std::byte{0});
    return;
  }
  const std::uint64_t key = key_of(tensor, seed_);
  if (!is_random(tensor)) {
    const std::size_t size = size_of(tensor.type);
    for (std::size_t done = 0; done < to.size(); done += size) {
      const double value = single(tensor, key, (from + done) / size);
      const auto wide = static_cast<float>(value);
      const std::uint16_t narrow = narrow_bf16(value);
      std::memcpy(to.data() + done,
                  tensor.type == TensorType::f32 ? static_cast<const void*>(&wide)
                                                 : static_cast<const void*>(&narrow),
                  size);
    }
    return;
  }

  fill_random(tensor, key, from, to);
  const auto rows = static_cast<std::uint64_t>(tensor.shape.front());
  const auto cols = static_cast<std::uint64_t>(tensor.shape.back());
  const std::uint64_t row_bytes = cols * size_of(tensor.type);
  const std::uint64_t first = (from + row_bytes - 1) / row_bytes;
  const std::uint64_t last = std::min(rows, (from + to.size() + row_bytes - 1) / row_bytes);
  switch (tensor.values) {
    case Values::embedding:
      for (std::uint64_t row = first; row < last; ++row) put_bf16(row * cols, 1, from, to);
      break;
    case Values::router:
      // The random part of a logit is a sum over cols values of variance 1.
      for (std::uint64_t row = first; row < last; ++row) {
        const double logit_deviation = tensor.deviation * std::sqrt(static_cast<double>(cols));
        const double bias = bias_per_skew * skew_ * logit_deviation * normal(~key, row);
        put_bf16(row * cols, bias, from, to);
      }
      break;
    case Values::output:
      clear_first(row_bytes, from, to);
      break;
    case Values::mtp_input:
      clear_first(row_bytes, from, to);
      put_bf16(0, 1, from, to);
      break;
    default:
      break;
  }
}

void DummyValues::fill_random(const DummyTensor& tensor, std::uint64_t key, std::uint64_t from,
                              std::span<std::byte> to) const {
  const bool coded = tensor.type == TensorType::f8_e4m3;
  const Words& pool = coded ? codes_ : plain_.at(tensor.deviation);
  const std::uint64_t sign_bits = coded ? 0x8080'8080'8080'8080 : 0x8000'8000'8000'8000;
  const std::uint64_t start = hash(key, 0) % pool_lines;
  const std::uint64_t sign_key = hash(key, 1);

  std::uint64_t line = from / line_bytes;
  std::uint64_t place = (start + line) % pool_lines;
  auto skip = static_cast<std::size_t>(from % line_bytes);
  while (!to.empty()) {
    const std::uint64_t signs = hash(sign_key, line);  // each of its bits becomes one sign
    std::array<std::uint64_t, line_words> words{};
    std::memcpy(words.data(), pool.data() + place * line_words, line_bytes);
    for (std::size_t i = 0; i < line_words; ++i) words[i] ^= (signs << i) & sign_bits;

    const std::size_t count = std::min(line_bytes - skip, to.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
    if (count == line_bytes) {
      std::memcpy(to.data(), bytes, line_bytes);
    } else {
      std::memcpy(to.data(), bytes + skip, count);
    }
    to = to.subspan(count);
    skip = 0;
    ++line;
    if (++place == pool_lines) place = 0;
  }
}

// One value of a small tensor.
double DummyValues::single(const DummyTensor& tensor, std::uint64_t key,
                           std::uint64_t index) const {
  const double u = uniform(key, index);
  switch (tensor.values) {
    case Values::scales:
      return tensor.deviation / code_deviation_ * (0.75 + 0.5 * u);
    case Values::near_zero:
      return (2 * u - 1) / 16;
    case Values::near_one:
      return 1 + (2 * u - 1) / 16;
    case Values::a_log:
      return std::log(1 + 15 * u);
    case Values::dt_bias: {
      // g = -exp(A_log) · softplus(dt_bias) must be between -0.1 and -0.001.
      const double step = 0.001 * std::pow(6.5, u);
      return std::log(std::expm1(step));
    }
    default:
      return 0;
  }
}

}  // namespace hearth::engine
