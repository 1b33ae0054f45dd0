// HTTP as `hearth serve` sees it: requests, and how they are answered. Knows no sockets; everything
// here is for the Host's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth::daemon {

// What is known of a request before its body is read.
struct HttpHead {
  std::string method;  // "POST"
  std::string path;    // "/v1/models", without a query
  std::string host;    // as the client named it, with its port; empty: it did not
  std::string origin;  // of the page that asks; empty: no page does
  std::string token;   // of "Authorization: Bearer …" or "X-Api-Key: …"
};

struct HttpRequest {
  HttpHead head;
  std::string body;
  std::uint64_t connection = 0;  // which it came on, from 1
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpAnswer {
  int status = 200;
  HttpHeaders headers;
  std::string body;
};

// The answer to one request: whole, or piece by piece. Says nothing once it is complete, or the
// client has gone.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  virtual void send(HttpAnswer answer) = 0;
  virtual void begin(int status, HttpHeaders headers) = 0;
  virtual void write(std::string piece) = 0;  // behind begin()
  virtual void end() = 0;
};

// Whatever computes an answer that comes later. Its destruction stops that: the client has gone,
// the answer is complete, or the door closes.
class HttpWork {
 public:
  virtual ~HttpWork() = default;
};

// What is decided before the body is read.
struct HttpAdmission {
  std::optional<HttpAnswer> refusal;
  HttpHeaders headers = {};  // of every answer to this request
};

struct HttpService {
  std::function<HttpAdmission(const HttpHead& head)> admit;
  // Null where the answer was given at once. What it throws closes the connection.
  std::function<std::unique_ptr<HttpWork>(HttpRequest request, std::shared_ptr<HttpReply> reply)>
      handle;
};

}  // namespace hearth::daemon
