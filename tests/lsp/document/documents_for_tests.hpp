// Snapshots of texts and of the files in tests/lsp/fixtures.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "lsp/support/text.hpp"

namespace hearth::lsp::test {

// A parse that takes too long is given up; a test must not depend on how busy its machine is.
inline constexpr std::chrono::milliseconds timeout = std::chrono::minutes{10};

inline SnapshotPtr snapshot(std::string uri, std::string text, std::string language_id = "",
                            std::int64_t version = 1) {
  return std::make_shared<const Snapshot>(Snapshot{std::move(uri), std::move(language_id), version,
                                                   std::make_shared<const Text>(std::move(text))});
}

inline SnapshotPtr fixture(const std::string& name) {
  std::ifstream file(HEARTH_SOURCE_DIR "/tests/lsp/fixtures/" + name, std::ios::binary);
  REQUIRE_MESSAGE(file, name);
  return snapshot("file:///home/ada/project/src/" + name,
                  std::string(std::istreambuf_iterator<char>(file), {}));
}

inline Byte place_of(const Snapshot& snapshot, std::string_view words) {
  const std::size_t found = snapshot.text->str().find(words);
  REQUIRE_MESSAGE(found != std::string::npos, words);
  return {found};
}

// From the beginning of the first to the end of the second.
inline ByteRange range_of(const Snapshot& snapshot, std::string_view first, std::string_view last) {
  return {place_of(snapshot, first), {place_of(snapshot, last).value + last.size()}};
}

}  // namespace hearth::lsp::test
