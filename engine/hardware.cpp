// Hardware: asks the kernels, the only code that knows the machine.
#include "engine/hardware.hpp"

namespace hearth::engine {

Hardware find_hardware(std::optional<kernels::Isa> forced) {
  Hardware hardware;
  for (const auto isa :
       {kernels::Isa::scalar, kernels::Isa::avx2, kernels::Isa::avx512, kernels::Isa::amx}) {
    if (kernels::host_has(isa)) hardware.isas.push_back(isa);
  }
  kernels::CpuChoice choice;
  kernels::open_cpu(1, forced, choice);
  hardware.isa = choice.isa;
  hardware.cuda = kernels::cuda_devices();
  return hardware;
}

}  // namespace hearth::engine
