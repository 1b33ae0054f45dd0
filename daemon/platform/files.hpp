// Private files, written whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

// Whole or not at all, mode 0600 (engine/support/atomic_file.hpp). Throws Error with the path and
// the reason (a full disk); what was there before then still is.
void write_file(const std::filesystem::path& path, std::string_view text);

// Where a link leads, and those that it leads to, whether or not there is a file; the path itself
// where it is no link, or one of a chain without end.
std::filesystem::path link_target(const std::filesystem::path& path);

// The whole file. Throws Error with the path and the reason, also beyond `limit` bytes and for what
// is no regular file: a pipe could be waited for without end.
std::string read_file(const std::filesystem::path& path, std::size_t limit);

// What is left to read of an open file; `path` is for the Error, as above.
std::string read_all(const Fd& fd, const std::filesystem::path& path, std::size_t limit);

const char* kind_of_file(mode_t mode);  // in words: "a named pipe"

}  // namespace hearth::daemon
