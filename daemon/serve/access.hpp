// Who may ask: by the name that a request gives this machine, the page that it comes from, and its
// token. Pages of the web can reach a loopback address, too; names that lead to it, they can make
// up.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/platform/paths.hpp"
#include "daemon/serve/http.hpp"

namespace hearth::daemon {

struct Access {
  std::string listen;                // the address that is listened at
  std::vector<std::string> origins;  // pages that may ask
  std::string token;
  // Whether the server has a certificate for this name, which no stranger can have; null: never.
  std::function<bool(const std::string& host)> certified = nullptr;
};

// Refuses another name than a loopback one, `listen`'s or the certificate's, another page than of
// `origins`, and another token, which only /health does without. Pages of `origins` are told that
// they may ask.
HttpAdmission admit(const HttpHead& head, const Access& access);

// "127.0.0.1", "::1", "localhost", with and without brackets.
bool is_loopback(std::string_view host);

// Takes the same time wherever they differ.
bool same_secret(std::string_view a, std::string_view b);

// The token of this user: 32 random bytes in hexadecimal, made where there is none yet, in a file
// that only they can read. Throws Error.
std::string serve_token(const Paths& paths);

}  // namespace hearth::daemon
