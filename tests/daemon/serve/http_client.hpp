// A client of HTTP for tests: a socket, and answers read to their end or as they come.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/platform/fd.hpp"

namespace hearth::tests {

struct HttpResult {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // without the marks of its chunks

  nlohmann::json json() const { return nlohmann::json::parse(body); }
  nlohmann::json error() const { return json().at("error"); }
  // What stands behind "data: " in a stream of events, "[DONE]" too.
  std::vector<std::string> events() const;
};

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);  // of 127.0.0.1; fails the test where nobody listens

  void send(std::string_view bytes);
  // Fail the test where the connection ends before that.
  HttpResult read();
  HttpResult read_head();                         // what follows is left
  std::string read_until(std::string_view mark);  // its bytes as they are on the wire
  bool at_end();                                  // waits for the end; false: there was more
  void end();                                     // waits for it, whatever comes before
  void close() { socket_.reset(); }

  // A request and its answer. `headers`: whole lines that each end with "\r\n".
  HttpResult get(const std::string& path, const std::string& headers = "");
  HttpResult post(const std::string& path, const nlohmann::json& body,
                  const std::string& headers = "");

  std::string token;  // sent with get() and post(); empty: none

  std::string request_text(const std::string& method, const std::string& path,
                           const std::string& headers, const std::string& body) const;

 private:
  bool receive();

  daemon::Fd socket_;
  std::string received_;
};

}  // namespace hearth::tests
