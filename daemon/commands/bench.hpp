// `hearth bench`: what it is asked, and the run itself, which tests call with a device of theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/commands/bench_url.hpp"
#include "engine/options.hpp"

namespace hearth::daemon {

struct BenchFlags {
  std::string model;
  std::optional<std::uint64_t> memory;
  std::optional<std::uint64_t> ram;   // free memory, as on a machine with less
  std::optional<std::uint64_t> vram;  // of a GPU, for layers and experts
  std::optional<std::uint64_t> scratch;
  std::string reader;
  std::string policy;
  std::string trace;
  std::string draft;
  UrlBench url;
  bool no_prefetch = false;
  bool no_shortlist = false;
  bool interrupt = false;
  bool copy = false;
  bool json = false;
  int threads = 0;
  std::vector<std::size_t> prompts{512, 2048, 8192};
  std::vector<std::size_t> depths{0, 4096};
  std::size_t tokens = 40;
  decltype(engine::DeviceOptions::open) open_gpu;  // empty: the first CUDA device
};

// Prints to stdout; returns the exit code. Throws Error.
int bench(const BenchFlags& flags);

}  // namespace hearth::daemon
