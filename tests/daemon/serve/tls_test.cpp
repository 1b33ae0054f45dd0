// The port of `hearth serve` through TLS, and the pair of files that it needs for that.
#include "daemon/serve/tls.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>

#include "daemon/http/client.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/http/authorities.hpp"
#include "tests/daemon/http/web_server.hpp"
#include "tests/daemon/serve/http_client.hpp"
#include "tests/daemon/serve/served.hpp"

using namespace hearth;
using namespace hearth::daemon;
using tests::contains;
using tests::HttpClient;
using tests::Served;

namespace {

// A certificate for localhost and its key, as files.
struct Pair {
  Pair() {
    write_file(files.certificate, made.certificate);
    write_file(files.key, made.key);
  }
  std::string refusal(const TlsFiles& tried) const {
    try {
      const ServerTls tls(tried);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }

  tests::TestCertificate made = tests::make_certificate("localhost");
  tests::TemporaryDirectory directory;
  TlsFiles files{directory.path() / "serve.pem", directory.path() / "serve.key"};
};

http::Request request_to(std::uint16_t port, const std::string& path) {
  http::Request request;
  request.url = http::parse_url("https://localhost:" + std::to_string(port) + path);
  return request;
}

// As the first bytes of TLS are: a record that announces more than follows.
constexpr std::string_view half_a_hello("\x16\x03\x01\x02\x00\x01", 6);

}  // namespace

TEST_CASE("through TLS requests are answered as they are without") {
  const Pair pair;
  Served served({}, std::make_shared<ServerTls>(pair.files));
  const tests::Authorities authorities(pair.made.certificate);
  http::Client client;
  client.begin(request_to(served.port, "/echo"));
  client.read_all(100);
  client.begin(request_to(served.port, "/again"));
  client.read_all(100);
  served.wait_for([&] { return served.server->connections() == 1; });  // kept
  http::Request post = request_to(served.port, "/echo");
  post.method = "POST";
  post.body = std::string(300'000, 'x');  // many records, both ways
  CHECK(client.begin(post).status == 200);
  CHECK(client.read_all(1 << 20) == post.body);
  post.headers.push_back({"Connection", "close"});
  CHECK(client.begin(post).status == 200);
  CHECK(client.read_all(1 << 20) == post.body);
  client.close();
  served.wait_for([&] { return served.server->connections() == 0; });
}

TEST_CASE("through TLS, too, a client that goes takes its work with it") {
  const Pair pair;
  Served served({}, std::make_shared<ServerTls>(pair.files));
  const tests::Authorities authorities(pair.made.certificate);
  std::atomic<bool> stop = false;
  std::thread asks([&] {
    http::Client client({}, &stop);
    CHECK_THROWS_AS(client.begin(request_to(served.port, "/later")), http::Failure);
  });
  served.wait_for([&] { return served.works == 1; });
  stop = true;
  asks.join();
  served.wait_for([&] { return served.works == 0 && served.server->connections() == 0; });
}

TEST_CASE("who speaks no TLS, or never ends its greeting, is let go; others are served on") {
  const Pair pair;
  HttpLimits limits;
  limits.headers = std::chrono::milliseconds(200);
  Served served(limits, std::make_shared<ServerTls>(pair.files));
  HttpClient plain(served.port);
  plain.send("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
  plain.end();
  HttpClient silent(served.port);
  HttpClient slow(served.port);
  slow.send(half_a_hello);
  CHECK(silent.at_end());
  CHECK(slow.at_end());
  served.wait_for([&] { return served.server->connections() == 0; });
  CHECK(served.works == 0);
  const tests::Authorities authorities(pair.made.certificate);
  for (int status = 0; status != 200;) {  // on a busy machine its own greeting may be too slow
    try {
      status = http::Client().begin(request_to(served.port, "/echo")).status;
    } catch (const http::Failure&) {
      continue;
    }
  }
}

TEST_CASE("greetings count as connections, and one too many is told so through TLS") {
  const Pair pair;
  HttpLimits limits;
  limits.connections = 2;
  Served served(limits, std::make_shared<ServerTls>(pair.files));
  HttpClient first(served.port);
  HttpClient second(served.port);
  first.send(half_a_hello);
  served.wait_for([&] { return served.server->connections() == 2; });
  const tests::Authorities authorities(pair.made.certificate);
  http::Client third;
  CHECK(third.begin(request_to(served.port, "/echo")).status == 503);
  CHECK(contains(third.read_all(1000), "too_many_connections"));
}

TEST_CASE("a pair that cannot be used is refused with its file and what to do") {
  const Pair pair;
  const Pair other;
  const std::string key = pair.files.key.string();
  const std::string certificate = pair.files.certificate.string();
  CHECK(pair.refusal(pair.files) == "none");
  CHECK(pair.refusal({certificate, ""}) ==
        "serve.certificate and serve.key go together: serve.key is missing");
  CHECK(pair.refusal({"", key}) ==
        "serve.certificate and serve.key go together: serve.certificate is missing");
  CHECK(pair.refusal({certificate, "/nowhere/a.key"}) ==
        "cannot read /nowhere/a.key: No such file or directory");
  CHECK(pair.refusal({"/nowhere/a.pem", key}) ==
        "cannot read /nowhere/a.pem: No such file or directory");
  CHECK(pair.refusal({key, key}) ==
        "serve.certificate: " + key + " has no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  CHECK(pair.refusal({certificate, other.files.key}) ==
        "serve.key: " + other.files.key.string() + " is not the key of the certificate in " +
            certificate);
  write_file(pair.files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  CHECK(pair.refusal(pair.files) ==
        "serve.key: " + key + " has no private key in PEM (-----BEGIN …)");
  write_file(pair.files.key, tests::locked_key(pair.made.key, "secret"));
  CHECK(contains(pair.refusal(pair.files), "openssl pkey -in " + key + " -out NEW.key"));
  write_file(pair.files.key, pair.made.key);
  REQUIRE(::chmod(key.c_str(), 0644) == 0);
  CHECK(pair.refusal(pair.files) ==
        "serve.key: other users can read or change " + key + ": chmod 600 " + key);
}

TEST_CASE("a certificate is for its names alone") {
  const Pair pair;
  const ServerTls tls(pair.files);
  CHECK(tls.is_for("localhost"));
  CHECK_FALSE(tls.is_for("evil.example"));
  CHECK_FALSE(tls.is_for("127.0.0.1"));
  CHECK_FALSE(tls.is_for(""));
}

TEST_CASE("a daemon with a pair serves at https, at any address") {
  const Pair pair;
  tests::Home home;
  const std::string files = "certificate = \"" + pair.files.certificate.string() + "\"\nkey = \"" +
                            pair.files.key.string() + "\"\n";
  home.configure("[serve]\nport = 0\nlisten = \"0.0.0.0\"\n" + files);
  CHECK(contains(home.hearth("serve").out, "https://0.0.0.0:"));
  const http::Url url = http::parse_url(home.status()["serve"]["url"].get<std::string>());
  const tests::Authorities authorities(pair.made.certificate);
  http::Client client;
  CHECK(
      client.begin(request_to(static_cast<std::uint16_t>(std::stoi(url.port)), "/health")).status ==
      200);
  // A key that others can read closes the door, and says so.
  REQUIRE(::chmod(pair.files.key.c_str(), 0644) == 0);
  CHECK(home.hearth("serve --close").code == 0);
  const tests::Finished refused = home.hearth("serve");
  CHECK(refused.code != 0);
  CHECK(contains(refused.err, "chmod 600 " + pair.files.key.string()));
}
