// The client on Beast and OpenSSL. Every step is an asynchronous operation that the calling thread
// runs itself, so that it can look at its deadline and at the stop flag meanwhile.
#include "daemon/http/client.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <limits>
#include <map>
#include <optional>
#include <variant>

namespace hearth::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Plain = beast::tcp_stream;
using Tls = asio::ssl::stream<beast::tcp_stream>;

constexpr std::chrono::milliseconds look{20};
constexpr std::size_t most_connections = 4;  // kept of different origins
constexpr std::size_t piece_bytes = 128 << 10;
constexpr int most_interim = 8;  // answers of 1xx before the one

struct Connection {
  explicit Connection(asio::io_context& context) : stream(std::in_place_type<Plain>, context) {}
  Connection(asio::io_context& context, asio::ssl::context& tls)
      : stream(std::in_place_type<Tls>, context, tls) {}

  std::variant<Plain, Tls> stream;
  beast::flat_buffer buffer;

  Plain& lowest() {
    if (auto* plain = std::get_if<Plain>(&stream)) return *plain;
    return std::get<Tls>(stream).next_layer();
  }
};

// What an operation came to. It is shared with its handler, which may be called late.
struct Outcome {
  bool done = false;
  error_code error;
};

bool is_plain(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

bool is_safe(const Request& request) {
  return request.method == "GET" || request.repeatable;
}

bool equal_names(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

FailureKind kind_of(const error_code& error) {
  if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message ||
      error == asio::error::eof || error == asio::ssl::error::stream_truncated)
    return FailureKind::closed;
  if (error.category() == bhttp::make_error_code(bhttp::error::bad_version).category())
    return FailureKind::malformed;
  if (error.category() == asio::error::get_ssl_category()) return FailureKind::tls;
  return FailureKind::closed;
}

}  // namespace

std::string_view Head::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const Header& header) { return equal_names(header.name, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

class Client::Impl {
 public:
  Impl(const Limits& limits, const std::atomic<bool>* stop) : limits_(limits), stop_(stop) {}

  Head begin(const Request& request) {
    give_up_answer();
    current_ = request.url.origin();
    host_ = request.url.host;
    bool reused = false;
    if (is_safe(request)) {
      reused = connections_.contains(current_);
    } else {
      connections_.erase(current_);
    }
    try {
      return exchange(request);
    } catch (const Failure& failure) {
      if (!reused || failure.kind() != FailureKind::closed) throw;
    }
    return exchange(request);  // over a new connection: the kept one had ended
  }

  std::string_view read() {
    if (!parser_) return {};
    auto& body = parser_->get().body();
    std::size_t got = 0;
    while (got == 0) {
      if (parser_->is_done()) {
        end_answer();
        return {};
      }
      body.data = piece_.data();
      body.size = piece_.size();
      error_code error = on_stream(limits_.silence, [&](auto& stream, auto handler) {
        bhttp::async_read_some(stream, connection().buffer, *parser_, handler);
      });
      if (error == bhttp::error::need_buffer) error = {};
      if (error) fail(error, "the answer was cut off");
      got = piece_.size() - body.size;
    }
    return {piece_.data(), got};
  }

  std::string read_all(std::size_t limit) {
    std::string all;
    for (std::string_view piece = read(); !piece.empty(); piece = read()) {
      if (all.size() + piece.size() > limit) {
        give_up_answer();
        throw Failure(FailureKind::malformed, host_ + " sends more than is expected");
      }
      all += piece;
    }
    return all;
  }

  void close() {
    parser_.reset();
    connections_.clear();
  }

 private:
  Connection& connection() { return *connections_.at(current_); }

  Head exchange(const Request& request) {
    if (!connections_.contains(current_)) connect(request.url);
    send(request);
    for (int interim = 0;; ++interim) {
      parser_.emplace();
      parser_->header_limit(static_cast<std::uint32_t>(limits_.head_bytes));
      parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // read() has the bound
      const error_code error = on_stream(limits_.head, [&](auto& stream, auto handler) {
        bhttp::async_read_header(stream, connection().buffer, *parser_, handler);
      });
      if (error) fail(error, "no answer came");
      if (parser_->get().result_int() / 100 != 1) break;
      if (interim == most_interim) fail(bhttp::error::bad_status, "no answer came");
    }
    Head head;
    head.status = static_cast<int>(parser_->get().result_int());
    for (const auto& field : parser_->get()) {
      head.headers.push_back({std::string(field.name_string().data(), field.name_string().size()),
                              std::string(field.value().data(), field.value().size())});
    }
    return head;
  }

  void send(const Request& request) {
    bhttp::request<bhttp::string_body> message;
    message.method_string(request.method);
    message.target(request.url.target);
    const std::string authority = request.url.origin();
    message.set(bhttp::field::host, authority.substr(authority.find("//") + 2));
    message.set(bhttp::field::user_agent, "hearth");
    for (const Header& header : request.headers) {
      if (!is_plain(header.name) || !is_plain(header.value))
        throw daemon::Error("the header " + header.name + " has a control character in its value");
      message.set(header.name, header.value);
    }
    if (request.method != "GET") {
      message.body() = request.body;
      message.prepare_payload();
    }
    const error_code error = on_stream(limits_.head, [&](auto& stream, auto handler) {
      bhttp::async_write(stream, message, handler);
    });
    if (error) fail(error, "the request was cut off");
  }

  void connect(const Url& url) {
    if (connections_.size() >= most_connections) connections_.clear();
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(context_);
    auto found = std::make_shared<asio::ip::tcp::resolver::results_type>();
    error_code error = run(
        limits_.connect,
        [&](auto handler) {
          resolver->async_resolve(
              url.host, url.port,
              [handler, found, resolver](const error_code& failed, const auto& results) mutable {
                *found = results;
                handler(failed);
              });
        },
        [&](const Outcome&) { resolver->cancel(); });
    if (error) unreachable(error);

    auto made = url.tls ? std::make_unique<Connection>(context_, tls())
                        : std::make_unique<Connection>(context_);
    Plain& socket = made->lowest();
    error = run(
        limits_.connect,
        [&](auto handler) {
          asio::async_connect(
              socket.socket(), *found,
              [handler](const error_code& failed, const auto&) mutable { handler(failed); });
        },
        [&](const Outcome& outcome) { close_and_drain(socket, outcome); });
    if (error) unreachable(error);
    error_code ignored;
    socket.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    if (url.tls) shake_hands(std::get<Tls>(made->stream), url);
    connections_[current_] = std::move(made);
  }

  // Reading the system's authorities takes milliseconds, which an address without TLS need not
  // wait.
  asio::ssl::context& tls() {
    if (tls_) return *tls_;
    tls_.emplace(asio::ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(tls_->native_handle(), TLS1_2_VERSION);
    tls_->set_default_verify_paths();
    tls_->set_verify_mode(asio::ssl::verify_peer);
    return *tls_;
  }

  void shake_hands(Tls& stream, const Url& url) {
    error_code literal;
    asio::ip::make_address(url.host, literal);
    if (literal) SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str());
    stream.set_verify_callback(asio::ssl::host_name_verification(url.host));
    const error_code error = run(
        limits_.connect,
        [&](auto handler) { stream.async_handshake(asio::ssl::stream_base::client, handler); },
        [&](const Outcome& outcome) { close_and_drain(stream.next_layer(), outcome); });
    if (!error) return;
    const long verified = SSL_get_verify_result(stream.native_handle());
    throw Failure(
        FailureKind::tls,
        host_ + " has no certificate that holds: " +
            (verified == X509_V_OK ? error.message() : X509_verify_cert_error_string(verified)));
  }

  // Starts an operation with a handler for its error and runs it to its end; `cancel` gives it up.
  template <class Start, class Cancel>
  error_code run(std::chrono::milliseconds limit, const Start& start, const Cancel& cancel) {
    auto outcome = std::make_shared<Outcome>();
    start([outcome](const error_code& error, auto&&...) {
      outcome->error = error;
      outcome->done = true;
    });
    const auto deadline = Clock::now() + limit;
    context_.restart();
    while (!outcome->done) {
      const bool stopped = stop_ != nullptr && *stop_;
      if (stopped || Clock::now() >= deadline) {
        cancel(*outcome);
        forget_current();
        if (stopped) throw Failure(FailureKind::stopped, host_ + ": stopped");
        throw Failure(FailureKind::timeout, host_ + " has said nothing for " +
                                                std::to_string(limit.count() / 1000) + " seconds");
      }
      context_.restart();
      context_.run_one_for(look);
    }
    return outcome->error;
  }

  // The operations of a closed socket end soon. (A search for a name does not, and is left alone.)
  void close_and_drain(Plain& socket, const Outcome& outcome) {
    socket.close();
    while (!outcome.done) {
      context_.restart();
      context_.run_one_for(look);
    }
  }

  // The same on the connection's stream.
  template <class Start>
  error_code on_stream(std::chrono::milliseconds limit, const Start& start) {
    return std::visit(
        [&](auto& stream) {
          return run(
              limit, [&](auto handler) { start(stream, handler); },
              [&](const Outcome& outcome) { close_and_drain(connection().lowest(), outcome); });
        },
        connection().stream);
  }

  [[noreturn]] void fail(const error_code& error, const char* what) {
    const std::string reason = error.message();
    forget_current();
    throw Failure(kind_of(error), host_ + ": " + what + " (" + reason + ")");
  }

  [[noreturn]] void unreachable(const error_code& error) const {
    throw Failure(FailureKind::unreachable, "cannot reach " + host_ + ": " + error.message());
  }

  void end_answer() {
    const bool kept = parser_->keep_alive();
    parser_.reset();
    if (!kept) connections_.erase(current_);
  }

  void give_up_answer() {
    if (!parser_) return;
    if (parser_->is_done()) return end_answer();
    forget_current();
  }

  void forget_current() {
    parser_.reset();
    connections_.erase(current_);
  }

  Limits limits_;
  const std::atomic<bool>* stop_;
  asio::io_context context_;
  std::optional<asio::ssl::context> tls_;
  std::map<std::string, std::unique_ptr<Connection>> connections_;  // by origin
  std::string current_;                                             // origin of the last request
  std::string host_;                                                // its host, for sentences
  std::optional<bhttp::response_parser<bhttp::buffer_body>> parser_;
  std::array<char, piece_bytes> piece_;
};

Client::Client(const Limits& limits, const std::atomic<bool>* stop)
    : impl_(std::make_unique<Impl>(limits, stop)) {}
Client::~Client() = default;

Head Client::begin(const Request& request) {
  return impl_->begin(request);
}

std::string_view Client::read() {
  return impl_->read();
}

std::string Client::read_all(std::size_t limit) {
  return impl_->read_all(limit);
}

void Client::close() {
  impl_->close();
}

}  // namespace hearth::http
