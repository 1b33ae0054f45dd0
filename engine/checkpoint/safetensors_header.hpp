// The header of one safetensors file: bytes to a checked list of tensors. Private to Tensors.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"
#include "engine/support/file.hpp"

namespace hearth::engine {

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // TensorInfo::file is left 0
  std::map<std::string, std::string> metadata;
};

// Throws Error naming the file and the tensor. Tensors returned are inside the file, do not overlap
// and have exactly the bytes of their shape; unused bytes between them are allowed.
SafetensorsHeader read_safetensors_header(const File& file);

}  // namespace hearth::engine
