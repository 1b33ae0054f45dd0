// Reading and writing the file of confirmed prompts.
#include "daemon/prompt_trust_file.hpp"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/private_directory.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t max_trust_bytes = std::size_t{4} << 20U;

}  // namespace

PromptTrustFile::PromptTrustFile(std::filesystem::path file,
                                 const std::function<void(const std::string&)>& warn)
    : file_(std::move(file)) {
  std::error_code unknown;
  if (file_.empty() || !std::filesystem::exists(file_, unknown)) return;
  try {
    const PrivateDirectory directory(file_.parent_path());
    const auto read =
        nlohmann::json::parse(directory.read(file_.filename().string(), max_trust_bytes));
    const engine::Lock lock(mutex_);
    hashes_ = read.get<Hashes>();
  } catch (const std::exception& failed) {
    if (!warn) return;
    warn("which prompts of repositories were confirmed is not known: " + file_.string() + ": " +
         failed.what());
  }
}

std::string PromptTrustFile::confirmed(const std::string& folder) const {
  const engine::Lock lock(mutex_);
  const auto found = hashes_.find(folder);
  return found != hashes_.end() ? found->second : std::string();
}

void PromptTrustFile::confirm(const std::string& folder, const std::string& hash) {
  const engine::Lock lock(mutex_);
  Hashes changed = hashes_;
  if (hash.empty()) {
    changed.erase(folder);
  } else {
    changed[folder] = hash;
  }
  write(changed);
  hashes_ = std::move(changed);
}

std::size_t PromptTrustFile::count(
    const std::function<bool(const std::string& folder)>& chosen) const {
  const engine::Lock lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(hashes_, [&](const auto& each) { return chosen(each.first); }));
}

void PromptTrustFile::forget(const std::function<bool(const std::string& folder)>& chosen) {
  const engine::Lock lock(mutex_);
  Hashes left = hashes_;
  if (std::erase_if(left, [&](const auto& each) { return chosen(each.first); }) == 0) return;
  write(left);
  hashes_ = std::move(left);
}

void PromptTrustFile::write(const Hashes& hashes) const {
  if (file_.empty()) return;
  const PrivateDirectory directory(file_.parent_path());
  const nlohmann::json json = hashes;
  directory.write(file_.filename().string(),
                  json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace hearth::daemon
