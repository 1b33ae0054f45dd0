// Tensors: one table over a checkpoint's shards, and bounded reads of their data.
#include "engine/checkpoint/safetensors.hpp"

#include <algorithm>
#include <utility>

#include "engine/checkpoint/safetensors_header.hpp"
#include "engine/support/json_tree.hpp"
#include "kernels/numeric.hpp"

namespace hearth::engine {
namespace {

constexpr std::size_t read_piece = std::size_t{1} << 20;  // bytes widened at a time

// A shard's name comes from the index, which nobody vouches for: it may not leave the directory.
void check_shard_name(const std::string& index, const std::string& shard) {
  const bool plain = !shard.empty() && shard.front() != '.' &&
                     shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain) {
    throw Error(index + ": \"weight_map\" names the file " + shown(shard) +
                "; expected the plain name of a file in the same directory");
  }
}

// What the index says of a tensor: the name of its shard.
const std::string& shard_of(const nlohmann::json& value, const std::string& tensor,
                            const std::string& index) {
  if (!value.is_string()) {
    throw Error(index + ": \"weight_map\" gives " + shown(value) + " for \"" + tensor +
                "\"; expected a file's name");
  }
  return value.get_ref<const std::string&>();
}

std::unique_ptr<File> open_shard(const std::filesystem::path& directory, const std::string& shard,
                                 const std::string& index) {
  check_shard_name(index, shard);
  const std::filesystem::path path = directory / shard;
  if (!file_exists(path)) {
    throw Error(path.string() + ": this shard is missing, and " + index +
                " needs it. Download it.");
  }
  return open_file(path);
}

Error misplaced(const std::string& index, const std::string& tensor, const std::string& shard) {
  return Error(index + ": tensor \"" + tensor + "\" should be in " + shard +
               " and is not. Download both files again.");
}

std::uint64_t elements(const TensorInfo& tensor) {
  return tensor.bytes / size_of(tensor.type);
}

}  // namespace

std::string_view name(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return "F32";
    case TensorType::f16:
      return "F16";
    case TensorType::bf16:
      return "BF16";
    case TensorType::f8_e4m3:
      return "F8_E4M3";
    case TensorType::i32:
      return "I32";
    case TensorType::i64:
      return "I64";
    case TensorType::other:
      break;
  }
  return "another type";
}

std::size_t size_of(TensorType type) {
  switch (type) {
    case TensorType::f8_e4m3:
      return 1;
    case TensorType::f16:
    case TensorType::bf16:
      return 2;
    case TensorType::f32:
    case TensorType::i32:
      return 4;
    case TensorType::i64:
      return 8;
    case TensorType::other:
      break;
  }
  return 0;
}

Tensors Tensors::from_files(std::vector<std::unique_ptr<File>> files) {
  Tensors table;
  table.files_ = std::move(files);
  for (std::size_t i = 0; i < table.files_.size(); ++i) {
    SafetensorsHeader header = read_safetensors_header(*table.files_[i]);
    for (TensorInfo& tensor : header.tensors) {
      tensor.file = i;
      const auto [place, fresh] = table.tensors_.try_emplace(tensor.name, tensor);
      if (!fresh) {
        throw Error(table.files_[i]->name() + ": tensor \"" + tensor.name + "\" is also in " +
                    table.files_[place->second.file]->name());
      }
    }
    if (i == 0) table.metadata_ = std::move(header.metadata);
  }
  return table;
}

Tensors Tensors::open_file(const std::filesystem::path& file) {
  std::vector<std::unique_ptr<File>> files;
  files.push_back(engine::open_file(file));
  return from_files(std::move(files));
}

Tensors Tensors::open(const std::filesystem::path& directory) {
  const std::filesystem::path index_path = directory / "model.safetensors.index.json";
  if (!file_exists(index_path)) {
    return open_file(directory / "model.safetensors");
  }
  const std::string index_name = index_path.string();
  const nlohmann::json index = parse_json(read_text(index_path, max_json_bytes), index_name);
  const nlohmann::json* weight_map = Fields(index, index_name).object("weight_map");
  if (!weight_map) throw Error(index_name + ": the field \"weight_map\" is missing");

  std::map<std::string, std::size_t> shards;  // file name → index in files
  std::vector<std::unique_ptr<File>> files;
  for (const auto& [tensor, value] : weight_map->items()) {
    const std::string& shard = shard_of(value, tensor, index_name);
    if (shards.contains(shard)) continue;
    shards.emplace(shard, files.size());
    files.push_back(open_shard(directory, shard, index_name));
  }

  Tensors table = from_files(std::move(files));
  for (const auto& [tensor, value] : weight_map->items()) {
    const std::string& shard = shard_of(value, tensor, index_name);
    const TensorInfo* found = table.find(tensor);
    if (!found || found->file != shards.at(shard)) throw misplaced(index_name, tensor, shard);
  }
  return table;
}

const TensorInfo* Tensors::find(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? nullptr : &found->second;
}

const TensorInfo& Tensors::require(std::string_view tensor) const {
  if (const TensorInfo* found = find(tensor)) return *found;
  throw Error((files_.empty() ? std::string("the checkpoint") : files_.front()->name()) +
              (files_.size() > 1 ? " and its other shards" : "") + ": tensor \"" +
              std::string(tensor) + "\" is missing");
}

void Tensors::read(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> to) const {
  if (from > tensor.bytes || to.size() > tensor.bytes - from) {
    throw Error(files_.at(tensor.file)->name() + ": tensor \"" + tensor.name + "\" has " +
                std::to_string(tensor.bytes) + " bytes; " + std::to_string(to.size()) +
                " from byte " + std::to_string(from) + " on were asked for");
  }
  files_.at(tensor.file)->read(tensor.offset + from, to);
}

std::vector<float> Tensors::read_f32(const TensorInfo& tensor) const {
  const bool wide = tensor.type == TensorType::f32;
  if (!wide && tensor.type != TensorType::f16 && tensor.type != TensorType::bf16) {
    throw Error(files_.at(tensor.file)->name() + ": tensor \"" + tensor.name + "\" is of " +
                std::string(engine::name(tensor.type)) + "; expected F32, F16 or BF16");
  }
  std::vector<float> values(elements(tensor));
  if (wide) {
    read(tensor, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }
  std::vector<std::uint16_t> piece(read_piece / sizeof(std::uint16_t));
  for (std::size_t done = 0; done < values.size(); done += piece.size()) {
    piece.resize(std::min(piece.size(), values.size() - done));
    read(tensor, done * sizeof(std::uint16_t), std::as_writable_bytes(std::span(piece)));
    for (std::size_t i = 0; i < piece.size(); ++i) {
      values[done + i] = tensor.type == TensorType::bf16 ? kernels::widen_bf16(piece[i])
                                                         : kernels::widen_f16(piece[i]);
    }
  }
  return values;
}

std::vector<std::int32_t> Tensors::read_i32(const TensorInfo& tensor) const {
  if (tensor.type != TensorType::i32) {
    throw Error(files_.at(tensor.file)->name() + ": tensor \"" + tensor.name + "\" is of " +
                std::string(engine::name(tensor.type)) + "; expected I32");
  }
  std::vector<std::int32_t> values(elements(tensor));
  read(tensor, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace hearth::engine
