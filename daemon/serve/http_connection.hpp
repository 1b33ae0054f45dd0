// One connection of HTTP: requests in, one after the other, and answers out. Private to the server.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "daemon/platform/asio_host.hpp"
#include "daemon/serve/api_error.hpp"
#include "daemon/serve/http.hpp"
#include "daemon/serve/http_server.hpp"
#include "daemon/serve/tls.hpp"

namespace hearth::daemon {

// Alive while the server lists it or an operation of it is under way.
class HttpConnection {
 public:
  using Gone = std::function<void(const HttpConnection*)>;

  virtual ~HttpConnection() = default;
  // These may throw; then nothing has begun.
  virtual void start() = 0;
  virtual void refuse(
      const ApiError& error) = 0;  // instead: answers before any request, and closes
  // Whether it only waits for the next request of a client that had one; and since when.
  virtual bool idle() const = 0;
  virtual std::chrono::steady_clock::time_point idle_since() const = 0;
  // At once; `gone` is called later.
  virtual void close() noexcept = 0;
  // The server ends: no work may outlive it, and nobody is told.
  virtual void drop() = 0;
};

// `service` and `limits` outlive it, or it is dropped before. `tls` null: plain.
std::shared_ptr<HttpConnection> make_http_connection(AsioHost& host, const HttpService& service,
                                                     const HttpLimits& limits,
                                                     HttpConnection::Gone gone,
                                                     boost::asio::ip::tcp::socket socket,
                                                     const ServerTls* tls, std::uint64_t number);

}  // namespace hearth::daemon
