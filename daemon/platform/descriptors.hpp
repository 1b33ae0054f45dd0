// How many files the process may have open at a time.
#pragma once

#include <filesystem>
#include <string>

#include "daemon/platform/fd.hpp"

namespace hearth::daemon {

// Raises this process's limit as far as it may itself. Throws Error when even that is too little
// for the checkpoint in `model` and some editors: it is better told at the start than by a daemon
// that can accept nobody.
void reserve_descriptors(const std::filesystem::path& model);

// One to close when there is no other left, so that what needs one for a moment has it. Not open
// where none can be had.
Fd spare_descriptor();

// Why a connection is refused for want of a descriptor, and what to do.
std::string too_many_open_files();

}  // namespace hearth::daemon
