// What the prefix checkpoints are doing, in numbers for people.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::engine {

struct PrefixStatistics {
  std::uint64_t ram_bytes = 0;  // states under way in a chunk included
  std::uint64_t ram_limit = 0;
  std::size_t ram_checkpoints = 0;
  bool disk = false;  // whether there is a directory, and it is ours
  std::uint64_t disk_bytes = 0;
  std::uint64_t disk_limit = 0;
  std::size_t disk_checkpoints = 0;
  std::uint64_t written_today = 0;
  std::uint64_t daily_limit = 0;
  std::uint64_t hits = 0;             // prompts that went on from a checkpoint
  std::uint64_t misses = 0;           // prompts that began at their first token
  std::uint64_t restored_tokens = 0;  // not computed again, thanks to checkpoints
};

}  // namespace hearth::engine
