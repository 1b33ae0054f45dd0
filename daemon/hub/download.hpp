// Fills a partial download: several connections at a time, each with a range of a file; what was
// cut off is asked for again, and every file is verified by its digest.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "daemon/hub/partial.hpp"
#include "daemon/hub/repository.hpp"

namespace hearth::hub {

struct DownloadOptions {
  std::size_t connections = 4;
  std::uint64_t range_bytes = std::uint64_t{64} << 20;  // of one request
  // What is there is written down this often.
  std::chrono::milliseconds record_interval{100};
  // A request that failed is made again, each time after twice as long, up to the longest pause,
  // until nothing has come for so many tries in a row.
  std::chrono::milliseconds first_pause{1'000};
  std::chrono::milliseconds longest_pause{30'000};
  int tries = 10;
  int first_tries = 3;  // of what is asked before anything is downloaded, while a person looks on
  http::Limits limits;
};

struct DownloadProgress {
  std::uint64_t bytes_done = 0;  // of all files, earlier processes' too
  std::uint64_t bytes_total = 0;
  std::size_t verified = 0;  // files
  std::size_t files = 0;
  std::string trouble;  // what is waited for or done again; empty: nothing
};

// Fetches and verifies `files`, a part of the manifest's. `progress` is called from this thread
// several times a second. False: *stop became true; what is there is kept, and so it is where an
// Error says what cannot be overcome. A file that does not have its digest is fetched again once.
bool download(const Repository& repository, Partial& partial, const std::vector<RemoteFile>& files,
              const DownloadOptions& options,
              const std::function<void(const DownloadProgress&)>& progress,
              const std::atomic<bool>& stop);

// The same retries for what is asked of the API. Empty where *stop became true.
std::optional<Manifest> look_up(const Repository& repository, const DownloadOptions& options,
                                const std::function<void(const std::string& trouble)>& told,
                                const std::atomic<bool>& stop);

}  // namespace hearth::hub
