// Any bytes as config.json: a config within its bounds, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/checkpoint/model_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::engine;
  try {
    const ModelConfig config =
        parse_config(std::string(reinterpret_cast<const char*>(data), size), "config.json");
    const bool sane = config.num_layers() > 0 && config.rotary_dim > 0 &&
                      config.rotary_dim <= config.head_dim &&
                      config.num_experts_per_tok <= config.num_experts &&
                      config.is_dense() == (config.intermediate_size > 0) &&
                      config.num_attention_heads % config.num_key_value_heads == 0 &&
                      config.linear_num_value_heads % config.linear_num_key_heads == 0;
    if (!sane) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
