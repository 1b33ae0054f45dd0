// bench-tokenizer TOKENIZER_DIR FILE…: how fast one core turns source into tokens.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include "engine/support/file.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t largest_file = std::uint64_t{1} << 28;
constexpr int repetitions = 5;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void report(const hearth::engine::Tokenizer& tokenizer, const char* name, const std::string& text) {
  double best = 1e9;
  std::size_t tokens = 0;
  for (int i = 0; i < repetitions; ++i) {
    const Clock::time_point start = Clock::now();
    tokens = tokenizer.encode(text).size();
    best = std::min(best, seconds_since(start));
  }
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf("%-40s %9.3f MB %9zu tokens %8.2f ms %8.2f MB/s\n", name, megabytes, tokens,
              best * 1e3, megabytes / best);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench-tokenizer TOKENIZER_DIR FILE...\n");
    return 2;
  }
  try {
    const Clock::time_point start = Clock::now();
    const auto tokenizer = hearth::engine::Tokenizer::load(argv[1]);
    std::printf("loaded %zu tokens in %.0f ms\n", tokenizer.vocab_size(),
                seconds_since(start) * 1e3);
    for (int i = 2; i < argc; ++i) {
      report(tokenizer, argv[i], hearth::engine::read_text(argv[i], largest_file));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-tokenizer: %s\n", error.what());
    return 1;
  }
}
