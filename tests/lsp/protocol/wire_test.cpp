// Framing: whole bodies out of any division of the stream, and a clear refusal of what lies.
#include "lsp/protocol/wire.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lsp/protocol/message_size.hpp"

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

TEST_CASE("header lines may end in LF alone") {
  for (const std::string_view stream :
       {"Content-Length: 2\n\n{}Content-Length: 3\n\n\n{}",
        "Content-Type: text\nContent-Length: 2\n\n{}Content-Length: 3\r\n\n\n{}",
        "Content-Length: 2\n\r\n{}Content-Length: 3\r\n\r\n\n{}"}) {
    CAPTURE(stream);
    MessageReader reader;
    std::vector<std::string> read;
    for (const char byte : stream) {
      reader.push({&byte, 1});
      for (std::string& body : read_all(reader)) read.push_back(std::move(body));
    }
    CHECK(read == std::vector<std::string>{"{}", "\n{}"});
    CHECK_FALSE(reader.pending());
  }
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

TEST_CASE("a large message that brings no document is refused, and those behind it are read") {
  const std::string filler(3 * MessageReader::max_unchecked_bytes, 'x');
  const auto with = [&](const char* before, const char* after) { return before + filler + after; };
  const std::vector<std::string> taken = {
      with(R"({"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"text":")",
           R"("}}})"),
      with(R"({"method": "textDocument/didChange", "params": {"contentChanges": [{"text": ")",
           R"("}]}})"),
      // Clients whose objects have no order.
      with(R"({"params":{"textDocument":{"version":1,"text":")",
           R"(","uri":""}},"method":"textDocument/didOpen"})"),
      with(R"({"params":{"contentChanges":[{"text":")",
           R"("}]},"method":"textDocument/didChange"})"),
      R"({"id":1,"method":"textDocument/hover","params":")" +
          filler.substr(0, MessageReader::max_unchecked_bytes - 100) + "\"}",
  };
  const std::vector<std::pair<std::string, std::string>> refused = {
      {with(R"({"id":7,"method":"textDocument/hover","params":")", "\"}"), "7"},
      {with(R"({"method":"initialize","id":"a\"b","params":")", "\"}"), R"("a\"b")"},
      {with(R"({"method":"textDocument/didSave","params":{"textDocument":{"text":")", "\"}}}"),
       "null"},
      {with(R"({"params":{"arguments":[")", R"("]},"method":"textDocument/didOpen"})"), "null"},
      {with(R"({"id":[1],"result":")", "\"}"), "null"},
      {with("", ""), "null"},
      // The id behind what makes the message large, and others of that name within it.
      {with(R"({"params":")", R"(","id":8,"method":"textDocument/hover"})"), "8"},
      {with(R"({"params":{"id":1,"text":"\"id\":2,)",
            R"(","list":[{"id":3}]}, "method" : "x" , "id" : "a\\\"b" })"),
       R"("a\\\"b")"},
      {with(
           R"({"jsonrpc":"2.0","method":"workspace/didChangeConfiguration","params":{"id":1,"a":")",
           "\"}}"),
       "null"},
      {std::string(3'000'000, '['), "null"},
  };
  std::string stream;
  for (std::size_t i = 0; i < refused.size(); ++i)
    stream += (i < taken.size() ? frame(taken[i]) : "") + frame(refused[i].first) + frame("{}");
  MessageReader reader(refuse_if_too_large);
  std::vector<std::string> bodies;
  std::vector<std::string> answers;
  for (std::size_t at = 0; at < stream.size(); at += 65536) {
    reader.push(std::string_view(stream).substr(at, 65536));
    for (;;) {
      try {
        auto body = reader.next();
        if (!body) break;
        bodies.push_back(std::move(*body));
      } catch (const MessageRefused& refusal) {
        answers.push_back(refusal.answer);
      }
    }
  }
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < refused.size(); ++i) {
    if (i < taken.size()) expected.push_back(taken[i]);
    expected.emplace_back("{}");
  }
  CHECK(bodies == expected);
  REQUIRE(answers.size() == refused.size());
  for (std::size_t i = 0; i < refused.size(); ++i) {
    CAPTURE(answers[i]);
    CHECK(contains(answers[i], R"("code":-32600)"));
    CHECK(contains(answers[i], R"("id":)" + refused[i].second));
  }
  CHECK_FALSE(reader.pending());
}

TEST_CASE("a large message is refused before the rest of it has come") {
  MessageReader reader(refuse_if_too_large);
  const std::string message =
      R"({"id":7,"method":"x","params":")" + std::string(MessageReader::max_unchecked_bytes, 'x');
  reader.push("Content-Length: 60000000\r\n\r\n");
  CHECK_FALSE(reader.next());
  reader.push(std::string_view(message).substr(0, 1'000'000));
  CHECK_FALSE(reader.next());
  reader.push(std::string_view(message).substr(1'000'000));
  CHECK_THROWS_AS(reader.next(), MessageRefused);
  CHECK(reader.pending());
  for (std::size_t left = 60'000'000 - message.size(); left > 0;) {
    const std::size_t some = std::min<std::size_t>(left, 1'000'000);
    reader.push(std::string(some, 'x'));
    CHECK_FALSE(reader.next());
    left -= some;
  }
  CHECK_FALSE(reader.pending());
  reader.push(frame("{}"));
  CHECK(reader.next() == "{}");
}

TEST_CASE("a stream that cannot be read on is refused with the reason") {
  CHECK(contains(refusal("Content-Length: 99999999999\r\n\r\n"), "more than the 268435456 bytes"));
  CHECK(contains(refusal("Content-Length: 99999999999999999999999\r\n\r\n"), "more than"));
  CHECK(contains(refusal("Content-Length: -5\r\n\r\n"), "not a number of bytes"));
  CHECK(contains(refusal("Content-Length: 12x\r\n\r\n"), "not a number of bytes"));
  CHECK(contains(refusal("Content-Length:\r\n\r\n"), "not a number of bytes"));
  CHECK(
      contains(refusal("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), "two Content-Length"));
  CHECK(contains(refusal("Content-Type: text\r\n\r\n"), "no Content-Length"));
  CHECK(contains(refusal("no header\r\n\r\n"), "is no message header"));
  CHECK(contains(refusal("A: " + std::string(9000, 'a')), "longer than 8192 bytes"));
}

TEST_CASE("a refusal quotes nothing of what was sent") {
  for (const std::string& stream :
       {std::string("Content-Length: secret\r\n\r\n"), std::string("secret\r\n\r\n{}"),
        std::string("Content-Length: 7777777777\r\n\r\n"), std::string(9000, 's'),
        "Content-Length: 3\r\n\r\n{\"secret\":1}" + frame("{}"),
        "Content-Length: 2\r\n\r\n{}\"secret\"" + frame("{}")}) {
    const std::string text = refusal(stream);
    CAPTURE(text);
    CHECK_FALSE(contains(text, "secret"));
    CHECK_FALSE(contains(text, "777"));
    CHECK_FALSE(contains(text, "sss"));
  }
}

TEST_CASE("a length that does not match its body is found at the next message") {
  CHECK(contains(refusal("Content-Length: 3\r\n\r\n{\"a\":1}" + frame("{}")),
                 "does not match its body"));
  CHECK(contains(refusal("Content-Length: 9\r\n\r\n{}" + frame("{}")), "does not match its body"));
  CHECK(contains(refusal("Content-Length: 2\r\n\r\n{}\r\n" + frame("{}")),
                 "does not match its body"));
}

}  // namespace hearth::lsp::test
