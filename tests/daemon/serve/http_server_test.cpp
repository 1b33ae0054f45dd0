// The port of `hearth serve`: what is read within limits, what is written, and what becomes of
// clients that break off.
#include "daemon/serve/http_server.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/daemon/serve/http_client.hpp"
#include "tests/daemon/serve/served.hpp"

using namespace hearth;
using namespace hearth::daemon;
using tests::HttpClient;
using tests::HttpResult;
using tests::Served;

TEST_CASE("requests on one connection are answered one after the other") {
  Served served;
  HttpClient client(served.port);
  CHECK(client.get("/echo").headers["x-method"] == "GET");
  CHECK(client.post("/echo?x=1", {{"a", 1}}).body == R"({"a":1})");
  // Two at once, and a body in chunks.
  client.send(client.request_text("POST", "/echo", "", "first") +
              client.request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", "") +
              "3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n");
  CHECK(client.read().body == "first");
  CHECK(client.read().body == "second");
  client.send(
      client.request_text("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 2\r\n", ""));
  CHECK(client.read_head().status == 100);
  client.send("ok");
  CHECK(client.read().body == "ok");
  CHECK(client.get("/echo", "Connection: close\r\n").headers["connection"] == "close");
  CHECK(client.at_end());
}

TEST_CASE("an answer comes in pieces, in chunks of HTTP/1.1 and to the end of HTTP/1.0") {
  Served served;
  HttpClient client(served.port);
  HttpClient old(served.port);
  client.send(client.request_text("GET", "/later", "", ""));
  old.send("GET /later HTTP/1.0\r\nHost: localhost\r\n\r\n");
  served.wait_for([&] { return served.works == 2; });
  served.on_host([&] {
    for (const auto& reply : served.waiting) {
      reply->begin(200, {{"Content-Type", "text/plain"}});
      reply->write("one, ");
      reply->write("two");
      reply->end();
      reply->write("never");
    }
  });
  const HttpResult result = client.read();
  CHECK(result.headers.at("transfer-encoding") == "chunked");
  CHECK(result.body == "one, two");
  CHECK(old.read().body == "one, two");
  served.wait_for([&] { return served.works == 0; });
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("a client that goes takes its work with it, and later answers go nowhere") {
  Served served;
  HttpClient client(served.port);
  client.send(client.request_text("GET", "/later", "", ""));
  served.wait_for([&] { return served.works == 1; });
  client.close();
  served.wait_for([&] { return served.works == 0; });
  served.on_host([&] { served.waiting.front()->send({200, {}, "too late"}); });
}

TEST_CASE("what is too large, no HTTP, or not admitted is refused with a sentence") {
  HttpLimits limits;
  limits.body_bytes = 1000;
  limits.header_bytes = 2000;
  Served served(limits);
  {
    HttpClient client(served.port);
    const HttpResult result = client.post("/echo", std::string(1000, 'x'));
    CHECK(result.status == 413);
    CHECK(result.error()["message"] == "the body has more than 1000 bytes");
    CHECK(client.at_end());
  }
  {
    HttpClient client(served.port);
    client.send(client.request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", "") +
                "3E9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n");
    CHECK(client.read().status == 413);
  }
  {
    HttpClient client(served.port);
    CHECK(client.get("/echo", "X-Long: " + std::string(3000, 'x') + "\r\n").status == 431);
  }
  {
    HttpClient client(served.port);
    client.send("hello, is anybody there?\r\n\r\n");
    CHECK(client.read().status == 400);
  }
  {
    HttpClient client(served.port);
    client.token = "wrong";
    client.send(client.request_text("POST", "/echo", "Content-Length: 900\r\n", ""));
    CHECK(client.read().body == "not you");  // before it has sent the body
    CHECK(client.at_end());
  }
}

TEST_CASE("headers that do not end in time close the connection") {
  HttpLimits limits;
  limits.headers = std::chrono::milliseconds(30);
  Served served(limits);
  HttpClient silent(served.port);
  HttpClient slow(served.port);
  slow.send("GET /echo HTTP/1.1\r\nHo");
  CHECK(silent.at_end());
  CHECK(slow.at_end());
}

TEST_CASE("one connection too many is told so, unless another has nothing to do") {
  HttpLimits limits;
  limits.connections = 2;
  Served served(limits);
  HttpClient first(served.port);
  HttpClient second(served.port);
  for (HttpClient* client : {&first, &second})
    client->send(client->request_text("GET", "/later", "", ""));
  served.wait_for([&] { return served.works == 2; });
  {
    HttpClient third(served.port);
    const HttpResult result = third.read();
    CHECK(result.status == 503);
    CHECK(result.error()["code"] == "too_many_connections");
    third.close();
  }
  served.on_host([&] { served.waiting.front()->send({200, {}, "done"}); });
  CHECK(first.read().body == "done");
  HttpClient third(served.port);
  CHECK(third.get("/echo").status == 200);
  CHECK(first.at_end());  // it went for the third
  served.wait_for([&] { return served.works == 1; });
}

TEST_CASE("an address that is none, or taken, is an error with what to do") {
  Served served;
  const auto open = [&](const std::string& address, std::uint16_t port) {
    std::string said;
    served.on_host([&] {
      try {
        const HttpServer another(served.host, address, port, {});
      } catch (const std::exception& failed) {
        said = failed.what();
      }
    });
    return said;
  };
  CHECK(open("elsewhere", 0) == "serve.listen is no address of IPv4 or IPv6: elsewhere");
  CHECK(open("127.0.0.1", served.port) ==
        "cannot listen at 127.0.0.1:" + std::to_string(served.port) +
            ": Address already in use (serve.listen and serve.port say where)");
}
