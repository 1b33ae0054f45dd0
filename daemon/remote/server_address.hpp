// Where a server is and how it is spoken to: its paths, the key, and what its refusals mean.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/client.hpp"
#include "daemon/http/url.hpp"
#include "daemon/remote/answer_chunk.hpp"

namespace hearth::daemon {

// Why a request came to no answer.
struct Setback {
  enum class Kind : std::uint8_t {
    away,     // it may be answered later
    refused,  // nothing is served here until a person changes something
    failed,   // this request cannot be served
    stopped,  // by who asked
  };
  Kind kind = Kind::failed;
  std::string sentence;  // names the server, never the key
  std::string plain;     // the same without the server's words, which may quote a prompt: for logs
  int status = 0;        // of HTTP; 0: none came
  std::string code;      // the server's own
  std::optional<std::chrono::milliseconds> retry_after;
  bool heard = true;  // the server may have read the request
};

class ServerAddress {
 public:
  // `url`: of the API, with or without "/v1". `key_source`: where the key comes from, or could.
  // Throws Error for a key that would be sent in the open.
  ServerAddress(const http::Url& url, std::string key, std::string key_source);

  const std::string& shown() const { return shown_; }  // "https://gpu.example.org/v1"
  const std::string& host() const { return url_.host; }
  std::string place() const;  // "gpu.example.org", with a port that is not the scheme's own
  bool leaves_machine() const { return !url_.is_loopback(); }
  bool has_key() const { return !key_.empty(); }

  // Paths of the API ("/models") and of the server ("/tokenize").
  http::Request get_api(std::string_view path) const;
  http::Request post_api(std::string_view path, const nlohmann::json& body) const;
  http::Request get_root(std::string_view path) const;
  http::Request post_root(std::string_view path, const nlohmann::json& body) const;

  Setback setback(const http::Failure& failure) const;
  // Of an answer whose status is not 200.
  Setback setback(const http::Head& head, const RemoteError& error,
                  std::chrono::system_clock::time_point now) const;
  // Of an error inside of an answer that began well.
  Setback setback(const RemoteError& error) const;
  // It does not keep to the protocol: `clause` is an Error's of read_chunk().
  Setback malformed(std::string_view clause) const;

 private:
  http::Request request(const std::string& target) const;
  std::string refusal_of_key(int status) const;
  std::string without_key(std::string text) const;

  http::Url url_;
  std::string api_;   // path of the API, without a slash at its end
  std::string root_;  // the same of the server
  std::string key_;
  std::string key_source_;
  std::string shown_;
};

// Seconds, or a date; empty for neither. At most an hour.
std::optional<std::chrono::milliseconds> read_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now);

}  // namespace hearth::daemon
