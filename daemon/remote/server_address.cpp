// Requests with their key, and the sentences of what comes back in their place.
#include "daemon/remote/server_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/platform/format.hpp"
#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

constexpr std::chrono::hours longest_wait{1};

std::string without_slashes(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}

std::string behind_colon(const std::string& message) {
  return message.empty() ? "" : ": " + message;
}

bool is_later(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

}  // namespace

ServerAddress::ServerAddress(const http::Url& url, std::string key, std::string key_source)
    : url_(url),
      api_(without_slashes(url.target.substr(0, url.target.find('?')))),
      root_(api_),
      key_(std::move(key)),
      key_source_(std::move(key_source)) {
  constexpr std::string_view version = "/v1";
  if (root_.ends_with(version)) {
    root_.resize(root_.size() - version.size());
  } else {
    api_ += version;
  }
  root_ = without_slashes(root_);
  shown_ = url_.origin() + api_;
  if (has_key() && !url_.tls && leaves_machine()) {
    throw Error("the key for " + shown_ +
                " would be sent in the open: use an address that begins with https://");
  }
}

std::string ServerAddress::place() const {
  const std::string origin = url_.origin();
  return origin.substr(origin.find("//") + 2);
}

http::Request ServerAddress::request(const std::string& target) const {
  http::Request request;
  request.url = url_;
  request.url.target = target;
  request.headers.push_back({"Accept", "application/json, text/event-stream"});
  if (has_key()) request.headers.push_back({"Authorization", "Bearer " + key_});
  return request;
}

http::Request ServerAddress::get_api(std::string_view path) const {
  return request(api_ + std::string(path));
}

http::Request ServerAddress::get_root(std::string_view path) const {
  return request(root_ + std::string(path));
}

http::Request ServerAddress::post_api(std::string_view path, const nlohmann::json& body) const {
  http::Request posted = get_api(path);
  posted.method = "POST";
  posted.headers.push_back({"Content-Type", "application/json"});
  posted.body = lsp::dump(body);
  return posted;
}

http::Request ServerAddress::post_root(std::string_view path, const nlohmann::json& body) const {
  http::Request posted = post_api(path, body);
  posted.url.target = root_ + std::string(path);
  return posted;
}

std::string ServerAddress::without_key(std::string text) const {
  for (std::size_t at = 0; has_key() && (at = text.find(key_, at)) != text.npos;)
    text.replace(at, key_.size(), "…");
  return text;
}

std::string ServerAddress::refusal_of_key(int status) const {
  const std::string from = key_source_.empty() ? "" : " (" + key_source_ + ")";
  if (!has_key()) return fmt::format("{} wants a key{}", place(), from);
  return fmt::format("{} refuses the key{} with {}", place(), from, status);
}

Setback ServerAddress::setback(const http::Failure& failure) const {
  Setback back;
  back.sentence = back.plain = without_key(failure.what());
  switch (failure.kind()) {
    case http::FailureKind::stopped:
      back.kind = Setback::Kind::stopped;
      break;
    case http::FailureKind::tls:
      back.kind = Setback::Kind::refused;
      back.heard = false;
      break;
    case http::FailureKind::unreachable:
      back.kind = Setback::Kind::away;
      back.heard = false;
      break;
    case http::FailureKind::timeout:
    case http::FailureKind::closed:
      back.kind = Setback::Kind::away;
      break;
    case http::FailureKind::malformed:
      back.kind = Setback::Kind::failed;
      break;
  }
  return back;
}

Setback ServerAddress::setback(const http::Head& head, const RemoteError& error,
                               std::chrono::system_clock::time_point now) const {
  if (head.status / 100 == 3) {
    std::string where = "somewhere else";
    try {
      where = http::resolve_location(url_, head.find("Location")).shown();
    } catch (const Error&) {
      // It says no address.
    }
    Setback back;
    back.kind = Setback::Kind::refused;
    back.status = head.status;
    back.sentence = back.plain =
        without_key(fmt::format("{} redirects to {}: no request follows it there", place(), where));
    return back;
  }
  Setback back = setback(error);
  back.status = head.status;
  back.retry_after = read_retry_after(head.find("Retry-After"), now);
  return back;
}

Setback ServerAddress::setback(const RemoteError& error) const {
  Setback back;
  back.status = error.status;
  back.code = error.code;
  if (error.status == 401 || error.status == 403) {
    back.kind = Setback::Kind::refused;
    back.plain = refusal_of_key(error.status);
  } else if (error.status == 429) {
    back.kind = Setback::Kind::away;
    back.plain = place() + " has too much to do";
  } else if (is_later(error.status)) {
    back.kind = Setback::Kind::away;
    back.plain = fmt::format("{} answers with {}", place(), error.status);
  } else {
    back.plain = place() + " refuses the request";
    if (error.status != 0) back.plain += fmt::format(" with {}", error.status);
  }
  back.sentence = without_key(back.plain + behind_colon(error.message));
  return back;
}

Setback ServerAddress::malformed(std::string_view clause) const {
  Setback back;
  back.sentence = back.plain =
      without_key(fmt::format("{} does not keep to the protocol: {}", place(), clause));
  return back;
}

std::optional<std::chrono::milliseconds> read_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now) {
  using std::chrono::milliseconds;
  std::int64_t seconds = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (read.ec != std::errc() || read.ptr != value.data() + value.size()) {
    std::tm date{};
    const std::string text(value);
    if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr)
      return std::nullopt;
    seconds = ::timegm(&date) - std::chrono::system_clock::to_time_t(now);
  }
  if (seconds < 0) return std::nullopt;
  const std::int64_t most = std::chrono::seconds(longest_wait).count();
  return milliseconds(std::chrono::seconds(std::min(seconds, most)));
}

}  // namespace hearth::daemon
