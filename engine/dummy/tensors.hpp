// The tensors of a dummy checkpoint: which there are, what fills them, and where in which shard
// each is. Holds no values. Private to dummy.cpp and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/checkpoint/weight_tensor.hpp"

namespace hearth::engine {

// One hidden dimension, number 0, is the same for all tokens and in all layers: the embedding has 1
// there and nothing is ever added to it. A router's column 0 is therefore a bias per expert.
enum class Values : std::uint8_t {
  random,     // of mean 0 and standard deviation `deviation`
  embedding,  // random, but column 0 is 1
  router,     // random, but column 0 is the bias per expert
  output,     // random, but row 0 is 0: adds nothing to the constant dimension
  mtp_input,  // random, but row 0 only passes the constant dimension on
  scales,     // of FP8 weights of standard deviation `deviation`
  near_zero,  // within 1/16 of 0: a zero-centred norm's weight
  near_one,   // within 1/16 of 1
  a_log,      // log of 1 … 16
  dt_bias,    // with which and a_log a DeltaNet head's state decays by 0.1 to 10 % a token
};

struct DummyTensor {
  std::string name;
  TensorType type = TensorType::bf16;
  std::vector<std::int64_t> shape;
  Values values = Values::random;
  double deviation = 0;
  bool expert = false;  // a routed expert's weights: a hole in a sparse checkpoint
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // in its shard's file
};

// All tensors in the order of the model's modules; offsets are left 0.
std::vector<DummyTensor> list_tensors(const ModelConfig& config, bool mtp,
                                      WeightForm form = WeightForm::fp8);

struct DummyShard {
  std::string name;                  // "model-00001-of-00004.safetensors"
  std::string header;                // the file's first bytes: length, JSON, padding
  std::vector<DummyTensor> tensors;  // by offset; the first begins behind the header
  std::uint64_t bytes = 0;           // of the whole file
};

// Deals the tensors out in their order to shards of at most `shard_bytes`, and orders each shard
// as safetensors' own writer does: by falling size of the type, then by name.
std::vector<DummyShard> lay_out(std::vector<DummyTensor> tensors, std::uint64_t shard_bytes);

}  // namespace hearth::engine
