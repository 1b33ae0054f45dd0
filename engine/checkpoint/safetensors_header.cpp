// Validation of a safetensors header: nothing of it is believed before it is checked.
#include "engine/checkpoint/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "engine/support/json_tree.hpp"

namespace hearth::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr std::uint64_t max_header_bytes = max_json_bytes;
constexpr std::size_t max_dimensions = 8;

struct Format {
  std::string_view name;
  TensorType type;
  std::uint64_t bytes;
};

// Every type of the format with whole bytes; those that no operation reads are `other`.
constexpr std::array formats{
    Format{"F32", TensorType::f32, 4},       Format{"F16", TensorType::f16, 2},
    Format{"BF16", TensorType::bf16, 2},     Format{"F8_E4M3", TensorType::f8_e4m3, 1},
    Format{"I32", TensorType::i32, 4},       Format{"I64", TensorType::i64, 8},
    Format{"F64", TensorType::other, 8},     Format{"F8_E5M2", TensorType::other, 1},
    Format{"F8_E8M0", TensorType::other, 1}, Format{"U64", TensorType::other, 8},
    Format{"U32", TensorType::other, 4},     Format{"U16", TensorType::other, 2},
    Format{"I16", TensorType::other, 2},     Format{"U8", TensorType::other, 1},
    Format{"I8", TensorType::other, 1},      Format{"BOOL", TensorType::other, 1},
    Format{"C64", TensorType::other, 8},
};

std::string read_header_text(const File& file) {
  std::array<std::byte, 8> raw{};
  if (file.size() < raw.size()) {
    throw Error(file.name() + ": " + std::to_string(file.size()) +
                " bytes are too few for a safetensors file. Download it again.");
  }
  file.read(0, raw);
  const auto size = std::bit_cast<std::uint64_t>(raw);
  const std::uint64_t max = std::min(max_header_bytes, file.size() - raw.size());
  if (size > max) {
    throw Error(file.name() + ": its first bytes say that the header has " + std::to_string(size) +
                " bytes; at most " + std::to_string(max) +
                " are possible. It is damaged, cut or no safetensors file.");
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  file.read(raw.size(), std::as_writable_bytes(std::span(text)));
  return text;
}

const Format& read_format(const Fields& fields) {
  const std::string dtype = fields.text("dtype");
  const auto found = std::ranges::find(formats, dtype, &Format::name);
  if (found == formats.end()) fields.refuse("dtype", "a type of the safetensors format");
  return *found;
}

std::vector<std::int64_t> read_shape(const Fields& fields) {
  const nlohmann::json* shape = fields.array("shape");
  if (!shape || shape->size() > max_dimensions) {
    fields.refuse("shape", "at most " + std::to_string(max_dimensions) + " dimensions");
  }
  std::vector<std::int64_t> dimensions;
  for (const nlohmann::json& dimension : *shape) {
    if (!dimension.is_number_unsigned() ||
        dimension.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
      fields.refuse("shape", "whole numbers");
    }
    dimensions.push_back(dimension.get<std::int64_t>());
  }
  return dimensions;
}

// Bytes of a shape; Error when 64 bits do not hold them.
std::uint64_t bytes_of(const Fields& fields, const std::vector<std::int64_t>& shape,
                       std::uint64_t element) {
  std::uint64_t bytes = element;
  for (const std::int64_t dimension : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dimension), &bytes)) {
      fields.refuse("shape", "a size that 64 bits can hold");
    }
  }
  return bytes;
}

TensorInfo read_tensor(const std::string& name, const nlohmann::json& entry, const File& file,
                       std::uint64_t data_begin) {
  const Fields fields(entry, file.name() + ": tensor \"" + name + "\"");
  const Format& format = read_format(fields);
  TensorInfo tensor{.name = name, .type = format.type, .shape = read_shape(fields)};

  const std::uint64_t data_bytes = file.size() - data_begin;
  const nlohmann::json* offsets = fields.array("data_offsets");
  if (!offsets || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned()) {
    fields.refuse("data_offsets", "the begin and the end of the tensor's bytes");
  }
  const auto begin = (*offsets)[0].get<std::uint64_t>();
  const auto end = (*offsets)[1].get<std::uint64_t>();
  if (begin > end || end > data_bytes) {
    fields.refuse("data_offsets", "a rising pair within the " + std::to_string(data_bytes) +
                                      " data bytes of the file, which may have been cut");
  }
  tensor.offset = data_begin + begin;
  tensor.bytes = end - begin;
  const std::uint64_t expected = bytes_of(fields, tensor.shape, format.bytes);
  if (tensor.bytes != expected) {
    fields.refuse("data_offsets", std::to_string(expected) + " bytes, which is what its shape " +
                                      shown(entry["shape"]) + " and type take");
  }
  return tensor;
}

void check_no_overlap(const std::vector<TensorInfo>& tensors, const File& file) {
  std::vector<const TensorInfo*> by_offset;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.bytes > 0) by_offset.push_back(&tensor);
  }
  std::ranges::sort(by_offset, {}, &TensorInfo::offset);
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    const TensorInfo& before = *by_offset[i - 1];
    if (before.offset + before.bytes > by_offset[i]->offset) {
      throw Error(file.name() + ": the bytes of tensors \"" + before.name + "\" and \"" +
                  by_offset[i]->name + "\" overlap. The file is damaged; download it again.");
    }
  }
}

}  // namespace

SafetensorsHeader read_safetensors_header(const File& file) {
  const std::string text = read_header_text(file);
  const nlohmann::json document = parse_json(text, file.name());
  if (!document.is_object()) throw Error(file.name() + ": the header is no JSON object");

  SafetensorsHeader header;
  for (const auto& [name, entry] : document.items()) {
    if (name != "__metadata__") {
      header.tensors.push_back(read_tensor(name, entry, file, 8 + text.size()));
      continue;
    }
    const Fields fields(entry, file.name() + ": __metadata__");
    for (const auto& [key, value] : entry.items()) header.metadata[key] = fields.text(key);
  }
  check_no_overlap(header.tensors, file);
  return header;
}

}  // namespace hearth::engine
