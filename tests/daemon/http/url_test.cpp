// Addresses.
#include "daemon/http/url.hpp"

#include <doctest/doctest.h>

#include "daemon/platform/error.hpp"

using namespace hearth::http;
using hearth::daemon::Error;

TEST_CASE("an address is taken apart, and put together again") {
  const Url url = parse_url("https://Hub.Example:8443/a/b?c=d#e");
  CHECK(url.tls);
  CHECK(url.host == "hub.example");
  CHECK(url.port == "8443");
  CHECK(url.target == "/a/b?c=d");
  CHECK(url.origin() == "https://hub.example:8443");
  CHECK(url.shown() == "https://hub.example:8443/a/b");
  CHECK(parse_url("http://[::1]:80").origin() == "http://[::1]");
  CHECK(parse_url("https://h?q").target == "/?q");
}

TEST_CASE("only this machine's own names are loopback") {
  for (const char* here : {"http://localhost/", "http://127.0.0.1:1/", "http://[::1]/"})
    CHECK(parse_url(here).is_loopback());
  for (const char* there : {"http://localhost.example/", "http://127.0.0.1.example/",
                            "http://127.evil.0.1/", "http://10.0.0.1/", "http://[::2]/"})
    CHECK_FALSE(parse_url(there).is_loopback());
}

TEST_CASE("what is no address is refused") {
  for (const char* text :
       {"", "hub.example", "ftp://hub.example/", "https://", "https:///a", "https://a b/",
        "https://user@hub.example/", "https://hub.example:0/", "https://hub.example:70000/",
        "https://hub.example:x/", "https://[::1/", "https://[::g]/", "https://[::1]x/",
        "https://a\\b/", "https://hub.example/\r\nX: y"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_url(text), Error);
  }
}

TEST_CASE("a location leads on from where it was said") {
  const Url base = parse_url("https://hub.example/a/b?c");
  CHECK(resolve_location(base, "/d").shown() == "https://hub.example/d");
  CHECK(resolve_location(base, "d?e=https://x").target == "/a/d?e=https://x");
  CHECK(resolve_location(base, "//cdn.example/d").origin() == "https://cdn.example");
  CHECK(resolve_location(base, "http://cdn.example/d").origin() == "http://cdn.example");
  CHECK_THROWS_AS(resolve_location(base, ""), Error);
  CHECK_THROWS_AS(resolve_location(base, "file:///etc/passwd"), Error);
  CHECK(path_encoded("a/b c%ü") == "a/b%20c%25%C3%BC");
}
