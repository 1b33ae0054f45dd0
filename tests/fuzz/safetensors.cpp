// Any bytes as a safetensors file: a table whose every tensor can be read, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/safetensors.hpp"
#include "tests/engine/files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::engine;
  std::vector<std::unique_ptr<File>> files;
  files.push_back(
      std::make_unique<MemoryFile>(std::string(reinterpret_cast<const char*>(data), size)));
  try {
    const Tensors tensors = Tensors::from_files(std::move(files));
    std::size_t bytes_in_all = 0;
    for (const auto& [tensor_name, tensor] : tensors.all()) {
      std::vector<std::byte> bytes(tensor.bytes);
      tensors.read(tensor, 0, bytes);
      bytes_in_all += bytes.size();
      if (tensor.type == TensorType::i32) tensors.read_i32(tensor);
      const bool widened = tensor.type == TensorType::f32 || tensor.type == TensorType::f16 ||
                           tensor.type == TensorType::bf16;
      if (widened) tensors.read_f32(tensor);
    }
    if (bytes_in_all > size) std::abort();  // tensors overlap
  } catch (const Error&) {
  }
  return 0;
}
