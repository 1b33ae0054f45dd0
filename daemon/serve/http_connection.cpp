// A request at a time, and a queue of what is to be written. The only code that sees Beast, which
// takes long to compile.
#include "daemon/serve/http_connection.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <deque>
#include <functional>
#include <optional>
#include <sstream>
#include <utility>

#include "daemon/platform/insist.hpp"
#include "daemon/platform/memory_reserve.hpp"
#include "daemon/serve/http_stream.hpp"

namespace hearth::daemon {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Socket = asio::ip::tcp::socket;

constexpr std::size_t piece_bytes = 16 * 1024;  // that one read takes at most

std::string text_of(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

HttpHead head_of(const http::request_header<>& header) {
  HttpHead head;
  head.method = text_of(header.method_string());
  head.path = text_of(header.target());
  head.path.resize(std::min(head.path.find('?'), head.path.size()));
  head.host = text_of(header[http::field::host]);
  head.origin = text_of(header[http::field::origin]);
  constexpr std::string_view bearer = "Bearer ";
  head.token = text_of(header[http::field::authorization]);
  if (head.token.starts_with(bearer))
    head.token.erase(0, bearer.size());
  else
    head.token = text_of(header["X-Api-Key"]);
  return head;
}

ApiError unreadable(const error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit)
    return {431, "the headers have more than " + std::to_string(limits.header_bytes) + " bytes"};
  if (error == http::error::body_limit)
    return {413, "the body has more than " + std::to_string(limits.body_bytes) + " bytes"};
  return {400, "this is no request of HTTP/1.1: " + error.message()};
}

class Connection : public HttpConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(AsioHost& host, const HttpService& service, const HttpLimits& limits, Gone gone,
             Socket socket, const ServerTls* tls, std::uint64_t number)
      : host_(host),
        service_(service),
        limits_(limits),
        gone_(std::move(gone)),
        stream_(std::move(socket), tls == nullptr ? nullptr : &tls->context()),
        number_(number) {
    error_code ignored;
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  }

  void start() override {
    limit(limits_.headers, "no request came");
    greet([this] { wait_for_bytes(); });
  }
  void refuse(const ApiError& error) override {
    limit(limits_.headers, "it could not be refused");
    greet([this, error] {
      state_ = State::answering;
      ++request_;
      closes_ = true;
      send(request_, answer(error));
    });
  }

  bool idle() const override { return state_ == State::idle && served_; }
  std::chrono::steady_clock::time_point idle_since() const override { return idle_since_; }

  void send(std::uint64_t request, const HttpAnswer& given) {
    if (!answers(request) || begun_) return;
    HttpHeaders headers = given.headers;
    if (given.status != 204)
      headers.emplace_back("Content-Length", std::to_string(given.body.size()));
    queue(header_text(given.status, headers) + (head_only_ ? std::string() : given.body));
    complete();
  }

  void begin(std::uint64_t request, int status, HttpHeaders headers) {
    if (!answers(request) || begun_) return;
    begun_ = true;
    // HTTP/1.0 knows no chunks: there the end of the connection is the end of the answer.
    chunked_ = version_ >= 11;
    closes_ = closes_ || !chunked_;
    if (chunked_) headers.emplace_back("Transfer-Encoding", "chunked");
    queue(header_text(status, headers));
  }

  void write(std::uint64_t request, std::string piece) {
    if (!answers(request) || !begun_ || piece.empty()) return;
    if (!chunked_) return queue(std::move(piece));
    std::ostringstream size;
    size << std::hex << piece.size();
    queue(size.str() + "\r\n" + piece + "\r\n");
  }

  void end(std::uint64_t request) {
    if (!answers(request) || !begun_) return;
    if (chunked_) queue("0\r\n\r\n");
    complete();
  }

  void close() noexcept override {
    if (std::exchange(state_, State::closed) == State::closed) return;
    host_.cancel_timer(timer_);
    error_code ignored;
    stream_.socket().close(ignored);
    const bool posted = insist([this] {
      host_.post([self = shared_from_this()] {
        self->work_.reset();
        self->done_.reset();
        self->gone_(self.get());
      });
    });
    if (!posted) host_.stop();  // as in listener.cpp
  }

  void drop() override {
    if (std::exchange(state_, State::closed) != State::closed) host_.cancel_timer(timer_);
    error_code ignored;
    stream_.socket().close(ignored);
    work_.reset();
    done_.reset();
  }

 private:
  // idle: between requests. draining: the last answer is written, and what the client still sends
  // is thrown away, as closing before that would take the answer from it.
  enum class State : std::uint8_t { idle, reading, answering, draining, closed };

  class Reply : public HttpReply {
   public:
    Reply(std::weak_ptr<Connection> connection, std::uint64_t request)
        : connection_(std::move(connection)), request_(request) {}
    void send(HttpAnswer answer) override {
      if (const auto to = connection_.lock()) to->send(request_, answer);
    }
    void begin(int status, HttpHeaders headers) override {
      if (const auto to = connection_.lock()) to->begin(request_, status, std::move(headers));
    }
    void write(std::string piece) override {
      if (const auto to = connection_.lock()) to->write(request_, std::move(piece));
    }
    void end() override {
      if (const auto to = connection_.lock()) to->end(request_);
    }

   private:
    const std::weak_ptr<Connection> connection_;
    const std::uint64_t request_;
  };

  bool answers(std::uint64_t request) const {
    return state_ == State::answering && request == request_;
  }

  void limit(std::chrono::milliseconds time, const char* reason) {
    host_.cancel_timer(timer_);
    timer_ = host_.after(time, [weak = weak_from_this(), reason] {
      const auto self = weak.lock();
      if (!self) return;
      self->host_.log(lsp::LogLevel::debug, std::string("closing a connection: ") + reason);
      self->close();
    });
  }

  // Whatever is thrown in a handler costs this connection, no other.
  template <typename Call>
  void guarded(const Call& call) {
    restore_memory_reserve();
    try {
      if (state_ != State::closed) call();
    } catch (const std::exception& failed) {
      host_.log(lsp::LogLevel::error, "a request could not be handled");
      host_.log(lsp::LogLevel::error, failed.what());
      close();
    }
  }

  // Of TLS, before all else.
  void greet(std::function<void()> then) {
    if (!stream_.is_tls()) return then();
    stream_.async_handshake(
        [self = shared_from_this(), then = std::move(then)](const error_code& error) {
          self->guarded([&] { error ? self->close() : then(); });
        });
  }

  // The next request's first, or the end of the connection while a request is answered. Where those
  // of the next are there already, it is read once this one is answered.
  void wait_for_bytes() {
    if (waiting_ || buffer_.size() > 0) return;
    waiting_ = true;
    stream_.async_read_some(buffer_.prepare(piece_bytes),
                            [self = shared_from_this()](const error_code& error, std::size_t got) {
                              self->waiting_ = false;
                              self->buffer_.commit(got);
                              self->guarded([&] { error ? self->close() : self->readable(); });
                            });
  }

  void readable() {
    if (state_ == State::idle) read_head();
  }

  void read_head() {
    state_ = State::reading;
    limit(limits_.headers, "its headers did not come to an end");
    head_.emplace();
    head_->header_limit(static_cast<std::uint32_t>(limits_.header_bytes));
    head_->body_limit(limits_.body_bytes);
    http::async_read_header(stream_, buffer_, *head_,
                            [self = shared_from_this()](const error_code& error, std::size_t) {
                              self->guarded([&] { self->take_head(error); });
                            });
  }

  void take_head(const error_code& error) {
    ++request_;
    version_ = 11;
    closes_ = begun_ = head_only_ = false;
    common_.clear();
    if (error) return cannot_read(error);
    const auto& header = head_->get();
    version_ = header.version();
    closes_ = !header.keep_alive();
    head_only_ = header.method() == http::verb::head;
    asked_ = head_of(header);
    HttpAdmission admission = service_.admit(asked_);
    common_ = std::move(admission.headers);
    if (admission.refusal) {
      state_ = State::answering;
      closes_ = closes_ || !head_->is_done();
      return send(request_, *admission.refusal);
    }
    if (boost::beast::iequals(header[http::field::expect], "100-continue"))
      queue("HTTP/1.1 100 Continue\r\n\r\n");
    read_body();
  }

  void read_body() {
    if (head_->is_done()) return handle({});
    limit(limits_.body, "its body did not come to an end");
    body_.emplace(std::move(*head_));
    body_->body_limit(limits_.body_bytes);
    http::async_read(stream_, buffer_, *body_,
                     [self = shared_from_this()](const error_code& error, std::size_t) {
                       self->guarded([&] { self->take_body(error); });
                     });
  }

  void take_body(const error_code& error) {
    if (error) return cannot_read(error);
    handle(std::move(body_->get().body()));
    body_.reset();
  }

  void handle(std::string body) {
    host_.cancel_timer(timer_);
    state_ = State::answering;
    auto work = service_.handle({std::move(asked_), std::move(body), number_},
                                std::make_shared<Reply>(weak_from_this(), request_));
    if (state_ != State::answering) return;
    work_ = std::move(work);
    wait_for_bytes();
  }

  void cannot_read(const error_code& error) {
    const bool ended =
        error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != http::make_error_code(http::error::bad_method).category();
    if (ended) return close();
    state_ = State::answering;
    closes_ = true;
    send(request_, answer(unreadable(error, limits_)));
  }

  std::string header_text(int status, const HttpHeaders& headers) const {
    http::response<http::empty_body> response;
    response.version(11);
    response.result(static_cast<unsigned>(status));
    const auto set = [&response](const HttpHeaders& all) {
      for (const auto& [name, value] : all) response.insert(name, value);
    };
    set(common_);
    set(headers);
    if (closes_) response.set(http::field::connection, "close");
    std::ostringstream text;
    text << response.base();
    return text.str();
  }

  void queue(std::string bytes) {
    unsent_ += bytes.size();
    if (unsent_ > limits_.unsent_bytes && outgoing_.size() > 1) {
      host_.log(lsp::LogLevel::warn, "closing a connection: its client does not read");
      return close();
    }
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1) write_next();
  }

  void write_next() {
    asio::async_write(stream_, asio::buffer(outgoing_.front()),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        self->guarded([&] { error ? self->close() : self->written(); });
                      });
  }

  void written() {
    unsent_ -= outgoing_.front().size();
    outgoing_.pop_front();
    if (!outgoing_.empty()) return write_next();
    if (state_ == State::draining) begin_to_drain();
  }

  // The present answer: whoever wrote it may be in the middle of a call, and goes later.
  void complete() {
    if (state_ != State::answering) return;  // its client did not read
    ++request_;
    done_ = std::move(work_);
    host_.post([self = shared_from_this()] { self->done_.reset(); });
    served_ = true;
    if (closes_) {
      state_ = State::draining;
      limit(limits_.body, "it does not take its last answer");
      if (outgoing_.empty()) begin_to_drain();
      return;
    }
    state_ = State::idle;
    idle_since_ = host_.now();
    limit(limits_.between_requests, "it has no more requests");
    if (buffer_.size() == 0) return wait_for_bytes();
    host_.post([self = shared_from_this()] {
      if (self->state_ == State::idle) self->guarded([&] { self->read_head(); });
    });
  }

  void begin_to_drain() {
    limit(limits_.drain, "it goes on after its last answer");
    if (!stream_.is_tls()) return end_sending();
    // Ends when the client ends it, too; or fails, as that still sends.
    stream_.async_shutdown([self = shared_from_this()](const error_code&) {
      self->guarded([&] { self->end_sending(); });
    });
  }

  void end_sending() {
    error_code ignored;
    stream_.socket().shutdown(Socket::shutdown_send, ignored);
    drain();
  }

  // Below TLS, which is at its end.
  void drain() {
    stream_.socket().async_read_some(
        asio::buffer(rest_), [self = shared_from_this()](const error_code& error, std::size_t) {
          self->guarded([&] { error ? self->close() : self->drain(); });
        });
  }

  AsioHost& host_;
  const HttpService& service_;
  const HttpLimits& limits_;
  const Gone gone_;
  HttpStream stream_;
  const std::uint64_t number_;
  State state_ = State::idle;
  lsp::Host::TimerId timer_ = 0;
  bool waiting_ = false;  // for bytes
  bool served_ = false;   // some request
  std::chrono::steady_clock::time_point idle_since_;
  boost::beast::flat_buffer buffer_{128 * 1024};
  std::array<char, 4096> rest_{};
  // The present request and its answer.
  std::uint64_t request_ = 0;
  std::optional<http::request_parser<http::empty_body>> head_;
  std::optional<http::request_parser<http::string_body>> body_;
  HttpHead asked_;
  HttpHeaders common_;
  unsigned version_ = 11;
  bool head_only_ = false;
  bool closes_ = false;
  bool begun_ = false;
  bool chunked_ = false;
  std::unique_ptr<HttpWork> work_;
  std::unique_ptr<HttpWork> done_;  // of the answer before
  std::deque<std::string> outgoing_;
  std::size_t unsent_ = 0;
};

}  // namespace

std::shared_ptr<HttpConnection> make_http_connection(AsioHost& host, const HttpService& service,
                                                     const HttpLimits& limits,
                                                     HttpConnection::Gone gone, Socket socket,
                                                     const ServerTls* tls, std::uint64_t number) {
  return std::make_shared<Connection>(host, service, limits, std::move(gone), std::move(socket),
                                      tls, number);
}

}  // namespace hearth::daemon
