// The three checks, and the file of the token.
#include "daemon/serve/access.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "daemon/platform/error.hpp"
#include "daemon/platform/private_directory.hpp"
#include "daemon/serve/api_error.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* token_file = "serve_token";
constexpr std::size_t token_bytes = 32;

// A host without its port, and an address of IPv6 without its brackets.
std::string_view name_of(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == host.npos ? host : host.substr(1, end - 1);
  }
  const std::size_t colon = host.find(':');
  const bool one = colon != host.npos && host.find(':', colon + 1) == host.npos;
  return one ? host.substr(0, colon) : host;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return result;
}

bool is_hexadecimal(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// An address, as opposed to a name that somebody made to lead to it.
bool is_address(std::string_view host) {
  return !host.empty() && host.find_first_of(".:") != host.npos &&
         (host.find_first_not_of("0123456789.") == host.npos ||
          (host.find(':') != host.npos &&
           host.find_first_not_of("0123456789abcdef:.") == host.npos));
}

// Whether a request may name this machine so.
bool names_this_machine(const std::string& host, const Access& access) {
  const std::string listen = lower(name_of(access.listen));
  if (is_loopback(host) || host == listen || (access.certified && access.certified(host)))
    return true;
  return (listen == "0.0.0.0" || listen == "::") && is_address(host);  // all addresses
}

// Throws Error.
std::string new_token() {
  std::array<unsigned char, token_bytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw system_error("no random bytes for the token", errno);
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

}  // namespace

bool is_loopback(std::string_view host) {
  const std::string name = lower(name_of(host));
  return name == "localhost" || name == "::1" || name == "127.0.0.1";
}

bool same_secret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

HttpAdmission admit(const HttpHead& head, const Access& access) {
  HttpAdmission admission;
  const auto refuse = [&admission](const ApiError& error) {
    admission.refusal = answer(error);
    return admission;
  };
  const std::string name = lower(name_of(head.host));
  if (!names_this_machine(name, access)) {
    return refuse({403,
                   "the Host header does not name this server: ask it as 127.0.0.1, localhost, the "
                   "address of serve.listen, or a name in its certificate",
                   {},
                   "host_not_allowed"});
  }
  if (!head.origin.empty()) {
    if (std::ranges::find(access.origins, head.origin) == access.origins.end()) {
      return refuse({403,
                     "pages of this origin may not ask: serve.origins lists those that may",
                     {},
                     "origin_not_allowed"});
    }
    admission.headers = {{"Access-Control-Allow-Origin", head.origin}, {"Vary", "Origin"}};
    if (head.method == "OPTIONS") {  // a browser asks before it sends the token
      admission.headers.insert(admission.headers.end(),
                               {{"Access-Control-Allow-Methods", "GET, POST"},
                                {"Access-Control-Allow-Headers", "authorization, content-type"},
                                {"Access-Control-Max-Age", "600"}});
      admission.refusal = HttpAnswer{204, {}, {}};
      return admission;
    }
  }
  const bool open = head.path == "/health" || head.path == "/v1/health";
  if (!open && !same_secret(head.token, access.token)) {
    ApiError error(
        401,
        head.token.empty()
            ? "a token is needed, as \"Authorization: Bearer TOKEN\": `hearth serve --token` "
              "prints it"
            : "this is not the token: `hearth serve --token` prints it",
        {}, "invalid_api_key");
    return refuse(error);
  }
  return admission;
}

std::string serve_token(const Paths& paths) {
  if (paths.state.empty())
    throw Error("there is no directory for the token of `hearth serve`: see `hearth status`");
  const PrivateDirectory directory(paths.state);
  const auto file = paths.state / token_file;
  std::error_code failed;
  if (std::filesystem::symlink_status(file, failed).type() !=
      std::filesystem::file_type::not_found) {
    std::string token = directory.read(token_file, 1024);
    while (token.ends_with('\n')) token.pop_back();
    if (token.size() == 2 * token_bytes && is_hexadecimal(token)) return token;
    throw Error(file.string() + " is no token of " + std::to_string(2 * token_bytes) +
                " hexadecimal digits: remove it, and another is made");
  }
  std::string token = new_token();
  directory.write(token_file, token + "\n");
  return token;
}

}  // namespace hearth::daemon
