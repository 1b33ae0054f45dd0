// The certificate with which `hearth serve` shows who it is, and its key.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace boost::asio::ssl {
class context;
}  // namespace boost::asio::ssl

namespace hearth::daemon {

// Both in PEM; the certificate's file goes on with those that vouch for it. Both empty: no TLS.
struct TlsFiles {
  std::filesystem::path certificate;
  std::filesystem::path key;

  bool operator==(const TlsFiles&) const = default;
};

class ServerTls {
 public:
  // Reads both. Throws Error that names the file and says what to do: also for a key that other
  // users can read.
  explicit ServerTls(const TlsFiles& files);
  ~ServerTls();

  // Whether the certificate is one for this name or address.
  bool is_for(const std::string& host) const;
  boost::asio::ssl::context& context() const { return *context_; }

 private:
  const std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace hearth::daemon
