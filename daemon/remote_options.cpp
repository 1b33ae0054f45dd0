// RemoteOptions: keys are read where nobody else can.
#include "daemon/remote_options.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/fd.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t longest_key = 4096;

// Without what an editor leaves at a file's end. Throws Error naming `source`.
std::string checked_key(std::string key, const std::string& source) {
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' '))
    key.pop_back();
  const bool plain = std::ranges::all_of(key, [](char c) { return c > ' ' && c <= '~'; });
  if (key.empty() || key.size() > longest_key || !plain)
    throw Error(source + " must hold the server's key alone, in one line of plain characters");
  return key;
}

// Throws Error with what to do.
std::string key_in(const std::filesystem::path& file, const std::string& named) {
  const std::string source = file.string() + " (" + named + ")";
  // Without waiting for whoever writes into a pipe.
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) throw system_error("cannot read " + source, errno);
  if (!S_ISREG(info.st_mode)) throw Error(source + " is " + kind_of_file(info.st_mode));
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw Error(source + " can be read by others: chmod 600 " + file.string());
  return checked_key(read_all(fd, file, longest_key), source);
}

}  // namespace

RemoteOptions remote_options(const RemoteConfig& config, const std::string& section,
                             const char* variable) {
  RemoteOptions options;
  options.url = http::parse_url(config.url);
  options.model = config.name;
  const char* const given = std::getenv(variable);
  if (!config.key_file.empty()) {
    options.key_source = section + ".key_file";
    options.key = key_in(at_home(config.key_file), options.key_source);
  } else if (given != nullptr && *given != '\0') {
    options.key_source = variable;
    options.key = checked_key(given, options.key_source);
  } else {
    options.key_source = section + ".key_file or " + variable;
  }
  if (!options.key.empty() && !options.url.tls && !options.url.is_loopback()) {
    throw Error(section + ".url = \"" + config.url + "\" would send the key of " +
                options.key_source + " readable for everybody on its way: use https");
  }
  if (!config.tokenizer.empty()) options.tokenizer = find_tokenizer(config, section);
  return options;
}

RemoteOptions model_remote_options(const Config& config) {
  return remote_options(config.model_remote, "model", "HEARTH_API_KEY");
}

RemoteOptions inline_remote_options(const Config& config) {
  return remote_options(config.inline_remote, "inline", "HEARTH_INLINE_API_KEY");
}

}  // namespace hearth::daemon
