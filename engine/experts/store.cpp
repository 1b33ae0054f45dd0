// Computes where each expert's bytes are in the files and in a slot.
#include "engine/experts/store.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace hearth::engine {

namespace {

constexpr std::array part_names{"gate_proj.weight", "up_proj.weight", "down_proj.weight"};
// Of all of a layer's experts: [experts, gate's rows and then up's, hidden] and [experts, hidden,
// width].
constexpr const char* fused_gate_up = "gate_up_proj";
constexpr const char* fused_down = "down_proj";

using kernels::Matrix;
using kernels::Slice;

// Tensors this close together are read at once: less than a read of its own costs.
constexpr std::uint64_t merge_gap = 64 << 10;
// A slot's offsets are 32 bits wide.
constexpr std::uint64_t largest_expert = std::uint64_t{1} << 30;

std::uint64_t round_down(std::uint64_t value) {
  return value / direct_alignment * direct_alignment;
}
std::uint64_t round_up(std::uint64_t value) {
  return round_down(value + direct_alignment - 1);
}
std::uint64_t end_of(const WeightTensor& weight) {
  return weight.offset + weight.bytes;
}

}  // namespace

ExpertStore::ExpertStore(const Tensors& tensors, const ModelConfig& config,
                         const std::vector<std::string>& prefixes)
    : tensors_(tensors),
      prefixes_(prefixes),
      layers_(static_cast<int>(prefixes.size())),
      per_layer_(config.num_experts),
      hidden_(config.hidden_size),
      width_(config.moe_intermediate_size) {
  locations_.reserve(prefixes.size() * static_cast<std::size_t>(per_layer_));
  for (const std::string& prefix : prefixes) {
    for (int expert = 0; expert < per_layer_; ++expert)
      locations_.push_back(location_of(weights_of(prefix, expert)));
  }
}

std::array<WeightTensor, 3> ExpertStore::weights_of(const std::string& prefix, int expert) const {
  const std::string gate_up = prefix + fused_gate_up;
  if (tensors_.find(gate_up) != nullptr) {
    const FusedShape in{per_layer_, 2 * width_, hidden_};
    const FusedShape out{per_layer_, hidden_, width_};
    return {require_fused_weight(tensors_, gate_up, in, expert, 0, width_),
            require_fused_weight(tensors_, gate_up, in, expert, width_, width_),
            require_fused_weight(tensors_, prefix + fused_down, out, expert, 0, hidden_)};
  }
  const std::string name = prefix + std::to_string(expert) + ".";
  return {require_weight(tensors_, name + part_names[0], width_, hidden_),
          require_weight(tensors_, name + part_names[1], width_, hidden_),
          require_weight(tensors_, name + part_names[2], hidden_, width_)};
}

ExpertStore::Location ExpertStore::location_of(const std::array<WeightTensor, 3>& weights) {
  Location location;
  std::array<std::size_t, 3> order{0, 1, 2};
  std::ranges::sort(order, {}, [&](std::size_t i) {
    return std::pair(weights[i].data->file, weights[i].offset);
  });
  std::uint64_t used = 0;  // of the slot
  std::uint64_t bytes = 0;
  std::uint64_t covered = 0;  // end of the last range's tensors in its file
  for (const std::size_t i : order) {
    const WeightTensor& weight = weights[i];
    const TensorInfo& tensor = *weight.data;
    bytes += weight.bytes;
    if (weight.bytes > largest_expert) {
      throw Error("tensor " + tensor.name + " has " + std::to_string(weight.bytes) +
                  " bytes for an expert's matrix, which may have " +
                  std::to_string(largest_expert));
    }
    const bool near = location.range_count > 0 &&
                      location.ranges[location.range_count - 1u].file == tensor.file &&
                      weight.offset <= covered + merge_gap;
    if (!near) {
      Range& range = location.ranges[location.range_count++];
      range.file = static_cast<std::uint32_t>(tensor.file);
      range.offset = round_down(weight.offset);
      range.slot_offset = static_cast<std::uint32_t>(used);
    }
    Range& range = location.ranges[location.range_count - 1u];
    covered = std::max(near ? covered : 0, end_of(weight));
    range.min_bytes = static_cast<std::uint32_t>(covered - range.offset);
    range.bytes = static_cast<std::uint32_t>(round_up(range.min_bytes));
    used = range.slot_offset + range.bytes;

    Part& part = location.parts[i];
    part.type = weight.type;
    part.slot_offset =
        static_cast<std::uint32_t>(range.slot_offset + (weight.offset - range.offset));
    part.first_scale = static_cast<std::uint32_t>(scale_count_);
    part.scale_form = weight.scale_form;
    if (weight.scales != nullptr) {
      scale_tensors_.push_back(weight.scales);
      scale_count_ += weight.scale_count();
    }
  }
  slot_bytes_ = std::max<std::size_t>(slot_bytes_, used);
  expert_bytes_ = std::max<std::size_t>(expert_bytes_, bytes);
  return location;
}

kernels::Buffer ExpertStore::load_scales(kernels::Backend& backend) const {
  kernels::Buffer scales = backend.allocate(std::max<std::size_t>(scale_count_, 1) * sizeof(float));
  std::vector<float> values;
  values.reserve(scale_count_);
  for (const TensorInfo* tensor : scale_tensors_) {
    const std::vector<float> some = read_scales(tensors_, *tensor);
    values.insert(values.end(), some.begin(), some.end());
  }
  if (!values.empty()) backend.write(kernels::slice(scales, 0, values.size()), values);
  return scales;
}

std::vector<Read> ExpertStore::reads(Key key, std::span<std::byte> slot) const {
  const Location& location = locations_[static_cast<std::size_t>(key)];
  std::vector<Read> reads;
  for (std::size_t i = 0; i < location.range_count; ++i) {
    const Range& range = location.ranges[i];
    reads.push_back({tensors_.files()[range.file].get(), range.offset,
                     slot.subspan(range.slot_offset, range.bytes), range.min_bytes});
  }
  return reads;
}

ExpertWeights ExpertStore::weights(Key key, const kernels::Buffer& arena, std::size_t slot_offset,
                                   const kernels::Buffer& scales) const {
  const Location& location = locations_[static_cast<std::size_t>(key)];
  return {matrix(location, 0, arena, slot_offset, scales),
          matrix(location, 1, arena, slot_offset, scales),
          matrix(location, 2, arena, slot_offset, scales)};
}

std::array<std::span<const std::byte>, 3> ExpertStore::parts(
    Key key, std::span<const std::byte> slot) const {
  const Location& location = locations_[static_cast<std::size_t>(key)];
  std::array<std::span<const std::byte>, 3> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const Part& part = location.parts[i];
    bytes[i] = slot.subspan(
        part.slot_offset, static_cast<std::size_t>(hidden_ * width_) * kernels::size_of(part.type));
  }
  return bytes;
}

std::string ExpertStore::description(Key key, std::size_t part) const {
  const std::string& prefix = prefixes_[static_cast<std::size_t>(key / per_layer_)];
  const std::string expert = std::to_string(key % per_layer_);
  const auto in_file = [&](const std::string& name) {
    return tensors_.files()[tensors_.require(name).file]->name() + ": tensor " + name;
  };
  if (tensors_.find(prefix + fused_gate_up) == nullptr)
    return in_file(prefix + expert + "." + part_names[part]);
  return in_file(prefix + (part < 2 ? fused_gate_up : fused_down)) + ", expert " + expert;
}

Matrix ExpertStore::matrix(const Location& location, std::size_t index,
                           const kernels::Buffer& arena, std::size_t slot_offset,
                           const kernels::Buffer& all_scales) const {
  const Part& part = location.parts[index];
  const bool down = index == 2;
  const std::int64_t rows = down ? hidden_ : width_;
  const std::int64_t cols = down ? width_ : hidden_;
  Slice scales;
  if (part.type == kernels::DType::f8_e4m3) {
    const std::int64_t count = kernels::scale_count(part.scale_form, rows, cols);
    scales = kernels::slice(all_scales, part.first_scale * sizeof(float),
                            static_cast<std::size_t>(count));
  }
  return {arena, slot_offset + part.slot_offset, part.type, rows, cols, scales, part.scale_form};
}

}  // namespace hearth::engine
