// Taking addresses apart: only as much of their grammar as requests use, and nothing ambiguous.
#include "daemon/http/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::http {
namespace {

using daemon::Error;

bool is_graphic(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f;
}

bool is_host_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(std::string(text)) > 0 && std::stoi(std::string(text)) <= 65'535;
}

std::string own_port(bool tls) {
  return tls ? "443" : "80";
}

bool has_scheme(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && colon < text.find_first_of("/?#");
}

}  // namespace

std::string Url::origin() const {
  const bool literal6 = host.find(':') != std::string::npos;
  return std::string(tls ? "https://" : "http://") + (literal6 ? "[" + host + "]" : host) +
         (port == own_port(tls) ? "" : ":" + port);
}

std::string Url::shown() const {
  return origin() + target.substr(0, target.find('?'));
}

bool Url::is_loopback() const {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && std::ranges::count(host, '.') == 3 &&
         host.find_first_not_of("0123456789.") == std::string::npos;
}

Url parse_url(std::string_view text) {
  const auto refuse = [&](const char* reason) {
    return Error(fmt::format("\"{}\" is no address: {}", daemon::on_one_line(text), reason));
  };
  if (!std::ranges::all_of(text, is_graphic)) throw refuse("it has a blank or a control character");
  Url url;
  std::string_view rest = text.substr(0, text.find('#'));
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    url.tls = false;
    rest.remove_prefix(7);
  } else {
    throw refuse("it must begin with https://");
  }
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, path);
  rest.remove_prefix(path);
  if (authority.find('@') != std::string_view::npos) throw refuse("it names a user");
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) throw refuse("its host has no end");
    url.host = authority.substr(1, end - 1);
    if (url.host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string::npos)
      throw refuse("its host is no address of IPv6");
    authority.remove_prefix(end + 1);
  } else {
    const std::size_t end = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, end);
    if (!std::ranges::all_of(url.host, is_host_character)) throw refuse("its host is none");
    authority.remove_prefix(end);
  }
  if (url.host.empty()) throw refuse("it has no host");
  std::ranges::transform(url.host, url.host.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  url.port = authority.empty() ? own_port(url.tls) : std::string(authority.substr(1));
  if (!is_port(url.port) || (!authority.empty() && authority[0] != ':'))
    throw refuse("its port is none");
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return url;
}

Url resolve_location(const Url& base, std::string_view location) {
  if (location.empty()) throw Error(base.shown() + " redirects to nowhere");
  if (has_scheme(location)) return parse_url(location);
  if (location.starts_with("//"))
    return parse_url((base.tls ? "https:" : "http:") + std::string(location));
  if (location.starts_with('/')) return parse_url(base.origin() + std::string(location));
  const std::string path = base.target.substr(0, base.target.find('?'));
  return parse_url(base.origin() + path.substr(0, path.rfind('/') + 1) + std::string(location));
}

std::string path_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 ||
        std::string_view("/-._~").find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace hearth::http
