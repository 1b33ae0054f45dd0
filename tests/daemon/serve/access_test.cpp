// Who may ask `hearth serve`.
#include "daemon/serve/access.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"

using namespace hearth::daemon;
using nlohmann::json;

namespace {

const Access access_of_tests{"192.168.1.7", {"http://localhost:3000"}, "secret"};

// The status of its refusal, or 200.
int status_of(const HttpHead& head) {
  const HttpAdmission admission = admit(head, access_of_tests);
  return admission.refusal ? admission.refusal->status : 200;
}

}  // namespace

TEST_CASE("a request names this machine") {
  for (const char* host : {"localhost", "LOCALHOST:4327", "127.0.0.1", "127.0.0.1:80", "[::1]:4327",
                           "192.168.1.7:4327"}) {
    CAPTURE(host);
    CHECK(status_of({"GET", "/props", host, "", "secret"}) == 200);
  }
  for (const char* host : {"", "evil.example", "evil.example:4327", "127.0.0.1.evil.example",
                           "localhost.evil.example", "192.168.1.70", "[::2]", "[", ":"}) {
    CAPTURE(host);
    CHECK(status_of({"GET", "/props", host, "", "secret"}) == 403);
    CHECK(status_of({"GET", "/health", host, "", "secret"}) == 403);
  }
}

TEST_CASE("a name that the certificate proves is this machine, too") {
  Access access = access_of_tests;
  access.certified = [](const std::string& host) { return host == "box.example"; };
  CHECK_FALSE(admit({"GET", "/props", "Box.Example:4327", "", "secret"}, access).refusal);
  CHECK(admit({"GET", "/props", "other.example", "", "secret"}, access).refusal);
}

TEST_CASE("where all addresses are listened at, any may be named, but no name") {
  const auto status = [](const char* host) {
    const HttpAdmission admission =
        admit({"GET", "/props", host, "", "secret"}, {"0.0.0.0", {}, "secret"});
    return admission.refusal ? admission.refusal->status : 200;
  };
  CHECK(status("192.168.1.7:4327") == 200);
  CHECK(status("[fe80::1]:4327") == 200);
  CHECK(status("localhost") == 200);
  CHECK(status("evil.example") == 403);
  CHECK(status("abc.de") == 403);
  CHECK(status("") == 403);
}

TEST_CASE("a page may ask where its origin is listed, and is told so") {
  CHECK(status_of({"GET", "/health", "localhost", "https://evil.example", ""}) == 403);
  CHECK(status_of({"GET", "/props", "localhost", "null", "secret"}) == 403);
  const HttpAdmission listed =
      admit({"GET", "/props", "localhost", "http://localhost:3000", "secret"}, access_of_tests);
  CHECK_FALSE(listed.refusal);
  REQUIRE_FALSE(listed.headers.empty());
  CHECK(listed.headers.front() == std::pair<std::string, std::string>("Access-Control-Allow-Origin",
                                                                      "http://localhost:3000"));
  // Asked by the browser, without the token.
  CHECK(status_of({"OPTIONS", "/props", "localhost", "http://localhost:3000", ""}) == 204);
  CHECK(status_of({"OPTIONS", "/props", "localhost", "http://localhost:3001", ""}) == 403);
  CHECK(admit({"GET", "/props", "localhost", "", "secret"}, access_of_tests).headers.empty());
}

TEST_CASE("the token is needed everywhere but at /health") {
  CHECK(status_of({"GET", "/health", "localhost", "", ""}) == 200);
  for (const char* token : {"", "secre", "secret2", "Secret", "secretsecret"}) {
    CAPTURE(token);
    const HttpAdmission admission =
        admit({"GET", "/v1/models", "localhost", "", token}, access_of_tests);
    REQUIRE(admission.refusal);
    CHECK(admission.refusal->status == 401);
    CHECK(json::parse(admission.refusal->body)["error"]["code"] == "invalid_api_key");
  }
}

TEST_CASE("the token is made once, and only its user can read it") {
  const hearth::tests::Home home;
  const std::string token = serve_token(home.paths());
  CHECK(token.size() == 64);
  CHECK(serve_token(home.paths()) == token);
  const auto file = home.paths().state / "serve_token";
  CHECK(hearth::tests::mode_of(file) == 0600);
  write_file(file, "short\n");
  CHECK_THROWS_WITH_AS(serve_token(home.paths()),
                       doctest::Contains("is no token of 64 hexadecimal digits: remove it"), Error);
  std::filesystem::remove(file);
  CHECK(serve_token(home.paths()) != token);
}
