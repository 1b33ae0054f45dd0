// Reads by the length that an answer says, by chunks, or to the end of the connection.
#include "tests/daemon/serve/http_client.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace hearth::tests {

std::vector<std::string> HttpResult::events() const {
  std::vector<std::string> found;
  constexpr std::string_view mark = "data: ";
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = std::min(body.find("\n\n", at), body.size());
    const std::string_view event = std::string_view(body).substr(at, end - at);
    if (event.starts_with(mark)) found.emplace_back(event.substr(mark.size()));
    at = end + 2;
  }
  return found;
}

HttpClient::HttpClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
          0);
}

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // refused: the answer says why
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool HttpClient::receive() {
  char buffer[16384];
  const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  if (got > 0) received_.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

std::string HttpClient::read_until(std::string_view mark) {
  std::size_t at = 0;
  while ((at = received_.find(mark)) == std::string::npos) REQUIRE(receive());
  std::string read = received_.substr(0, at + mark.size());
  received_.erase(0, read.size());
  return read;
}

bool HttpClient::at_end() {
  return received_.empty() && !receive();
}

void HttpClient::end() {
  while (receive()) received_.clear();
}

HttpResult HttpClient::read_head() {
  HttpResult result;
  const std::string head = read_until("\r\n\r\n");
  result.status = std::atoi(head.c_str() + head.find(' '));
  std::size_t at = head.find("\r\n") + 2;
  while (at + 2 < head.size()) {
    const std::size_t end = head.find("\r\n", at);
    const std::size_t colon = head.find(": ", at);
    std::string name = head.substr(at, colon - at);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    result.headers[name] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  return result;
}

HttpResult HttpClient::read() {
  HttpResult result = read_head();
  if (result.headers.contains("content-length")) {
    const auto length = std::stoul(result.headers["content-length"]);
    while (received_.size() < length) REQUIRE(receive());
    result.body = received_.substr(0, length);
    received_.erase(0, length);
  } else if (result.headers.contains("transfer-encoding")) {
    for (;;) {
      const auto size = std::stoul(read_until("\r\n"), nullptr, 16);
      while (received_.size() < size + 2) REQUIRE(receive());
      result.body += received_.substr(0, size);
      received_.erase(0, size + 2);
      if (size == 0) break;
    }
  } else if (result.status != 204) {
    while (receive()) continue;
    result.body = std::exchange(received_, {});
  }
  return result;
}

std::string HttpClient::request_text(const std::string& method, const std::string& path,
                                     const std::string& headers, const std::string& body) const {
  std::string text = method + " " + path + " HTTP/1.1\r\n";
  if (headers.find("Host:") == std::string::npos) text += "Host: 127.0.0.1\r\n";
  if (!token.empty()) text += "Authorization: Bearer " + token + "\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + headers + "\r\n" + body;
}

HttpResult HttpClient::get(const std::string& path, const std::string& headers) {
  send(request_text("GET", path, headers, ""));
  return read();
}

HttpResult HttpClient::post(const std::string& path, const nlohmann::json& body,
                            const std::string& headers) {
  send(request_text("POST", path, headers, body.dump()));
  return read();
}

}  // namespace hearth::tests
