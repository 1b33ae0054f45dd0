// The file that keeps how often each expert was used, from one run to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace hearth::engine {

// A history: uses by expert key. Read: empty where there is none, it is damaged or it belongs to
// another checkpoint. Written beside, synced and renamed; Error when that fails.
std::vector<float> read_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                                std::size_t experts);
void write_history(const std::filesystem::path& file, std::uint64_t fingerprint,
                   std::span<const float> uses);

// Removes the histories of an earlier version in that directory, of whatever checkpoint; how many.
std::size_t remove_old_histories(const std::filesystem::path& directory);

}  // namespace hearth::engine
