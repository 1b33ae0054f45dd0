// Where every expert's bytes lie in the checkpoint's own files, and how they lie in a slot of
// memory after a read. Scales are small and read once. Decides nothing about what is kept.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/config.hpp"
#include "engine/experts.hpp"
#include "engine/reader.hpp"
#include "engine/safetensors.hpp"
#include "engine/weight_tensor.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Immutable after load_scales. An expert's key is layer · num_experts + expert; the MTP head's
// layer stands behind the others.
class ExpertStore {
 public:
  using Key = std::int32_t;

  // `prefixes`: of each layer's experts, "model.layers.0.mlp.experts." and so on. Checks every
  // tensor; throws Error naming it. Keeps a reference to `tensors`.
  ExpertStore(const Tensors& tensors, const Config& config,
              const std::vector<std::string>& prefixes);

  // Reads all scales (0.02 % of the experts' bytes) into memory of the backend.
  void load_scales(kernels::Backend& backend);

  int layers() const { return layers_; }
  int experts_per_layer() const { return per_layer_; }
  std::size_t size() const { return places_.size(); }  // experts
  Key key(LayerId layer, ExpertId expert) const { return layer.value * per_layer_ + expert.value; }
  // A slot's memory: the largest expert's reads. A multiple of direct_alignment.
  std::size_t slot_bytes() const { return slot_bytes_; }
  std::size_t expert_bytes() const { return expert_bytes_; }  // of the largest, weights alone
  std::size_t scale_bytes() const { return scales_.bytes(); }

  // What fills `slot` (slot_bytes of memory, direct_alignment aligned) with an expert.
  std::vector<Read> reads(Key key, std::span<std::byte> slot) const;
  // The expert in the slot at a byte offset of `arena`.
  ExpertWeights weights(Key key, const kernels::Buffer& arena, std::size_t slot_offset) const;

 private:
  // A merged range of a file, widened to aligned borders.
  struct Range {
    std::uint32_t file = 0;
    std::uint32_t slot_offset = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t least = 0;  // without what lies behind the last tensor's end
  };
  struct Part {  // gate, up, down
    kernels::DType type = kernels::DType::f32;
    std::uint32_t slot_offset = 0;
    std::uint32_t first_scale = 0;  // in scales_
  };
  struct Place {
    std::array<Range, 3> ranges;
    std::uint8_t range_count = 0;
    std::array<Part, 3> parts;
  };

  Place place_of(const std::array<WeightTensor, 3>& weights);
  kernels::Matrix matrix(const Place& place, std::size_t part, const kernels::Buffer& arena,
                         std::size_t slot_offset) const;

  const Tensors& tensors_;
  int layers_ = 0;
  int per_layer_ = 0;
  std::int64_t hidden_ = 0;
  std::int64_t width_ = 0;
  std::size_t slot_bytes_ = 0;
  std::size_t expert_bytes_ = 0;
  std::vector<Place> places_;                     // by key
  std::vector<const TensorInfo*> scale_tensors_;  // in the order of scales_; until they are read
  std::size_t scale_count_ = 0;
  kernels::Buffer scales_;  // F32
};

}  // namespace hearth::engine
