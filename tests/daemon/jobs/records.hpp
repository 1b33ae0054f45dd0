// Records for tests of the store, and what a search of its directory finds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/jobs/store.hpp"
#include "tests/daemon/queue_host.hpp"

namespace hearth::tests {

lsp::JobRecord record(lsp::JobId id, std::string request = "{}");
lsp::JobChange standing(std::string text);
// Changes `id` and waits until it is told; returns what it was told.
std::string changed(QueueHost& host, lsp::JobStore& store, lsp::JobId id, lsp::JobChange change);
std::string removed(QueueHost& host, lsp::JobStore& store, std::vector<lsp::JobId> ids);
// Whether any file below `directory` holds `word`.
bool found_below(const std::filesystem::path& directory, std::string_view word);
std::string bytes_of(const std::filesystem::path& file);
void write_bytes(const std::filesystem::path& file, std::string_view bytes);

// A QueueHost that keeps what is logged.
class LoggingHost : public QueueHost {
 public:
  void log(lsp::LogLevel, std::string_view message) override { logged.emplace_back(message); }
  // Runs what was posted so far.
  void run_posted();
  bool has_logged(std::string_view part) const;
  std::vector<std::string> logged;
};

}  // namespace hearth::tests
