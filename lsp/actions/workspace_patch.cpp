// Makes the jobs' edits in copies of the files, then compares these with the disk.
#include "lsp/actions/workspace_patch.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/patch.hpp"
#include "lsp/actions/unopened.hpp"
#include "lsp/context/pinned.hpp"
#include "lsp/edits/sent.hpp"
#include "lsp/protocol/source_path.hpp"

namespace hearth::lsp {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos || slash == 0 ? "/" : path.substr(0, slash);
}

bool is_within(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder.ends_with('/') ? folder : folder + "/");
}

// The root of the repository that a folder is in, or the folder itself.
std::string repository_of(const std::string& folder, const Host& host) {
  for (std::string at = folder;; at = parent_of(at)) {
    if (host.is_there((at == "/" ? "" : at) + "/.git")) return at;
    if (at == "/") return folder;
  }
}

// The URI of the folder that a job may change files in: its workspace's, or that of the one
// document which it is about.
std::string folder_of_job(const Job& job) {
  const std::string& workspace = job.origin.workspace;
  if (!workspace.starts_with("file:")) return {};
  const bool is_document = std::ranges::any_of(
      job.request.targets, [&](const Target& target) { return target.uri == workspace; });
  return is_document ? workspace.substr(0, workspace.rfind('/') + 1) : workspace;
}

// Files as jobs have left them so far.
class Copies {
 public:
  explicit Copies(const Host& host) : host_(host) {}

  // Null where it is neither on the disk nor made by an earlier job.
  SnapshotPtr find(const std::string& uri, const std::string& folder) {
    const auto known = files_.find(uri);
    if (known != files_.end()) return known->second.now;
    const std::vector<std::string> folders{folder};
    SnapshotPtr now = uri.starts_with("file:") ? read_unopened(uri, folders, host_) : nullptr;
    const auto path = now ? path_within(uri, folders, host_) : std::nullopt;
    // Of a file with two names, one copy would lack what the other gets.
    const auto is_it = [&](const auto& file) { return file.second.path == *path; };
    if (!path || std::ranges::any_of(files_, is_it)) return nullptr;
    files_[uri] = {*path, now->text->str(), now};
    return now;
  }

  // Why the edits may not be made; empty: they may.
  std::string refusal(const std::vector<FileEdit>& edits, const std::string& folder) const {
    const std::vector<std::string> folders{folder};
    for (const FileEdit& edit : edits) {
      if (edit.creates && files_.contains(edit.uri))
        return display_path(edit.uri, folders) + " is made by another of these jobs";
      if (std::string why = edit_refusal(edit, folders, host_); !why.empty()) return why;
    }
    return {};
  }

  void make(const std::vector<FileEdit>& edits) {
    for (const FileEdit& edit : edits) {
      File& file = files_[edit.uri];
      if (edit.creates) file.path = real_place(path_of(edit.uri), host_).value_or(std::string());
      const std::string before = edit.creates ? "" : file.now->text->str();
      file.now = std::make_shared<Snapshot>(Snapshot{
          edit.uri, {}, unopened_version, std::make_shared<Text>(edited(before, edit.edits))});
    }
  }

  std::string patch(const std::string& folder) const {
    std::map<std::string, std::string> patches;  // by path
    for (const auto& [uri, file] : files_) {
      const std::string path = file.path.substr(folder == "/" ? 1 : folder.size() + 1);
      patches[path] = file_patch(path, file.before, file.now->text->str());
    }
    std::string text;
    for (const auto& [path, patch] : patches) text += patch;
    return text;
  }

 private:
  struct File {
    std::string path;                        // without links
    std::optional<std::string> before = {};  // on the disk; nothing where it is not there
    SnapshotPtr now = {};
  };
  const Host& host_;
  std::map<std::string, File> files_;  // by URI
};

// Makes what the job changes. Why it cannot be, for people; empty: it is.
std::string add(const Job& job, const std::string& folder, Copies& copies) {
  const auto find = [&](const std::string& uri) { return copies.find(uri, folder); };
  const std::vector<std::string> folders{folder};
  if (!job.sent.empty()) {
    const Fate fate = fate_of(job.sent, find);
    if (fate == Fate::made) return "its change is in the files already";
    if (fate == Fate::unknown)
      return "an editor went before it said whether it made this change, and what stands there now "
             "is neither what was nor what would be";
  }
  for (const Target& target : job.request.targets) {
    if (!find(target.uri))
      return display_path(target.uri, folders) +
             " cannot be read: it is gone, outside of the workspace's folder, or no text";
  }
  const Effect effect = effect_of(job, find);
  if (effect.edits.empty()) {
    const std::string said = effect.markdown.value_or("it changes nothing");
    return said.substr(0, said.find('\n'));
  }
  if (std::string why = copies.refusal(effect.edits, folder); !why.empty()) return why;
  copies.make(effect.edits);
  return {};
}

}  // namespace

WorkspacePatch workspace_patch(std::span<const Job> jobs, const Host& host) {
  WorkspacePatch patch;
  Copies copies(host);
  for (const Job& job : jobs) {
    const std::string folder = folder_of_job(job);
    const auto root = folder.empty() ? std::nullopt : host.real_path(path_of(folder));
    if (!root) {
      patch.left_out.push_back({job.id, "its folder is not there"});
      continue;
    }
    if (std::string why = add(job, folder, copies); !why.empty()) {
      patch.left_out.push_back({job.id, std::move(why)});
      continue;
    }
    if (patch.folder.empty()) patch.folder = *root;
    while (!is_within(*root, patch.folder)) patch.folder = parent_of(patch.folder);
  }
  if (patch.folder.empty()) return patch;
  patch.folder = repository_of(patch.folder, host);
  patch.text = copies.patch(patch.folder);
  return patch;
}

}  // namespace hearth::lsp
