// `hearth bench --url`: the speed of a server of models, as its clients see it.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::daemon {

struct UrlBench {
  std::string url;
  std::string model;  // by which it is asked; empty: the first that the server lists
  int rounds = 5;
  std::int64_t tokens = 40;   // of each answer
  std::int64_t prompt = 512;  // about so many tokens
  bool json = false;
};

// Asks for an answer to a new prompt, and to the same once more; prints the medians of some rounds.
// The key is $HEARTH_API_KEY. An exit code; throws Error.
int bench_url(const UrlBench& bench);

}  // namespace hearth::daemon
