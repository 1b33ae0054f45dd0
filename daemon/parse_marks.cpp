// One file for each document, named by the hash of its URI, with the URI in it.
#include "daemon/parse_marks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/paths.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t longest_uri = 64 * 1024;

bool write_mark(const std::filesystem::path& path, const std::string& uri) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return fd && ::write(fd.get(), uri.data(), uri.size()) == static_cast<ssize_t>(uri.size());
}

}  // namespace

ParseMarks::ParseMarks(std::filesystem::path directory, Log& log)
    : directory_(std::move(directory)), log_(log) {
  try {
    make_private_directory(directory_);
    take_up();
  } catch (const std::exception& failed) {
    log_.warn(std::string("no marks of what is being parsed: ") + failed.what());
  }
}

ParseMarks::~ParseMarks() {
  std::error_code ignored;
  for (const auto& [uri, told] : refused_) std::filesystem::remove(mark_of(uri), ignored);
}

void ParseMarks::take_up() {
  std::size_t useless = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::string uri = entry.is_regular_file() ? read_file(entry.path(), longest_uri) : "";
    if (mark_of(uri) != entry.path()) {  // cut off, of an earlier version, or none of ours
      std::error_code ignored;
      useless += std::filesystem::remove(entry.path(), ignored) ? 1 : 0;
      continue;
    }
    const engine::Lock lock(mutex_);
    log_.warn("the daemon before this one ended while it parsed " + uri +
              ": it is not parsed until a daemon has been stopped in order");
    refused_.emplace(std::move(uri), false);
  }
  if (useless > 0) {
    log_.info("marks of what was being parsed, cut off or of an earlier version: " +
              std::to_string(useless) + " removed");
  }
}

bool ParseMarks::begin(const std::string& uri) {
  const engine::Lock lock(mutex_);
  if (refused_.contains(uri)) return false;
  if (++parsing_[uri] == 1 && uri.size() <= longest_uri) write_mark(mark_of(uri), uri);
  return true;
}

void ParseMarks::end(const std::string& uri) {
  const engine::Lock lock(mutex_);
  const auto found = parsing_.find(uri);
  if (found == parsing_.end() || --found->second > 0) return;
  parsing_.erase(found);
  ::unlink(mark_of(uri).c_str());
}

bool ParseMarks::is_news(const std::string& uri) {
  const engine::Lock lock(mutex_);
  const auto found = refused_.find(uri);
  return found != refused_.end() && !std::exchange(found->second, true);
}

std::filesystem::path ParseMarks::mark_of(const std::string& uri) const {
  std::array<char, 16> hex{};
  const auto end = std::to_chars(hex.begin(), hex.end(), lsp::content_hash(uri), 16).ptr;
  return directory_ / std::string(hex.begin(), end);
}

}  // namespace hearth::daemon
