// A repository of models on a server that speaks Hugging Face's API: what is in it at which commit,
// and parts of its files. Redirects are followed where they are safe; the token goes to the
// configured server only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/client.hpp"
#include "daemon/hub/manifest.hpp"

namespace hearth::hub {

// The server, from the environment.
struct Endpoint {
  http::Url url;      // an origin
  std::string token;  // sent to it alone; empty: none
};
// HF_ENDPOINT, else https://huggingface.co, with HF_TOKEN. Throws Error where that is no https, or
// http to another machine.
Endpoint find_endpoint();

// Which repository a person means.
struct Wanted {
  Endpoint endpoint;
  std::string id;        // "Qwen/Qwen3-Coder-Next-FP8"
  std::string revision;  // empty: "main"
};
// "OWNER/NAME", or an address of one, whose server then takes the place of `endpoint` (and gets its
// token only where it is the same). Throws Error, also where the address and `revision` differ.
Wanted parse_wanted(const std::string& text, const std::string& revision, Endpoint endpoint);

// Trying again may help: a server that is busy, a connection that was cut.
class Transient : public daemon::Error {
 public:
  Transient(const std::string& text, std::optional<std::chrono::seconds> after)
      : Error(text), after_(after) {}
  std::optional<std::chrono::seconds> after() const { return after_; }  // as the server asked

 private:
  std::optional<std::chrono::seconds> after_;
};

// For one thread at a time with each client; otherwise immutable.
class Repository {
 public:
  explicit Repository(Wanted wanted) : wanted_(std::move(wanted)) {}

  const Wanted& wanted() const { return wanted_; }
  std::string name() const;  // for sentences: "https://huggingface.co/Qwen/…"

  // What the revision is now, with all files that a checkpoint can need. Throws Error; Transient
  // and http::Failure where another try may help.
  Manifest look_up(http::Client& client) const;

  // The bytes [begin, end) of a file, in pieces to `take`. Throws as above, also where the server
  // sends other bytes than these, or too few.
  void read(http::Client& client, const std::string& commit, const RemoteFile& file,
            std::uint64_t begin, std::uint64_t end,
            const std::function<void(std::string_view)>& take) const;

 private:
  http::Head get(http::Client& client, const http::Url& url, const std::string& range,
                 const std::string& what) const;
  [[noreturn]] void refuse(http::Client& client, const http::Head& head, const http::Url& url,
                           const std::string& what) const;

  Wanted wanted_;
};

}  // namespace hearth::hub
