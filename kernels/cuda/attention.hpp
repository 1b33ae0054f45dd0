// Launches attention over a cache: as many rows and spans at a time as its scratch holds.
#pragma once

#include "kernels/cuda/kernels.hpp"
#include "kernels/cuda/operands.hpp"
#include "kernels/cuda/runtime.hpp"

namespace hearth::kernels::cuda {

// One thread at a time. Keeps scratch memory between calls; where a call needs more, it waits for
// what is queued before the old one goes.
class AttentionLauncher {
 public:
  AttentionLauncher(Runtime& runtime, const Kernels& kernels)
      : runtime_(runtime), kernels_(kernels), operands_(runtime.device()) {}

  // The cache has been checked.
  void run(const Attention& args, const KvCache& kv);

 private:
  void run_rows(const Attention& args, const KvCache& kv, int first, int rows);
  static void grow(Runtime& runtime, Buffer& buffer, std::int64_t values);

  Runtime& runtime_;
  const Kernels& kernels_;
  Operands operands_;
  Buffer partials_;
  Buffer totals_;
};

}  // namespace hearth::kernels::cuda
