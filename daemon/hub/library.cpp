// Looking through the directory of models.
#include "daemon/hub/library.hpp"

#include <algorithm>
#include <cctype>
#include <system_error>

#include "daemon/hub/partial.hpp"
#include "daemon/platform/error.hpp"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;
using daemon::Error;

constexpr std::size_t longest_model_name = 96;
constexpr std::string_view removed_suffix = ".removed";

bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char one, unsigned char other) {
    return std::tolower(one) == std::tolower(other);
  });
}

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(folder, failed);
       !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    std::error_code none;
    const std::uint64_t size = entry->is_regular_file(none) ? entry->file_size(none) : 0;
    if (!none) bytes += size;
  }
  return bytes;
}

}  // namespace

bool is_model_name(std::string_view name) {
  return !name.empty() && name.size() <= longest_model_name && name.front() != '.' &&
         name.front() != '-' && !name.ends_with(partial_suffix) &&
         !name.ends_with(removed_suffix) && std::ranges::all_of(name, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
         });
}

std::vector<NamedModel> Library::models() const {
  std::vector<NamedModel> found;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(directory_, failed);
       !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    std::error_code none;
    if (!entry->is_directory(none)) continue;
    NamedModel model;
    model.path = entry->path();
    model.name = model.path.filename().string();
    model.partial = model.name.ends_with(partial_suffix);
    if (model.partial)
      model.name.resize(model.name.size() - std::string_view(partial_suffix).size());
    if (!is_model_name(model.name)) continue;
    model.manifest = read_manifest(model.path);
    model.bytes = model.partial ? recorded_bytes(model.path) : bytes_in(model.path);
    found.push_back(std::move(model));
  }
  std::ranges::sort(found, {}, &NamedModel::name);
  return found;
}

std::optional<fs::path> Library::find(std::string_view name) const {
  if (!is_model_name(name)) return std::nullopt;
  std::error_code none;
  if (fs::is_directory(place(name), none)) return place(name);
  std::vector<fs::path> alike;
  for (const NamedModel& model : models()) {
    if (!model.partial && same_letters(model.name, name)) alike.push_back(model.path);
  }
  if (alike.size() != 1) return std::nullopt;
  return alike.front();
}

fs::path Library::place(std::string_view name) const {
  return directory_ / name;
}

std::uint64_t Library::remove(std::string_view name) const {
  std::uint64_t bytes = 0;
  bool found = false;
  for (const NamedModel& model : models()) {
    if (model.name != name) continue;
    found = true;
    bytes += model.bytes;
    if (fs::is_symlink(model.path)) {
      fs::remove(model.path);
      continue;
    }
    if (model.partial && is_being_filled(model.path))
      throw Error(model.name + " is being downloaded: stop that first");
    // Out of the way at once: what is half removed is no model any more.
    const fs::path aside = model.path.string() + std::string(removed_suffix);
    fs::remove_all(aside);
    fs::rename(model.path, aside);
    fs::remove_all(aside);
  }
  if (!found)
    throw Error("there is no model \"" + std::string(name) + "\" in " + directory_.string() +
                " (`hearth models` lists them)");
  return bytes;
}

const std::vector<KnownModel>& known_models() {
  static const std::vector<KnownModel> known{
      {"Qwen/Qwen3-Coder-Next-FP8", "qwen3-coder-next", "qwen3_next"},
      {"Qwen/Qwen3-Next-80B-A3B-Instruct-FP8", "qwen3-next-80b-a3b", "qwen3_next"},
      {"Qwen/Qwen3-Next-80B-A3B-Thinking-FP8", "qwen3-next-80b-a3b", "qwen3_next"},
      {"Qwen/Qwen3.6-35B-A3B-FP8", "qwen3.6-35b-a3b", "qwen3_5_moe"},
      {"Qwen/Qwen3.5-35B-A3B-FP8", "qwen3.6-35b-a3b", "qwen3_5_moe"},
      {"ornith-ai/Ornith-1.5-35B-A3B-FP8", "ornith-1.5-35b-a3b", "qwen3_5_moe"},
      {"Qwen/Qwen3.6-27B-FP8", "qwen3.6-27b", "qwen3_5"},
      {"Qwen/Qwen3.5-0.8B", "qwen3.5-0.8b", "qwen3_5"},
  };
  return known;
}

const KnownModel* find_known(std::string_view name) {
  for (const KnownModel& model : known_models()) {
    if (same_letters(model.name(), name) || same_letters(model.id, name)) return &model;
  }
  return nullptr;
}

}  // namespace hearth::hub
