// Framing: whole bodies out of any division of the stream, and a clear refusal of what lies.
#include "lsp/wire.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace hearth::lsp::test {
namespace {

std::vector<std::string> read_all(MessageReader& reader) {
  std::vector<std::string> bodies;
  while (auto body = reader.next()) bodies.push_back(std::move(*body));
  return bodies;
}

std::string refusal(std::string_view bytes) {
  MessageReader reader;
  reader.push(bytes);
  try {
    read_all(reader);
  } catch (const WireError& error) {
    return error.what();
  }
  return "";
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("what is framed is read again, however the stream is divided") {
  const std::vector<std::string> bodies{"{}", "", "{\"a\":1}", std::string(5000, 'x'), "\r\n\r\n"};
  std::string stream;
  for (const std::string& body : bodies) stream += frame(body);
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 64U, 100'000U}) {
    MessageReader reader;
    std::vector<std::string> read;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      reader.push(std::string_view(stream).substr(at, piece));
      for (std::string& body : read_all(reader)) read.push_back(std::move(body));
    }
    CAPTURE(piece);
    CHECK(read == bodies);
  }
}

TEST_CASE("headers may be written in any case, with blanks, beside other headers") {
  MessageReader reader;
  reader.push(
      "content-type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH :  2 \r\n\r\n{}");
  CHECK(reader.next() == "{}");
}

TEST_CASE("a huge body passes, and its memory is not searched again and again") {
  const std::string body(20'000'000, 'b');
  MessageReader reader;
  const std::string message = frame(body);
  std::optional<std::string> read;
  for (std::size_t at = 0; at < message.size(); at += 65536) {
    CHECK_FALSE(read);
    reader.push(std::string_view(message).substr(at, 65536));
    read = reader.next();
  }
  REQUIRE(read);
  CHECK(*read == body);
}

TEST_CASE("a stream that cannot be read on is refused with the reason") {
  CHECK(contains(refusal("Content-Length: 99999999999\r\n\r\n"), "more than the 268435456 bytes"));
  CHECK(contains(refusal("Content-Length: 99999999999999999999999\r\n\r\n"), "more than"));
  CHECK(contains(refusal("Content-Length: -5\r\n\r\n"), "not a number of bytes: \"-5\""));
  CHECK(contains(refusal("Content-Length: 12x\r\n\r\n"), "not a number of bytes: \"12x\""));
  CHECK(contains(refusal("Content-Length:\r\n\r\n"), "not a number of bytes: \"\""));
  CHECK(
      contains(refusal("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), "two Content-Length"));
  CHECK(contains(refusal("Content-Type: text\r\n\r\n"), "no Content-Length"));
  CHECK(contains(refusal("no header\r\n\r\n"), "not a message header: \"no header\""));
  CHECK(contains(refusal("A: " + std::string(9000, 'a')), "longer than 8192 bytes"));
}

TEST_CASE("a length that does not match its body is found at the next message") {
  CHECK(contains(refusal("Content-Length: 3\r\n\r\n{\"a\":1}" + frame("{}")),
                 "does not match its body"));
  CHECK(contains(refusal("Content-Length: 9\r\n\r\n{}" + frame("{}")), "does not match its body"));
  CHECK(contains(refusal("Content-Length: 2\r\n\r\n{}\r\n" + frame("{}")),
                 "does not match its body"));
}

}  // namespace hearth::lsp::test
