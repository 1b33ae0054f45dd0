// Reading and checking lists of files.
#include "daemon/hub/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "daemon/hub/digest.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::hub {
namespace {

using daemon::Error;
using daemon::on_one_line;
using nlohmann::json;
using namespace std::string_view_literals;

constexpr std::size_t most_files = 10'000;
constexpr std::size_t longest_file_name = 200;
constexpr std::uint64_t largest_file = std::uint64_t{1} << 42;
constexpr std::uint64_t largest_text = std::uint64_t{256} << 20;

// What the engine reads beside weights, and what other programs look for in such a folder.
constexpr std::array texts{"config.json"sv,
                           "generation_config.json"sv,
                           "hearth.json"sv,
                           "tokenizer.json"sv,
                           "tokenizer_config.json"sv,
                           "special_tokens_map.json"sv,
                           "added_tokens.json"sv,
                           "vocab.json"sv,
                           "merges.txt"sv,
                           "chat_template.jinja"sv,
                           "chat_template.json"sv,
                           "model.safetensors.index.json"sv};

std::string text_of(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t size_of(const json& object, const std::string& file) {
  const auto found = object.find("size");
  if (found == object.end() || !found->is_number_unsigned() ||
      found->get<std::uint64_t>() > largest_file)
    throw Error(file + " has no size, or one that cannot be");
  return found->get<std::uint64_t>();
}

RemoteFile read_file(const json& entry, std::string name, const std::string& who) {
  const std::string shown = who + ": the file " + name;
  RemoteFile file{std::move(name), 0, "", ""};
  const auto lfs = entry.find("lfs");
  if (lfs != entry.end() && lfs->is_object()) {
    file.size = size_of(*lfs, shown);
    file.sha256 = text_of(*lfs, "sha256");
    if (file.sha256.empty()) file.sha256 = text_of(*lfs, "oid");
    if (!is_hex(file.sha256, 64)) throw Error(shown + " has no SHA-256 to verify it by");
  } else {
    file.size = size_of(entry, shown);
    file.git_id = text_of(entry, "blobId");
    if (file.git_id.empty()) file.git_id = text_of(entry, "oid");
    if (!is_hex(file.git_id, 40)) throw Error(shown + " has no digest to verify it by");
  }
  if (!is_weights(file.name) && file.size > largest_text)
    throw Error(shown + " has " + daemon::show_bytes(static_cast<double>(file.size)) +
                ", more than such a file can have");
  return file;
}

std::set<std::string> shards_of(const json& index, const std::string& shown) {
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    throw Error(shown + " has no \"weight_map\"");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !is_weights(shard.get_ref<const std::string&>()) ||
        !is_taken(shard.get_ref<const std::string&>()))
      throw Error(shown + " names a shard that is no plain name of a .safetensors file: " +
                  on_one_line(shard.dump(-1, ' ', false, json::error_handler_t::replace)));
    shards.insert(shard.get<std::string>());
  }
  return shards;
}

// Headers take a part of the files, so they are a little larger than what they hold.
void check_total(const json& index, std::uint64_t bytes, const std::string& shown) {
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object()) return;
  const auto total = metadata->find("total_size");
  if (total == metadata->end() || !total->is_number_unsigned()) return;
  if (total->get<std::uint64_t>() > bytes)
    throw Error(fmt::format("{} speaks of {} of weights, and its shards have {}", shown,
                            daemon::show_bytes(total->get<double>()),
                            daemon::show_bytes(static_cast<double>(bytes))));
}

}  // namespace

std::uint64_t Manifest::bytes() const {
  std::uint64_t sum = 0;
  for (const RemoteFile& file : files) sum += file.size;
  return sum;
}

bool is_weights(std::string_view name) {
  return name.ends_with(".safetensors");
}

bool is_taken(std::string_view name) {
  const bool plain = !name.empty() && name.size() <= longest_file_name && name.front() != '.' &&
                     std::ranges::all_of(name, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
                     });
  return plain && (is_weights(name) || name.ends_with(".json") || name.ends_with(".txt") ||
                   name.ends_with(".jinja"));
}

bool is_repository_id(std::string_view id) {
  const std::size_t slash = id.find('/');
  if (slash == std::string_view::npos || id.size() > longest_file_name) return false;
  const auto plain = [](std::string_view part) {
    return !part.empty() && part.front() != '.' && part.front() != '-' &&
           part.find("..") == std::string_view::npos &&
           part.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               std::string_view::npos;
  };
  return plain(id.substr(0, slash)) && plain(id.substr(slash + 1));
}

std::vector<RemoteFile> read_files(const json& list, const std::string& who) {
  if (!list.is_array() || list.size() > most_files)
    throw Error(who + ": the list of files is none, or has more than " +
                std::to_string(most_files));
  std::vector<RemoteFile> files;
  std::set<std::string> names;
  for (const json& entry : list) {
    if (!entry.is_object()) throw Error(who + ": the list of files has something else in it");
    const std::string type = text_of(entry, "type");
    if (!type.empty() && type != "file") continue;
    std::string name = text_of(entry, "rfilename");
    if (name.empty()) name = text_of(entry, "path");
    const bool wanted = is_taken(name) && (is_weights(name) || std::ranges::count(texts, name) > 0);
    if (!wanted) continue;
    if (!names.insert(name).second) throw Error(who + ": the file " + name + " is listed twice");
    files.push_back(read_file(entry, name, who));
  }
  return files;
}

std::vector<RemoteFile> needed_files(const std::vector<RemoteFile>& files, std::string_view index,
                                     const std::string& who) {
  std::set<std::string> shards{"model.safetensors"};
  json parsed;
  const std::string shown = who + ": model.safetensors.index.json";
  if (!index.empty()) {
    parsed = json::parse(index, nullptr, false);
    if (!parsed.is_object()) throw Error(shown + " is no JSON object");
    shards = shards_of(parsed, shown);
  }
  std::vector<RemoteFile> needed;
  std::uint64_t bytes = 0;
  for (const RemoteFile& file : files) {
    if (!is_weights(file.name)) {
      needed.push_back(file);
    } else if (shards.erase(file.name) > 0) {
      needed.push_back(file);
      bytes += file.size;
    }
  }
  if (!shards.empty())
    throw Error(who + " has no " + *shards.begin() +
                (index.empty() ? ": hearth runs checkpoints of safetensors"
                               : ", which model.safetensors.index.json asks for"));
  check_total(parsed, bytes, shown);
  return needed;
}

std::string to_text(const Manifest& manifest) {
  json files = json::array();
  for (const RemoteFile& file : manifest.files) {
    json entry{{"name", file.name}, {"size", file.size}};
    if (!file.sha256.empty()) entry["sha256"] = file.sha256;
    if (!file.git_id.empty()) entry["gitId"] = file.git_id;
    files.push_back(std::move(entry));
  }
  return json{{"endpoint", manifest.endpoint},
              {"id", manifest.id},
              {"revision", manifest.revision},
              {"commit", manifest.commit},
              {"files", std::move(files)}}
             .dump(1) +
         "\n";
}

Manifest parse_manifest(std::string_view text, const std::string& name) {
  const json read = json::parse(text, nullptr, false);
  const auto files = read.is_object() ? read.find("files") : read.end();
  if (!read.is_object() || files == read.end() || !files->is_array())
    throw Error(name + " is no record of a download");
  Manifest manifest{text_of(read, "endpoint"),
                    text_of(read, "id"),
                    text_of(read, "revision"),
                    text_of(read, "commit"),
                    {}};
  if (!is_repository_id(manifest.id) || !is_hex(manifest.commit, 40))
    throw Error(name + " names no repository at a commit");
  for (const json& entry : *files) {
    RemoteFile file{text_of(entry, "name"), 0, text_of(entry, "sha256"), text_of(entry, "gitId")};
    if (!is_taken(file.name) || (!is_hex(file.sha256, 64) && !is_hex(file.git_id, 40)))
      throw Error(name + " has a file without a plain name or a digest");
    file.size = size_of(entry, name + ": the file " + file.name);
    manifest.files.push_back(std::move(file));
  }
  return manifest;
}

}  // namespace hearth::hub
