#include "tests/daemon/jobs/records.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

namespace hearth::tests {

namespace fs = std::filesystem;

lsp::JobRecord record(lsp::JobId id, std::string request) {
  lsp::JobRecord made;
  made.id = id;
  made.workspace = "file:///code/some";
  made.created = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  made.request = std::move(request);
  made.standing = "queued";
  return made;
}

lsp::JobChange standing(std::string text) {
  lsp::JobChange change;
  change.standing = std::move(text);
  return change;
}

std::string changed(QueueHost& host, lsp::JobStore& store, lsp::JobId id, lsp::JobChange change) {
  std::optional<std::string> told;
  store.change(id, std::move(change), [&](const std::string& failure) { told = failure; });
  host.run_until([&] { return told.has_value(); });
  return *told;
}

std::string removed(QueueHost& host, lsp::JobStore& store, std::vector<lsp::JobId> ids) {
  std::optional<std::string> told;
  store.remove(std::move(ids), [&](const std::string& failure) { told = failure; });
  host.run_until([&] { return told.has_value(); });
  return *told;
}

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_bytes(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

bool found_below(const fs::path& directory, std::string_view word) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && bytes_of(entry.path()).find(word) != std::string::npos) {
      return true;
    }
  }
  return false;
}

void LoggingHost::run_posted() {
  bool last = false;
  post([&] { last = true; });
  run_until([&] { return last; });
}

bool LoggingHost::has_logged(std::string_view part) const {
  return std::ranges::any_of(
      logged, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

}  // namespace hearth::tests
