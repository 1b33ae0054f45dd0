// What was learnt of the engine, kept from one start to the next: a small file of JSON, whose
// content is not trusted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "daemon/models/estimate.hpp"

namespace hearth::daemon {

// What speeds are true of.
struct Measured {
  std::uint64_t fingerprint = 0;  // of the engine
  std::int64_t threads = 0;
  double rows_of_pass = 256;
};

// Whole or not at all. Throws an Error with the path and the reason.
void save_estimates(const std::filesystem::path& file, const Measured& of,
                    const Estimates& estimates);
// Empty: there is no file, or it is of something else. Throws a std::exception that says what is
// wrong with a damaged one.
std::optional<Estimates> saved_estimates(const std::filesystem::path& file, const Measured& of);

}  // namespace hearth::daemon
