// The models of this user that have a name: the folders in one directory, and the downloads that
// are to become such. Loads and downloads nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/hub/manifest.hpp"

namespace hearth::hub {

// Letters, digits, ".", "-" and "_", no "." in front, not the name of something unfinished.
bool is_model_name(std::string_view name);

struct NamedModel {
  std::string name;
  std::filesystem::path path;
  std::uint64_t bytes = 0;           // of its files, as far as they are here
  bool partial = false;              // a download that has not come to its end
  std::optional<Manifest> manifest;  // where it was downloaded
};

class Library {
 public:
  // A directory that is not there has no models.
  explicit Library(std::filesystem::path directory) : directory_(std::move(directory)) {}

  const std::filesystem::path& directory() const { return directory_; }
  // Sorted by name. Throws nothing for what cannot be read: it is left out.
  std::vector<NamedModel> models() const;
  // A whole one of that name; capitals do not matter where it is one alone.
  std::optional<std::filesystem::path> find(std::string_view name) const;
  // Where a model of that name is or would be.
  std::filesystem::path place(std::string_view name) const;
  // Removes the model of that name, and a download of it; a link, but not what it leads to. Returns
  // the bytes that its files had. Throws Error where there is none, or it cannot be removed.
  std::uint64_t remove(std::string_view name) const;

 private:
  std::filesystem::path directory_;
};

// A checkpoint that is published and known to run.
struct KnownModel {
  std::string_view id;      // of its repository: "Qwen/Qwen3.6-35B-A3B-FP8"
  std::string_view shape;   // engine::PublishedModel::name
  std::string_view family;  // its configuration's "model_type"
  std::string_view name() const { return id.substr(id.find('/') + 1); }
};
const std::vector<KnownModel>& known_models();
// Of that name, in whatever capitals; nullptr: there is none.
const KnownModel* find_known(std::string_view name);

}  // namespace hearth::hub
