// `hearth pull` without its words: a repository's checkpoint becomes a folder that is whole and
// proven, or stays a partial one that the next call goes on with.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "daemon/hub/download.hpp"
#include "daemon/hub/manifest.hpp"
#include "daemon/hub/repository.hpp"

namespace hearth::hub {

struct PullOptions {
  DownloadOptions download;
  std::optional<std::uint64_t> free_bytes;  // taken for what the disk has free
};

// What a person is told on the way; all of it from the calling thread.
struct PullEvents {
  // What is downloaded, once that is known, and how many bytes of its weights are here already.
  std::function<void(const Manifest&, std::uint64_t weights_here)> begins;
  std::function<void(const DownloadProgress&)> progress;  // of all files, from then on
  // Before that: what is waited for, in words.
  std::function<void(const std::string&)> waits;
};

enum class Pulled : std::uint8_t { stopped, done, was_there };

// Into `folder`, which is not there yet, or is the same model. A partial one beside it goes on at
// its commit, whatever the revision is by now. Throws Error: what has come is kept then.
Pulled pull(const Repository& repository, const std::filesystem::path& folder,
            const PullOptions& options, const PullEvents& events, const std::atomic<bool>& stop);

}  // namespace hearth::hub
