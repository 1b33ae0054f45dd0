// Addresses of an API, and how long its server asks to wait.
#include "daemon/remote/server_address.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace hearth;
using namespace std::chrono_literals;
using daemon::read_retry_after;
using daemon::ServerAddress;

TEST_CASE("an API is found with and without its version") {
  for (const char* given : {"https://gpu.example.org", "https://gpu.example.org/",
                            "https://gpu.example.org/v1", "https://gpu.example.org/v1/"}) {
    CAPTURE(given);
    const ServerAddress address(http::parse_url(given), "k", "");
    CHECK(address.shown() == "https://gpu.example.org/v1");
    CHECK(address.get_api("/models").url.target == "/v1/models");
    CHECK(address.get_root("/tokenize").url.target == "/tokenize");
    CHECK(address.leaves_machine());
  }
  const ServerAddress behind(http::parse_url("https://example.org:8443/team/v1"), "", "");
  CHECK(behind.get_root("/tokenize").url.target == "/team/tokenize");
  CHECK(behind.place() == "example.org:8443");
}

TEST_CASE("a server says for how long in seconds, or by a date") {
  const std::chrono::system_clock::time_point now{std::chrono::seconds(784'111'777)};
  CHECK(read_retry_after("120", now) == 120s);
  CHECK(read_retry_after("0", now) == 0s);
  CHECK(read_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now) == 10s);
  CHECK(read_retry_after("99999999", now) == 1h);
  for (const char* none :
       {"", "soon", "-5", "12s", "Sun, 06 Nov 1994 08:49:00 GMT", "99999999999999999999999"})
    CHECK_FALSE(read_retry_after(none, now));
}
