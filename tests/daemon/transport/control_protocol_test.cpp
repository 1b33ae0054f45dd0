// The hellos.
#include "daemon/transport/control_protocol.hpp"

#include <doctest/doctest.h>

#include "daemon/platform/error.hpp"

using namespace hearth::daemon;

TEST_CASE("a hello is read as it was written") {
  const Hello hello =
      parse_hello(encode(Hello{protocol_version, "0.1.0+abc", ConnectionKind::control, 17, "/é"}));
  CHECK(hello.build == "0.1.0+abc");
  CHECK(hello.kind == ConnectionKind::control);
  CHECK(hello.pid == 17);
  CHECK(hello.cwd == "/é");
}

TEST_CASE("a welcome is read as it was written") {
  Welcome welcome;
  welcome.build = "0.1.0+abc";
  welcome.pid = 18;
  welcome.model = "/models/ember";
  welcome.idle = true;
  const Welcome again = parse_welcome(encode(welcome));
  CHECK(again.model == "/models/ember");
  CHECK(again.idle);
  CHECK(again.error.empty());
  welcome.error = "no";
  CHECK(parse_welcome(encode(welcome)).error == "no");
}

TEST_CASE("another protocol is refused with what to do") {
  CHECK_THROWS_WITH(parse_hello(R"({"protocol": 1, "build": "0.1.0+abc", "kind": "lsp"})"),
                    "the running daemon speaks protocol 2, not 1: end it with `hearth stop` and "
                    "try again");
  CHECK_THROWS_WITH(parse_hello(R"({"protocol": 7, "whatever": true})"),
                    "the running daemon speaks protocol 2, not 7: end it with `hearth stop` and "
                    "try again");
}

TEST_CASE("what is no hello is refused") {
  for (const char* body : {"", "GET / HTTP/1.1", "[]", "{}", R"({"protocol": "1"})"}) {
    CAPTURE(body);
    CHECK_THROWS_WITH(parse_hello(body), "the first message is no hello");
  }
  CHECK_THROWS_AS(
      parse_hello(R"({"protocol": 2, "build": "x", "kind": "ftp", "pid": 1, "cwd": ""})"), Error);
  CHECK_THROWS_AS(parse_hello(R"({"protocol": 2, "build": 3, "kind": "lsp", "pid": 1, "cwd": ""})"),
                  Error);
  CHECK_THROWS_AS(parse_hello(R"({"protocol": 2, "kind": "lsp"})"), Error);
}
