// golden DIR…: runs checkpoints and prints how far the engine is from the reference
// implementation's recorded results. Exit code 1 on a miss, 2 on bad use.
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/golden_compare.hpp"

namespace {

using namespace hearth;

constexpr const char* usage =
    "usage: golden [--data FILE] [--isa scalar|avx2|avx512|amx] [--threads N] DIR...\n"
    "  DIR     a checkpoint with golden.safetensors in it\n"
    "  --data  take the recorded results from FILE instead (one DIR)\n";

struct Arguments {
  std::filesystem::path data;
  engine::EngineOptions options;
  std::vector<std::filesystem::path> checkpoints;
};

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--data" && has_value) {
      arguments.data = argv[++i];
    } else if (word == "--threads" && has_value) {
      arguments.options.host().threads = std::atoi(argv[++i]);
    } else if (word == "--isa" && has_value) {
      arguments.options.host().isa = kernels::parse_isa(argv[++i]);
      if (!arguments.options.host().isa) return false;
    } else if (word.starts_with("--")) {
      return false;
    } else {
      arguments.checkpoints.emplace_back(word);
    }
  }
  return !arguments.checkpoints.empty() &&
         (arguments.data.empty() || arguments.checkpoints.size() == 1);
}

// The number of misses.
std::size_t compare(const std::filesystem::path& checkpoint, const Arguments& arguments) {
  const std::filesystem::path data =
      arguments.data.empty() ? checkpoint / "golden.safetensors" : arguments.data;
  std::size_t misses = 0;
  for (const tests::GoldenMode& mode : tests::golden_modes()) {
    const auto runtime = tests::load_golden_engine(checkpoint, arguments.options);
    if (mode.name() == tests::golden_modes().front().name())
      std::printf("%s: %s\n", checkpoint.c_str(), runtime->engine().description().c_str());
    const tests::GoldenReport report = tests::compare_golden(runtime, data, mode);
    std::printf(
        "  %-34s logits %.1e  hidden %.1e  mtp %.1e  router rows %zu  tokens %zu  drafts %zu  "
        "misses %zu\n",
        mode.name().c_str(), report.logits, report.hidden, report.mtp, report.router_rows,
        report.greedy_tokens, report.drafts, report.misses.size());
    for (const std::string& miss : report.misses) std::printf("    %s\n", miss.c_str());
    std::fflush(stdout);
    misses += report.misses.size();
  }
  return misses;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(usage, stderr);
    return 2;
  }
  std::size_t misses = 0;
  for (const std::filesystem::path& checkpoint : arguments.checkpoints) {
    try {
      misses += compare(checkpoint, arguments);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "golden: %s: %s\n", checkpoint.c_str(), error.what());
      ++misses;
    }
  }
  std::printf("%zu misses\n", misses);
  return misses == 0 ? 0 : 1;
}
