// Scratch for one layer's computation: values are taken one after another and all given back at
// once. Grows to what the largest layer half needed and stays there.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/ops.hpp"

namespace hearth::engine {

// One thread at a time, like the Backend.
class Workspace {
 public:
  // In the memory of the backend's device, or where that copies from.
  explicit Workspace(kernels::Backend& backend,
                     kernels::MemoryKind kind = kernels::MemoryKind::device)
      : backend_(&backend), kind_(kind) {}

  // `count` F32 values of undefined content, valid until reset().
  kernels::Slice take(std::size_t count);
  void reset();
  std::size_t bytes() const;

 private:
  kernels::Backend* backend_;
  kernels::MemoryKind kind_;
  std::vector<kernels::Buffer> blocks_;
  std::size_t used_ = 0;  // values of the last block
};

}  // namespace hearth::engine
