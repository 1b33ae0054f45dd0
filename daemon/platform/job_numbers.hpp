// Numbers of jobs: each is greater than all before, also those of earlier daemons, so that a number
// that a person, a file's name or an editor's tab holds never comes to mean another job.
#pragma once

#include <cstdint>
#include <filesystem>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

class JobNumbers {
 public:
  // `file` holds the last number; it is made where it is missing. Where it cannot be used, numbers
  // go on from the clock's seconds.
  explicit JobNumbers(const std::filesystem::path& file);

  std::uint64_t next();

 private:
  Fd file_;  // empty: numbers are not written down
  std::uint64_t last_ = 0;
};

}  // namespace hearth::daemon
