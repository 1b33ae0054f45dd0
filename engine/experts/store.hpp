// Where every expert's bytes are in the checkpoint's own files, and their layout in a slot of
// memory after a read. Scales are small and lie beside the slots. Decides nothing about what is
// kept.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/checkpoint/safetensors.hpp"
#include "engine/checkpoint/weight_tensor.hpp"
#include "engine/experts/experts.hpp"
#include "engine/experts/reader.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// Immutable. An expert's key is layer · num_experts + expert; the MTP head's layer comes after the
// others.
class ExpertStore {
 public:
  using Key = std::int32_t;

  // `prefixes`: of each layer's experts, "model.layers.0.mlp.experts." and so on; none where the
  // model is dense. A layer has tensors for each expert, or one for all, of which an expert is a
  // part. Checks every tensor; throws Error naming it. Keeps a reference to `tensors`.
  ExpertStore(const Tensors& tensors, const ModelConfig& config,
              const std::vector<std::string>& prefixes);

  // Reads all scales (0.02 % of the experts' bytes) into memory of the backend's device.
  kernels::Buffer load_scales(kernels::Backend& backend) const;

  int layers() const { return layers_; }
  int experts_per_layer() const { return per_layer_; }
  std::size_t size() const { return locations_.size(); }  // experts
  Key key(LayerId layer, ExpertId expert) const { return layer.value * per_layer_ + expert.value; }
  // A slot's memory: the largest expert's reads. A multiple of direct_alignment.
  std::size_t slot_bytes() const { return slot_bytes_; }
  std::size_t expert_bytes() const { return expert_bytes_; }  // of the largest, weights alone
  std::size_t scale_bytes() const { return scale_count_ * sizeof(float); }

  // What fills `slot` (slot_bytes of memory, direct_alignment aligned) with an expert.
  std::vector<Read> reads(Key key, std::span<std::byte> slot) const;
  // The expert in the slot at a byte offset of `arena`; `scales` of the same device.
  ExpertWeights weights(Key key, const kernels::Buffer& arena, std::size_t slot_offset,
                        const kernels::Buffer& scales) const;
  // Its weights' bytes in a slot that was filled: gate, up, down.
  std::array<std::span<const std::byte>, 3> parts(Key key, std::span<const std::byte> slot) const;
  std::string description(Key key, std::size_t part) const;  // "FILE: tensor NAME"

 private:
  // A merged range of a file, widened to aligned borders.
  struct Range {
    std::uint32_t file = 0;
    std::uint32_t slot_offset = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t min_bytes = 0;  // without what is after the last tensor's end
  };
  struct Part {  // gate, up, down
    kernels::DType type = kernels::DType::f32;
    std::uint32_t slot_offset = 0;
    std::uint32_t first_scale = 0;  // in the scales
    kernels::ScaleForm scale_form = kernels::ScaleForm::blocks;
  };
  struct Location {
    std::array<Range, 3> ranges;
    std::uint8_t range_count = 0;
    std::array<Part, 3> parts;
  };

  std::array<WeightTensor, 3> weights_of(const std::string& prefix, int expert) const;
  Location location_of(const std::array<WeightTensor, 3>& weights);
  kernels::Matrix matrix(const Location& location, std::size_t part, const kernels::Buffer& arena,
                         std::size_t slot_offset, const kernels::Buffer& scales) const;

  const Tensors& tensors_;
  std::vector<std::string> prefixes_;  // of the tensors' names, by layer
  int layers_ = 0;
  int per_layer_ = 0;
  std::int64_t hidden_ = 0;
  std::int64_t width_ = 0;
  std::size_t slot_bytes_ = 0;
  std::size_t expert_bytes_ = 0;
  std::vector<Location> locations_;               // by key
  std::vector<const TensorInfo*> scale_tensors_;  // in the order of the scales
  std::size_t scale_count_ = 0;                   // F32 values
};

}  // namespace hearth::engine
