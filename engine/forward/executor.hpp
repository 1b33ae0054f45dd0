// What a model is computed with: the devices and their scratch, and the experts in their memory.
// Changes with every step, unlike the Model; the computing thread's alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/experts/cache.hpp"
#include "engine/experts/digests.hpp"
#include "engine/forward/state.hpp"
#include "engine/forward/workspace.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

// A device beside the host computes the layers and the experts that are in its memory.
struct ComputeDevice {
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<Workspace> workspace;  // its scratch, of the layer that is being computed
  std::unique_ptr<Workspace> staging;    // the host's end of the copies to and from it; the host's
                                         // own: null
  std::uint64_t expert_memory = 0;       // of one beside the host: what its layers leave to experts
};

struct Executor {
  std::vector<ComputeDevice> devices;  // the host first
  std::unique_ptr<ExpertDigests> digests;
  std::unique_ptr<ExpertCache> experts;  // must be destroyed before what is above

  StateHomes homes;

  kernels::Backend& host() { return *devices.front().backend; }
  Workspace& workspace() { return *devices.front().workspace; }  // the host's

  // Sees to it that a buffer has so many bytes; what a smaller one held is gone.
  void provide(std::size_t device, kernels::Buffer& buffer, std::size_t bytes);
  // The same in host memory, where copies to and from the devices are fast.
  void provide_for_copies(kernels::Buffer& buffer, std::size_t bytes);
  // Its bytes are in the memory of `home` from now on.
  void move(kernels::Buffer& buffer, kernels::Backend& home);
  // All of a sequence's go to where `homes` says.
  void move(State& state);
  void move(RecurrentState& state);
  // Nothing that was queued is under way any more, whatever went wrong there.
  void abandon() noexcept;
};

}  // namespace hearth::engine
