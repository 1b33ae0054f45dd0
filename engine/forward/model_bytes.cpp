// Sums over the tensors' headers.
#include "engine/forward/model_bytes.hpp"

#include <charconv>
#include <cstddef>
#include <string_view>
#include <system_error>

#include "engine/checkpoint/digest.hpp"

namespace hearth::engine {

std::uint64_t dense_bytes(const Tensors& tensors, bool mtp) {
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : tensors.all()) {
    if (is_expert_weight(name) || is_skipped(name) || (!mtp && name.starts_with("mtp."))) continue;
    total += tensor.bytes;
  }
  return total;
}

std::uint64_t expert_bytes(const Tensors& tensors, bool mtp) {
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : tensors.all()) {
    if (is_expert_weight(name) && (mtp || !name.starts_with("mtp."))) total += tensor.bytes;
  }
  return total;
}

std::vector<std::uint64_t> layer_bytes(const Tensors& tensors, int layers) {
  constexpr std::string_view mark = "layers.";
  std::vector<std::uint64_t> bytes(static_cast<std::size_t>(layers));
  for (const auto& [name, tensor] : tensors.all()) {
    const std::size_t at = name.find(mark);
    if (at == std::string_view::npos || name.starts_with("mtp.") || is_skipped(name) ||
        name.find(".experts.") != std::string_view::npos)
      continue;
    std::size_t layer = 0;
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + at + mark.size(), end, layer);
    if (parsed.ec == std::errc() && layer < bytes.size()) bytes[layer] += tensor.bytes;
  }
  return bytes;
}

}  // namespace hearth::engine
