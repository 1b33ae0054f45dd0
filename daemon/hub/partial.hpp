// A download on the disk: the folder NAME.partial with the files so far, the manifest that they
// come from, and a journal of the bytes that are there. A process that is killed at any moment
// leaves what the next one goes on with. publish() makes the folder NAME of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/hub/manifest.hpp"
#include "daemon/hub/ranges.hpp"
#include "daemon/platform/fd.hpp"

namespace hearth::hub {

// The manifest's name in a folder, whole or partial.
inline constexpr const char* manifest_name = ".hearth-pull.json";
inline constexpr const char* partial_suffix = ".partial";

// Of a folder; empty where it has none that can be read.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder);

// Of a partial folder: the bytes that its journal speaks of. 0 where nothing can be read.
std::uint64_t recorded_bytes(const std::filesystem::path& folder);
// Whether a process downloads into it.
bool is_being_filled(const std::filesystem::path& folder);

// Any thread may call it, but for the functions that say otherwise. Failures are Errors that name
// the file and the reason; a full disk says that what is there is kept.
class Partial {
 public:
  // Makes `whole`.partial where it is missing, and takes it for this process alone. Throws Error
  // where another process has it.
  explicit Partial(const std::filesystem::path& whole);

  const std::filesystem::path& path() const { return path_; }
  // Empty: nothing was begun, or what was cannot be read and has been removed.
  const std::optional<Manifest>& manifest() const { return manifest_; }
  // Before any other thread has it. What the journal says of files that are in both manifests
  // stays.
  void set_manifest(const Manifest& manifest);

  Ranges there(const std::string& file) const;
  // The file to be filled; it is made where it is missing.
  daemon::Fd open(const std::string& file) const;
  // Remembers that these bytes are in the file and on the disk; `data` is the file's descriptor.
  void record(const std::string& file, Range range, const daemon::Fd& data);
  // What is there of the file is not to be used.
  void forget(const std::string& file);
  std::string read_text(const std::string& file, std::size_t limit) const;

  // What is still to be written, in bytes, and what the disk has free for it.
  std::uint64_t missing_bytes() const;
  std::uint64_t free_bytes() const;

  // Every file is whole and verified: the folder gets its name. The last call, of one thread.
  void publish();

 private:
  void rewrite_journal();
  void open_journal();
  std::filesystem::path journal() const;

  std::filesystem::path whole_;
  std::filesystem::path path_;
  daemon::Fd folder_;  // its lock
  std::optional<Manifest> manifest_;
  mutable std::mutex mutex_;
  daemon::Fd journal_;                   // guarded by mutex_
  std::map<std::string, Ranges> there_;  // guarded by mutex_
};

}  // namespace hearth::hub
