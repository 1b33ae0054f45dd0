// The fuzzer's corpus of bodies, and what becomes of it when bytes change: each request is answered
// or goes to the model, whatever is in it.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "daemon/platform/files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void put(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

// A byte that changes, goes, or comes again; a piece of another body in its place.
std::string changed(std::string input, const std::vector<std::string>& all, std::mt19937& random) {
  for (unsigned times = random() % 4 + 1; times > 0 && !input.empty(); --times) {
    const std::size_t at = random() % input.size();
    const std::string& other = all[random() % all.size()];
    switch (random() % 4) {
      case 0:
        input[at] = static_cast<char>(random());
        break;
      case 1:
        input.erase(at, random() % 8);
        break;
      case 2:
        input.insert(at, input.substr(at, random() % 16));
        break;
      default:
        input.replace(at, random() % 16, other.substr(random() % other.size(), random() % 16));
    }
  }
  return input;
}

}  // namespace

TEST_CASE("whatever a body holds, it is answered or asked") {
  std::vector<std::string> all;
  for (const auto& file :
       std::filesystem::directory_iterator(HEARTH_SOURCE_DIR "/tests/fuzz/corpus/serve"))
    all.push_back(hearth::daemon::read_file(file.path(), 1 << 20));
  REQUIRE(all.size() >= 4);
  std::mt19937 random(4327);
  for (int round = 0; round < 500; ++round) {
    for (const std::string& input : all) put(round == 0 ? input : changed(input, all, random));
  }
}
