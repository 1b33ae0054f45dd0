// Creates a directory beside its name and renames it when whole.
#include "engine/support/partial_directory.hpp"

#include <algorithm>
#include <string>
#include <system_error>

#include "engine/support/atomic_file.hpp"
#include "engine/support/types.hpp"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

Error cannot(const fs::path& path, const char* what, const std::error_code& error) {
  return Error(path.string() + ": cannot " + what + ": " + error.message());
}

}  // namespace

PartialDirectory::PartialDirectory(const fs::path& out)
    : out_(out), path_(out.string() + ".partial") {
  make_parents();
  std::error_code error;
  if (fs::create_directory(path_, error)) return;
  remove_parents();
  if (error) throw cannot(path_, "create", error);
  throw Error(path_.string() +
              " exists: another run is writing it, or one was killed. Delete it, or choose "
              "another directory");
}

PartialDirectory::~PartialDirectory() {
  if (published_) return;
  std::error_code ignored;  // what cannot be deleted stays
  fs::remove_all(path_, ignored);
  remove_parents();
}

void PartialDirectory::publish() {
  sync_directory(path_);
  std::error_code error;
  fs::rename(path_, out_, error);
  if (error) throw cannot(out_, "create", error);
  published_ = true;
  sync_directory(out_.parent_path());
}

void PartialDirectory::make_parents() {
  std::vector<fs::path> missing;  // the innermost first
  std::error_code error;
  for (fs::path parent = path_.parent_path(); !fs::exists(parent, error) && !error;
       parent = parent.parent_path()) {
    missing.push_back(parent);
  }
  std::ranges::reverse(missing);
  for (const fs::path& parent : missing) {
    if (fs::create_directory(parent, error)) parents_.push_back(parent);
    if (!error) continue;
    remove_parents();
    throw cannot(parent, "create", error);
  }
}

void PartialDirectory::remove_parents() {
  std::error_code ignored;
  for (auto parent = parents_.rbegin(); parent != parents_.rend(); ++parent) {
    if (!fs::remove(*parent, ignored)) return;  // it is in use
  }
}

}  // namespace hearth::engine
