// The HTTP client, against a server that does all that servers do.
#include "daemon/http/client.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <thread>

#include "tests/daemon/http/authorities.hpp"
#include "tests/daemon/http/web_server.hpp"

using namespace hearth::http;
using namespace std::chrono_literals;
using hearth::tests::Authorities;
using hearth::tests::make_certificate;
using hearth::tests::TestCertificate;
using hearth::tests::WebConnection;
using hearth::tests::WebRequest;
using hearth::tests::WebServer;

namespace {

Request get(const WebServer& server, const std::string& target = "/") {
  Request request;
  request.url = parse_url(server.origin() + target);
  return request;
}

std::optional<FailureKind> failure_of(Client& client, const Request& request) {
  try {
    client.begin(request);
    client.read_all(1 << 20);
  } catch (const Failure& failure) {
    CAPTURE(failure.what());
    const std::string text = failure.what();
    CHECK(text.find(request.url.host) != std::string::npos);
    return failure.kind();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("an answer comes whole, in each of its three forms, over one connection where it can") {
  WebServer server([](const WebRequest& request, WebConnection& connection) {
    if (request.target == "/chunks") {
      connection.send(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Of: chunks\r\n\r\n"
          "3\r\nabc\r\n");
      connection.send("4\r\ndefg\r\n0\r\n\r\n");
    } else if (request.target == "/end") {
      connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
      connection.cut();
    } else if (request.target == "/interim") {
      connection.send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n");
      connection.respond(404, "", "late");
    } else {
      connection.respond(200, "X-Method: " + request.method + "\r\n",
                         request.header("user-agent") + request.header("host") + request.body);
    }
  });
  Client client;
  Head head = client.begin(get(server, "/chunks"));
  CHECK(head.status == 200);
  CHECK(head.find("x-OF") == "chunks");
  CHECK(head.find("missing").empty());
  CHECK(client.read_all(100) == "abcdefg");
  CHECK(client.read().empty());
  head = client.begin(get(server, "/interim"));
  CHECK(head.status == 404);
  CHECK(client.read_all(100) == "late");
  client.begin(get(server));
  CHECK(client.read_all(100) == "hearth127.0.0.1:" + std::to_string(server.port()));
  CHECK(server.connections() == 1);

  Request post = get(server);
  post.method = "POST";
  post.body = "{}";
  CHECK(client.begin(post).find("X-Method") == "POST");
  CHECK(client.read_all(100).ends_with("{}"));
  CHECK(server.connections() == 2);  // never over one that may have ended
  client.begin(get(server, "/end"));
  CHECK(client.read_all(100) == "until the end");
}

TEST_CASE("a kept connection that ended meanwhile is replaced unseen, a cut answer is a failure") {
  std::atomic<int> seen = 0;
  WebServer server([&](const WebRequest& request, WebConnection& connection) {
    ++seen;
    if (request.target == "/cut") {
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      connection.cut();
    } else if (request.target == "/once") {
      connection.respond(200, "", "once");
      connection.cut();
    } else if (request.target == "/nothing") {
      connection.cut();
    } else if (request.target == "/chunk") {
      connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
      connection.cut();
    } else {
      connection.respond(200, "", "again");
    }
  });
  Client client;
  client.begin(get(server, "/once"));
  CHECK(client.read_all(100) == "once");
  client.begin(get(server));
  CHECK(client.read_all(100) == "again");
  CHECK(failure_of(client, get(server, "/cut")) == FailureKind::closed);
  CHECK(failure_of(client, get(server, "/chunk")) == FailureKind::closed);
  seen = 0;
  Client fresh;
  CHECK(failure_of(fresh, get(server, "/nothing")) == FailureKind::closed);
  CHECK(seen == 1);  // what may have been heard is not sent again
}

TEST_CASE("what is no HTTP, too long a head or too long a body is refused") {
  WebServer server([](const WebRequest& request, WebConnection& connection) {
    if (request.target == "/head") {
      connection.send("HTTP/1.1 200 OK\r\nX-Long: " + std::string(70'000, 'x') + "\r\n\r\n");
    } else if (request.target == "/body") {
      connection.respond(200, "", std::string((1 << 20) + 1, 'x'));
    } else if (request.target == "/length") {
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n");
    } else {
      connection.send("220 mail.example ESMTP\r\n\r\n");
    }
  });
  Client client;
  for (const char* target : {"/", "/head", "/body", "/length"}) {
    CAPTURE(target);
    CHECK(failure_of(client, get(server, target)) == FailureKind::malformed);
  }
  Request request = get(server);
  request.headers.push_back({"Authorization", "Bearer a\r\nX-Other: b"});
  CHECK_THROWS_AS(client.begin(request), hearth::daemon::Error);
}

TEST_CASE("a server that says nothing, or is none, is given up; so is any on demand") {
  WebServer silent([](const WebRequest& request, WebConnection& connection) {
    if (request.target == "/half") connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na");
    while (connection.waits(10ms)) continue;
  });
  std::atomic<bool> stop = false;
  Limits limits;
  limits.head = limits.silence = 50ms;
  Client client(limits, &stop);
  CHECK(failure_of(client, get(silent)) == FailureKind::timeout);
  CHECK(failure_of(client, get(silent, "/half")) == FailureKind::timeout);

  Client patient({}, &stop);
  std::thread stopper([&] { stop = true; });
  CHECK(failure_of(patient, get(silent)) == FailureKind::stopped);
  stopper.join();
  stop = false;

  Request nowhere;
  nowhere.url = parse_url("http://127.0.0.1:1/");
  CHECK(failure_of(client, nowhere) == FailureKind::unreachable);
  nowhere.url = parse_url("http://no-such-host.invalid/");
  CHECK(failure_of(client, nowhere) == FailureKind::unreachable);
}

TEST_CASE("TLS: a certificate that holds is taken; an unknown one, and another host's, never") {
  const TestCertificate local = make_certificate("localhost");
  const TestCertificate other = make_certificate("elsewhere.example");
  const auto answer = [](const WebRequest&, WebConnection& connection) {
    connection.respond(200, "", "secret");
  };
  WebServer server(answer, &local);
  WebServer mistaken(answer, &other);
  WebServer plain(answer);
  {
    const Authorities authorities(local.certificate + other.certificate);
    Client client;
    client.begin(get(server));
    CHECK(client.read_all(100) == "secret");
    client.begin(get(server));
    CHECK(client.read_all(100) == "secret");
    CHECK(server.connections() == 1);
    CHECK(failure_of(client, get(mistaken)) == FailureKind::tls);
    Request request = get(plain);
    request.url.tls = true;
    Limits limits;
    limits.connect = 50ms;  // it waits for more of what it takes for a request
    Client hurried(limits);
    CHECK(failure_of(hurried, request) == FailureKind::timeout);
  }
  const Authorities authorities(other.certificate);
  Client client;
  CHECK(failure_of(client, get(server)) == FailureKind::tls);
}
