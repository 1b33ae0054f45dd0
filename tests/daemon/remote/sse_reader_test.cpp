// Events out of bytes that are cut anywhere.
#include "daemon/remote/sse_reader.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "daemon/platform/error.hpp"

using hearth::daemon::SseReader;

TEST_CASE("events are the same however their bytes are cut") {
  const std::string bytes =
      ": a comment\n\ndata: one\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\ndata\rid: 7\r\r"
      "data: {\"a\": \"\xC3\xA4\"}\n\n\n\ndatum: no\n\ndata: never ends\n";
  const std::vector<std::string> expected{"one", "two\nlines", "", "{\"a\": \"\xC3\xA4\"}"};
  CHECK(SseReader().push(bytes) == expected);
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    CAPTURE(size);
    SseReader reader;
    std::vector<std::string> events;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      for (std::string& event : reader.push(std::string_view(bytes).substr(at, size)))
        events.push_back(std::move(event));
    }
    CHECK(events == expected);
  }
}

TEST_CASE("a line without end, and an event without end, are refused") {
  const std::string piece(1 << 20, 'x');
  SseReader line;
  for (int i = 0; i < 4; ++i) CHECK(line.push(piece).empty());
  CHECK_THROWS_AS(line.push(piece), hearth::daemon::Error);
  SseReader event;
  for (int i = 0; i < 3; ++i) CHECK(event.push("data: " + piece + "\n").empty());
  CHECK_THROWS_AS(event.push("data: " + piece + "\n"), hearth::daemon::Error);
}
