// With this certificate as the only authority that HTTP clients of the test's process know.
#pragma once

#include <cstdlib>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

class Authorities {
 public:
  explicit Authorities(const std::string& certificate) {
    daemon::write_file(directory_.path() / "ca.pem", certificate);
    ::setenv("SSL_CERT_FILE", (directory_.path() / "ca.pem").c_str(), 1);
    ::setenv("SSL_CERT_DIR", directory_.path().c_str(), 1);
  }
  Authorities(const Authorities&) = delete;
  Authorities& operator=(const Authorities&) = delete;
  ~Authorities() {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace hearth::tests
