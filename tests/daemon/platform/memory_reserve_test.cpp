// A JSON value that goes while there is no memory does not take the process with it.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>
#include <vector>

#include "daemon/platform/memory_reserve.hpp"

namespace hearth::tests {
namespace {

// This process may map so much more than it has.
void limit_memory(std::size_t more) {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + more;
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_AS, &limit);
}

// All of it, to the last small piece; what was taken.
std::vector<void*> take_all_memory() {
  std::vector<void*> taken;
  taken.reserve(1 << 20);
  for (std::size_t size = std::size_t{1} << 20; size >= 64; size /= 2) {
    while (taken.size() < taken.capacity()) {
      void* const some = std::malloc(size);  // malloc asks no new_handler
      if (some == nullptr) break;
      taken.push_back(some);
    }
  }
  return taken;
}

// What a process of its own ends with: 0 where all went as it should.
int run_out_of_memory() {
  daemon::reserve_memory();
  auto value = nlohmann::json::array();
  for (int i = 0; i < 10'000; ++i) value.push_back(nlohmann::json::array({i}));
  limit_memory(std::size_t{32} << 20);
  const std::vector<void*> taken = take_all_memory();
  if (!daemon::has_memory_reserve()) return 1;
  try {
    const std::vector<std::byte> more(std::size_t{64} << 20);
    return 2;
  } catch (const std::bad_alloc&) {
    if (daemon::has_memory_reserve()) return 3;
    value = nullptr;  // its destructor keeps a list of what it destroys; without memory, SIGABRT
  }
  daemon::restore_memory_reserve();
  for (void* const some : taken) std::free(some);
  daemon::restore_memory_reserve();
  return daemon::has_memory_reserve() ? 0 : 4;
}

TEST_CASE("a JSON value that goes where there is no memory has the reserve for it") {
  if (HEARTH_SANITIZED) {
    MESSAGE("skipped: a sanitizer maps more than a limit allows");
    return;
  }
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(run_out_of_memory());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace hearth::tests
