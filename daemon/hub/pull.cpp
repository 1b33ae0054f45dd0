// The order of things: what is asked for, small files, what they ask for, room, shards, proof.
#include "daemon/hub/pull.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "daemon/hub/partial.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;
using daemon::Error;

constexpr const char* index_name = "model.safetensors.index.json";
constexpr std::size_t largest_index = std::size_t{256} << 20;
constexpr std::uint64_t left_free = std::uint64_t{512} << 20;  // for others, and the file system

bool names(const std::vector<RemoteFile>& files, std::string_view name) {
  return std::ranges::find(files, name, &RemoteFile::name) != files.end();
}

// A download that was begun is gone on with, but only where it is what was asked for.
void require_same(const Manifest& begun, const Wanted& wanted, const fs::path& folder) {
  const bool revision = wanted.revision.empty() || wanted.revision == begun.revision ||
                        wanted.revision == begun.commit;
  if (begun.id == wanted.id && revision) return;
  throw Error(fmt::format(
      "{} is {} at the revision {} ({}), not {}{}: `hearth rm {}` removes it, or --name gives the "
      "other one a name of its own",
      folder.string(), begun.id, begun.revision, begun.commit.substr(0, 12), wanted.id,
      wanted.revision.empty() ? "" : " at " + wanted.revision, folder.filename().string()));
}

void require_texts(const std::vector<RemoteFile>& files, const std::string& who) {
  for (const char* name : {"config.json", "tokenizer.json"}) {
    if (!names(files, name))
      throw Error(who + " has no " + name + ": it is no checkpoint that hearth can run");
  }
}

void require_room(const Partial& partial, const PullOptions& options) {
  const std::uint64_t missing = partial.missing_bytes();
  const std::uint64_t free = options.free_bytes ? *options.free_bytes : partial.free_bytes();
  if (missing == 0 || missing + left_free <= free) return;
  throw Error(fmt::format(
      "{} are to come and the disk of {} has {} free: it needs {} more. `hearth models` lists what "
      "could go, XDG_DATA_HOME moves the folder to another disk.",
      daemon::show_bytes(static_cast<double>(missing)), partial.path().string(),
      daemon::show_bytes(static_cast<double>(free)),
      daemon::show_bytes(static_cast<double>(missing + left_free - free))));
}

// What the engine itself refuses to load is no checkpoint, whatever its digests.
void prove(const fs::path& folder) {
  engine::EngineOptions options;
  options.model = folder;
  engine::read_shape(options);
}

}  // namespace

Pulled pull(const Repository& repository, const fs::path& folder, const PullOptions& options,
            const PullEvents& events, const std::atomic<bool>& stop) {
  std::error_code none;
  if (fs::exists(folder, none)) {
    const auto there = read_manifest(folder);
    if (!there)
      throw Error(folder.string() +
                  " is there, and was not downloaded by hearth: --name gives "
                  "this one another name");
    require_same(*there, repository.wanted(), folder);
    return Pulled::was_there;
  }
  std::optional<Manifest> found;
  if (const auto begun = read_manifest(folder.string() + partial_suffix)) {
    require_same(*begun, repository.wanted(), folder);
  } else {
    // Before anything is made on the disk.
    found = look_up(repository, options.download, events.waits, stop);
    if (!found) return Pulled::stopped;
    require_texts(found->files, repository.name());
  }
  Partial partial(folder);
  if (!partial.manifest()) {
    if (!found) throw Error(partial.path().string() + " changed: try again");
    partial.set_manifest(*found);
  }

  // The texts say which weights there are, and whether this program could run them.
  std::vector<RemoteFile> texts;
  std::ranges::copy_if(partial.manifest()->files, std::back_inserter(texts),
                       [](const RemoteFile& file) { return !is_weights(file.name); });
  const auto told_of_texts = [&](const DownloadProgress& progress) {
    if (!events.waits) return;
    events.waits(progress.trouble.empty()
                     ? fmt::format("configuration and tokenizer: {} of {}",
                                   daemon::show_bytes(static_cast<double>(progress.bytes_done)),
                                   daemon::show_bytes(static_cast<double>(progress.bytes_total)))
                     : progress.trouble);
  };
  if (!download(repository, partial, texts, options.download, told_of_texts, stop))
    return Pulled::stopped;
  engine::read_config(partial.path());
  Manifest needed = *partial.manifest();
  needed.files = needed_files(
      needed.files, names(texts, index_name) ? partial.read_text(index_name, largest_index) : "",
      repository.name());
  partial.set_manifest(needed);
  require_room(partial, options);

  std::uint64_t here = 0;
  std::vector<RemoteFile> shards;
  for (const RemoteFile& file : needed.files) {
    if (!is_weights(file.name)) continue;
    here += partial.there(file.name).bytes();
    shards.push_back(file);
  }
  if (events.begins) events.begins(needed, here);
  const auto told = [&](DownloadProgress progress) {
    progress.bytes_done += needed.bytes() - progress.bytes_total;  // the texts
    progress.bytes_total = needed.bytes();
    progress.verified += texts.size();
    progress.files += texts.size();
    if (events.progress) events.progress(progress);
  };
  if (!download(repository, partial, shards, options.download, told, stop)) return Pulled::stopped;
  prove(partial.path());
  partial.publish();
  return Pulled::done;
}

}  // namespace hearth::hub
