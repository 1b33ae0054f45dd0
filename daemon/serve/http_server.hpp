// The port of `hearth serve`: accepts connections, reads requests within limits, and writes their
// answers. What is asked is the service's affair. Beast stays in http_server.cpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "daemon/platform/asio_host.hpp"
#include "daemon/serve/http.hpp"
#include "daemon/serve/tls.hpp"

namespace hearth::daemon {

struct HttpLimits {
  std::size_t connections = 16;  // one more is refused, unless another has nothing to do
  std::size_t header_bytes = 64 * 1024;
  std::size_t body_bytes = 16 * 1024 * 1024;
  std::size_t unsent_bytes = 32 * 1024 * 1024;  // that a client may leave unread
  // To their end from the first byte; and from the connection to that, with the handshake of TLS.
  std::chrono::milliseconds headers{10'000};
  std::chrono::milliseconds body{60'000};
  std::chrono::milliseconds between_requests{60'000};
  std::chrono::milliseconds drain{2'000};  // for a client to take its last answer
};

// All methods on the Host's thread.
class HttpServer {
 public:
  // Listens from now on. `address`: of IPv4 or IPv6, or "localhost". `port` 0: any that is free.
  // `tls` null: plain. Throws Error with address and reason. The host outlives it.
  HttpServer(AsioHost& host, const std::string& address, std::uint16_t port, HttpService service,
             HttpLimits limits = {}, std::shared_ptr<const ServerTls> tls = nullptr);
  ~HttpServer();  // closes everything; work under way is destroyed

  std::uint16_t port() const;
  std::size_t connections() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
