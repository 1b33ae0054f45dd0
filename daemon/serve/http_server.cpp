// Accepting connections, and how many there may be.
#include "daemon/serve/http_server.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/serve/api_error.hpp"
#include "daemon/serve/http_connection.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::ip::tcp::socket;
using Connections = std::set<std::shared_ptr<HttpConnection>>;

constexpr std::chrono::seconds accept_retry{1};

asio::ip::tcp::endpoint endpoint_of(const std::string& address, std::uint16_t port) {
  error_code wrong;
  const auto at = asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, wrong);
  if (wrong) throw Error("serve.listen is no address of IPv4 or IPv6: " + address);
  return {at, port};
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(AsioHost& to, HttpService what, HttpLimits most, std::shared_ptr<const ServerTls> pair)
      : host(to), service(std::move(what)), limits(most), tls(std::move(pair)), acceptor(to.io()) {}

  void listen(const asio::ip::tcp::endpoint& at);
  void accept();
  void accepted(const error_code& error, Socket socket);
  void begin(Socket socket);
  void make_room();

  AsioHost& host;
  const HttpService service;
  const HttpLimits limits;
  const std::shared_ptr<const ServerTls> tls;
  asio::ip::tcp::acceptor acceptor;
  std::uint64_t numbers = 0;
  Connections connections;
  Connections refused;
};

void HttpServer::Impl::listen(const asio::ip::tcp::endpoint& at) {
  try {
    acceptor.open(at.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    acceptor.bind(at);
    acceptor.listen();
  } catch (const boost::system::system_error& failed) {
    std::ostringstream where;
    where << at;
    throw Error("cannot listen at " + where.str() + ": " + failed.code().message() +
                " (serve.listen and serve.port say where)");
  }
  accept();
}

void HttpServer::Impl::accept() {
  acceptor.async_accept([self = shared_from_this()](const error_code& error, Socket socket) {
    self->accepted(error, std::move(socket));
  });
}

void HttpServer::Impl::accepted(const error_code& error, Socket socket) {
  if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
  if (error) {
    host.log(lsp::LogLevel::error, "cannot accept a connection of HTTP: " + error.message());
    host.after(accept_retry, [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && self->acceptor.is_open()) self->accept();
    });
    return;
  }
  try {
    begin(std::move(socket));
  } catch (const std::exception& failed) {
    host.log(lsp::LogLevel::error, "a connection of HTTP could not begin");
    host.log(lsp::LogLevel::error, failed.what());
  }
  accept();
}

// Of the connections that only wait for their client's next request, the one that waits longest.
void HttpServer::Impl::make_room() {
  std::shared_ptr<HttpConnection> oldest;
  for (const auto& connection : connections) {
    if (!connection->idle()) continue;
    if (!oldest || connection->idle_since() < oldest->idle_since()) oldest = connection;
  }
  if (!oldest) return;
  connections.erase(oldest);
  oldest->close();
}

void HttpServer::Impl::begin(Socket socket) {
  if (connections.size() >= limits.connections) make_room();
  const bool full = connections.size() >= limits.connections;
  if (full && refused.size() >= limits.connections) return;  // closes it
  auto& all = full ? refused : connections;
  const auto connection = make_http_connection(
      host, service, limits,
      [weak = weak_from_this()](const HttpConnection* which) {
        const auto server = weak.lock();
        if (!server) return;
        const auto is = [which](const auto& each) { return each.get() == which; };
        std::erase_if(server->connections, is);
        std::erase_if(server->refused, is);
      },
      std::move(socket), tls.get(), ++numbers);
  all.insert(connection);
  try {
    if (!full) return connection->start();
    connection->refuse({503,
                        std::to_string(limits.connections) +
                            " connections are open, which is the most: try again when one is done",
                        {},
                        "too_many_connections"});
  } catch (...) {
    all.erase(connection);
    throw;
  }
}

HttpServer::HttpServer(AsioHost& host, const std::string& address, std::uint16_t port,
                       HttpService service, HttpLimits limits, std::shared_ptr<const ServerTls> tls)
    : impl_(std::make_shared<Impl>(host, std::move(service), limits, std::move(tls))) {
  impl_->listen(endpoint_of(address, port));
}

HttpServer::~HttpServer() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  for (auto* const all : {&impl_->connections, &impl_->refused}) {
    for (const auto& connection : std::exchange(*all, {})) connection->drop();
  }
}

std::uint16_t HttpServer::port() const {
  error_code ignored;
  return impl_->acceptor.local_endpoint(ignored).port();
}

std::size_t HttpServer::connections() const {
  return impl_->connections.size();
}

}  // namespace hearth::daemon
