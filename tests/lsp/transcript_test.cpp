// Every file in transcripts/ is a test of its own name.
#include "tests/lsp/transcript.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace hearth::lsp::test {

TEST_CASE("sessions go as their transcripts say") {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(HEARTH_SOURCE_DIR "/tests/lsp/transcripts")) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  REQUIRE(files.size() > 10);
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    SUBCASE(file.stem().c_str()) {
      CHECK_NOTHROW(play_transcript(file));
    }
  }
}

}  // namespace hearth::lsp::test
