// An HTTP/1.1 client over TCP or TLS, for one thread: a request, then its answer in pieces as they
// arrive. It follows no redirect, repeats no request that could have been heard and knows no
// proxy; what a status means is its caller's to say. Certificates and host names are always
// verified, with the system's authorities ($SSL_CERT_FILE and $SSL_CERT_DIR as OpenSSL has them).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/url.hpp"
#include "daemon/platform/error.hpp"

namespace hearth::http {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method = "GET";
  Url url;
  std::vector<Header> headers;  // Host, User-Agent and the body's length are added
  std::string body;
  bool repeatable = false;  // changes nothing, although it is no GET
};

// An answer without its body.
struct Head {
  int status = 0;
  std::vector<Header> headers;

  // The first of that name, in whatever case; empty where there is none.
  std::string_view find(std::string_view name) const;
};

enum class FailureKind : std::uint8_t {
  unreachable,  // the name is not known, or nobody answers there
  tls,          // a certificate that does not hold, or no TLS at all
  timeout,      // nothing came for too long
  closed,       // the connection ended before the answer did
  malformed,    // what came is no HTTP, or more of it than was allowed
  stopped,      // *stop became true
};

// An exchange that came to no end; the text names the host.
class Failure : public daemon::Error {
 public:
  Failure(FailureKind kind, const std::string& text) : Error(text), kind_(kind) {}
  FailureKind kind() const { return kind_; }

 private:
  FailureKind kind_;
};

struct Limits {
  std::chrono::milliseconds connect{20'000};  // name, connection and TLS, each
  std::chrono::milliseconds head{60'000};     // from the request to the end of the answer's head
  std::chrono::milliseconds silence{60'000};  // between two pieces of a body
  std::size_t head_bytes = 64 << 10;
};

class Client {
 public:
  // *stop, which outlives the client, ends whatever it does within 20 ms; nullptr: nothing does.
  explicit Client(const Limits& limits = {}, const std::atomic<bool>* stop = nullptr);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();  // may wait for the system's search for a name

  // Sends a request and reads the answer's head. Requests that change nothing may go over the
  // connection of an earlier one, and once more where that had ended meanwhile; all others go once,
  // over a new one. What is left of an earlier answer is given up. Throws Failure.
  Head begin(const Request& request);
  // The next bytes of the body, good until the next call; empty: it has come to its end. Throws
  // Failure, also where it ended too early.
  std::string_view read();
  // All that is left of it. Throws Failure, also beyond `limit` bytes.
  std::string read_all(std::size_t limit);
  // Closes the connections.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::http
