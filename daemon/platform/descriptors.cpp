// Raises RLIMIT_NOFILE.
#include "daemon/platform/descriptors.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {
namespace {

// Log, lock, sockets, the event loop, the ring that reads experts, files that are written; and
// thirty connections.
constexpr rlim_t own = 64;
constexpr rlim_t for_each_shard = 2;  // through the page cache and past it
constexpr rlim_t plenty = 65'536;     // some systems allow a thousand million

rlim_t shards_in(const std::filesystem::path& model) {
  rlim_t shards = 0;
  std::error_code failed;  // whoever loads the checkpoint says what is wrong with it
  for (std::filesystem::directory_iterator at(model, failed), end; !failed && at != end;
       at.increment(failed)) {
    shards += at->path().extension() == ".safetensors" ? 1 : 0;
  }
  return shards;
}

}  // namespace

void reserve_descriptors(const std::filesystem::path& model) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw system_error("no limit of open files", errno);
  const rlim_t needed = own + for_each_shard * shards_in(model);
  const rlim_t max = std::min(limit.rlim_max, std::max(plenty, needed));
  if (max < needed) {
    throw Error("only " + std::to_string(limit.rlim_max) +
                " files may be open at a time, and hearth needs " + std::to_string(needed) +
                " for this checkpoint and some editors: raise the limit (`ulimit -n`, or "
                "LimitNOFILE in a service's unit)");
  }
  if (limit.rlim_cur >= max) return;
  limit.rlim_cur = max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw system_error("the limit of open files cannot be raised", errno);
  }
}

Fd spare_descriptor() {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

std::string too_many_open_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return "the daemon has as many files open as it may (" + std::to_string(limit.rlim_cur) +
         "): close an editor, or raise the limit (`ulimit -n`, or LimitNOFILE in a service's unit) "
         "and end the daemon with `hearth stop`";
}

}  // namespace hearth::daemon
