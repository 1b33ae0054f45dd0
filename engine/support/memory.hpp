// How much memory there is, and how the engine divides it. Knows the system's accounts, nothing of
// models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace hearth::engine {

struct MemoryView {
  std::uint64_t available = 0;  // what this process may still take; 0: the system does not say
  std::uint64_t machine = 0;    // of the machine, whoever uses it
  bool limited = false;         // a control group allows less than the machine has free
  // Share of the last ten seconds in which somebody waited for memory (PSI); 0 when unknown.
  double pressure = 0;
};

// What a look at the memory found, while an engine runs.
struct MemoryLook {
  MemoryView view;
  bool is_short = false;          // something is to be given back
  std::uint64_t experts = 0;      // bytes that the expert cache may take from now on
  std::uint64_t all_experts = 0;  // and while memory is plenty
};

// From /proc and the control groups (v1 and v2) of this process. `root` stands for "/" in tests.
MemoryView read_memory(const std::filesystem::path& root = "/");

// Of a device's memory left to other programs: its card may have a display.
inline constexpr std::uint64_t vram_for_others = std::uint64_t{512} << 20;
// And to what decoding computes with there.
inline constexpr std::uint64_t vram_scratch = std::uint64_t{64} << 20;
// What is left of so much free memory for a model.
constexpr std::uint64_t free_vram(std::uint64_t free) {
  constexpr std::uint64_t others = vram_for_others + vram_scratch;
  return free > others ? free - others : 0;
}

// Everything that the engine keeps in memory, in bytes.
struct MemoryPlan {
  std::uint64_t available = 0;  // before anything was loaded
  std::uint64_t dense = 0;      // weights that are always there
  std::uint64_t shortlist = 0;  // 8-bit copy of lm_head
  std::uint64_t kv = 0;         // of one full context
  std::uint64_t states = 0;     // DeltaNet states of the sessions
  std::uint64_t prefixes = 0;   // checkpoints to come back to
  std::uint64_t scratch = 0;    // of a prefill
  std::uint64_t experts = 0;    // slots of the cache
};

std::uint64_t total(const MemoryPlan& plan);

struct MemoryWishes {
  std::uint64_t experts = 0;      // given by the user; 0: worked out
  std::uint64_t all_experts = 0;  // slots for every expert of the checkpoint
  std::uint64_t min_experts = 0;
};

// For checkpoints, where nobody said how much: an eighth of what is available, from 256 MiB to
// 4 GiB; 1 GiB where that is unknown.
std::uint64_t default_prefixes(const MemoryView& view);

// With less than this plan_experts throws.
std::uint64_t min_memory(const MemoryPlan& plan, const MemoryWishes& wishes);

// Fills plan.experts: what was wished, or at most 60 % of what is available and what leaves the
// others 4 GiB (a control group's allowance is hearth's alone and leaves an eighth). Throws Error
// with the arithmetic where not even the least fits; `checkpoint` names it there.
void plan_experts(MemoryPlan& plan, const MemoryView& view, const MemoryWishes& wishes,
                  const std::string& checkpoint);

std::string in_gib(std::uint64_t bytes);  // "1.5 GiB"

}  // namespace hearth::engine
