// Addresses as requests need them: scheme, host, port and the rest. Connects to nothing.
#pragma once

#include <string>
#include <string_view>

namespace hearth::http {

struct Url {
  bool tls = true;     // https, else http
  std::string host;    // a name or a literal address, IPv6 without its brackets
  std::string port;    // digits
  std::string target;  // "/path?query", at least "/"

  // "https://host", with the port where it is not the scheme's own.
  std::string origin() const;
  // The origin and the path: what may be shown, as a query can carry a key.
  std::string shown() const;
  // Whether the host is this machine by its very name: localhost, 127.0.0.0/8, ::1.
  bool is_loopback() const;
};

// Of http and https; a fragment is left out. Throws Error that names `text` for what is no such
// address, or carries a user's name or password.
Url parse_url(std::string_view text);

// Where a "Location" of an answer from `base` leads. Throws Error.
Url resolve_location(const Url& base, std::string_view location);

// With whatever is not plain in a path as %XX; "/" stays.
std::string path_encoded(std::string_view text);

}  // namespace hearth::http
