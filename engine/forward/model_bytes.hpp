// How many bytes the parts of a checkpoint take, before any of it is read.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"

namespace hearth::engine {

// Of what load_dense reads; tensors of experts do not count, their scales do.
std::uint64_t dense_bytes(const Tensors& tensors, bool mtp);
// Of the experts' weights, the MTP head's own among them or not.
std::uint64_t expert_bytes(const Tensors& tensors, bool mtp);
// Of each layer's weights outside its routed experts.
std::vector<std::uint64_t> layer_bytes(const Tensors& tensors, int layers);

}  // namespace hearth::engine
