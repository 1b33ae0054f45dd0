// The bytes of a dummy checkpoint as a function of their place, so that any part can be made at
// any time on any thread. Private to dummy.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/dummy/tensors.hpp"

namespace hearth::engine {

struct DummyOptions;

// Large tensors are windows of a few MiB of random values made once, with signs drawn afresh for
// every value: tensors are uncorrelated, and making them takes little longer than copying.
// Immutable; every method is thread-safe.
class DummyValues {
 public:
  // Prepares what the tensors of `shards` need.
  DummyValues(const DummyOptions& options, std::span<const DummyShard> shards);

  // The shard's file from byte `begin` on, which must be a multiple of 8; zeros behind its end.
  void fill(const DummyShard& shard, std::uint64_t begin, std::span<std::byte> to) const;

 private:
  using Words = std::vector<std::uint64_t>;  // whole lines

  void fill_tensor(const DummyTensor& tensor, std::uint64_t from, std::span<std::byte> to) const;
  void fill_random(const DummyTensor& tensor, std::uint64_t key, std::uint64_t from,
                   std::span<std::byte> to) const;
  double single(const DummyTensor& tensor, std::uint64_t key, std::uint64_t index) const;

  double skew_;
  bool sparse_;
  std::uint64_t seed_;
  Words codes_;                    // FP8
  double code_deviation_ = 0;      // their standard deviation as numbers
  std::map<double, Words> plain_;  // BF16, by standard deviation
};

}  // namespace hearth::engine
