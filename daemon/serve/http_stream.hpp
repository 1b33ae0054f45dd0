// The bytes of one connection, plain or through TLS: a stream as Asio and Beast want it. Private to
// the server.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <utility>
#include <variant>

namespace hearth::daemon {

class HttpStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;

  // `tls` null: plain.
  HttpStream(Socket socket, boost::asio::ssl::context* tls)
      : stream_(made(std::move(socket), tls)) {}

  bool is_tls() const { return std::holds_alternative<Tls>(stream_); }
  Socket& socket() {
    if (auto* plain = std::get_if<Socket>(&stream_)) return *plain;
    return std::get<Tls>(stream_).next_layer();
  }
  executor_type get_executor() { return socket().get_executor(); }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    std::visit(
        [&](auto& stream) { stream.async_read_some(buffers, std::forward<Handler>(handler)); },
        stream_);
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    std::visit(
        [&](auto& stream) { stream.async_write_some(buffers, std::forward<Handler>(handler)); },
        stream_);
  }
  // These two of TLS only.
  template <class Handler>
  void async_handshake(Handler&& handler) {
    std::get<Tls>(stream_).async_handshake(boost::asio::ssl::stream_base::server,
                                           std::forward<Handler>(handler));
  }
  template <class Handler>
  void async_shutdown(Handler&& handler) {
    std::get<Tls>(stream_).async_shutdown(std::forward<Handler>(handler));
  }

 private:
  using Tls = boost::asio::ssl::stream<Socket>;
  using Stream = std::variant<Socket, Tls>;

  static Stream made(Socket socket, boost::asio::ssl::context* tls) {
    if (tls == nullptr) return Stream(std::in_place_type<Socket>, std::move(socket));
    return Stream(std::in_place_type<Tls>, std::move(socket), *tls);
  }

  Stream stream_;
};

}  // namespace hearth::daemon
