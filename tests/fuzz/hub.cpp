// What a server of checkpoints says, and what a download left behind: lists of files, manifests and
// journals are taken whole or refused with an Error, and no byte counts that is not there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "daemon/hub/manifest.hpp"
#include "daemon/hub/partial.hpp"
#include "daemon/platform/error.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::hub;

namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

void read_list(const std::string& list, const std::string& index) {
  const auto json = nlohmann::json::parse(list, nullptr, false);
  if (json.is_discarded()) return;
  const auto files = read_files(json, "the server");
  for (const RemoteFile& file : needed_files(files, index, "the server")) {
    // A name that leads elsewhere, or a file that nothing vouches for.
    if (!is_taken(file.name) || file.name.find('/') != std::string::npos) std::abort();
    if (file.sha256.empty() == file.git_id.empty()) std::abort();
  }
}

void read_back(const std::string& text) {
  const Manifest manifest = parse_manifest(text, "it");
  if (to_text(parse_manifest(to_text(manifest), "it")) != to_text(manifest)) std::abort();
}

// The manifest of a download with one file of 100 bytes, of which the journal speaks.
void read_journal(const std::string& manifest, const std::string& journal) {
  static const hearth::tests::TemporaryDirectory directory;
  write(directory.path() / manifest_name, manifest);
  write(directory.path() / ".hearth-pull.ranges", journal);
  if (!std::filesystem::exists(directory.path() / "config.json"))
    write(directory.path() / "config.json", std::string(100, ' '));
  if (recorded_bytes(directory.path()) > 100) std::abort();
}

}  // namespace

// The first byte chooses; behind a zero byte is what goes with it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const std::string text = all.substr(0, end);
  const std::string rest = all.substr(std::min(end + 1, all.size()));
  try {
    if (data[0] % 3 == 0) read_list(text, rest);
    if (data[0] % 3 == 1) read_back(text);
    if (data[0] % 3 == 2) read_journal(text, rest);
  } catch (const hearth::daemon::Error&) {
  }
  return 0;
}
