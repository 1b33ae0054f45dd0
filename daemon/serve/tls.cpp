// Reading the pair with OpenSSL, which tells little of what is wrong: each fault that a person
// makes has a sentence of its own.
#include "daemon/serve/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>
#include <string_view>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"

namespace hearth::daemon {
namespace {

namespace ssl = boost::asio::ssl;

constexpr std::size_t most_bytes = 1 << 20;

template <class Object, void (*release)(Object*)>
struct Release {
  void operator()(Object* object) const { release(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY, EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Release<BIO, BIO_free_all>>;

// Nobody is asked for a passphrase: the daemon has no terminal. Says that one was wanted.
int no_passphrase(char*, int, int, void* wanted) {
  *static_cast<bool*>(wanted) = true;
  return -1;
}

Key read_key(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 07) != 0) {
    throw Error("serve.key: other users can read or change " + path.string() + ": chmod 600 " +
                path.string());
  }
  const std::string text = read_file(path, most_bytes);
  const Memory memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  bool encrypted = false;
  Key key(PEM_read_bio_PrivateKey(memory.get(), nullptr, no_passphrase, &encrypted));
  ERR_clear_error();
  if (key) return key;
  if (encrypted) {
    throw Error("serve.key: " + path.string() +
                " is locked by a passphrase, and nobody is there to type it: `openssl pkey -in " +
                path.string() + " -out NEW.key` writes it without one");
  }
  throw Error("serve.key: " + path.string() + " has no private key in PEM (-----BEGIN …)");
}

void read_certificate(const std::filesystem::path& path, ssl::context& context) {
  const std::string text = read_file(path, most_bytes);
  boost::system::error_code failed;
  context.use_certificate_chain({text.data(), text.size()}, failed);
  ERR_clear_error();
  if (failed) {
    throw Error("serve.certificate: " + path.string() +
                " has no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  }
}

std::unique_ptr<ssl::context> read_pair(const TlsFiles& files) {
  if (files.certificate.empty() || files.key.empty()) {
    throw Error(std::string("serve.certificate and serve.key go together: ") +
                (files.key.empty() ? "serve.key" : "serve.certificate") + " is missing");
  }
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // A client could make the server compute without end by agreeing on new keys again and again.
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  read_certificate(files.certificate, *context);
  const Key key = read_key(files.key);
  const bool fits =
      SSL_CTX_use_PrivateKey(native, key.get()) == 1 && SSL_CTX_check_private_key(native) == 1;
  ERR_clear_error();
  if (!fits) {
    throw Error("serve.key: " + files.key.string() + " is not the key of the certificate in " +
                files.certificate.string());
  }
  return context;
}

}  // namespace

ServerTls::ServerTls(const TlsFiles& files) : context_(read_pair(files)) {}

ServerTls::~ServerTls() = default;

bool ServerTls::is_for(const std::string& host) const {
  X509* const certificate = SSL_CTX_get0_certificate(context_->native_handle());
  return X509_check_host(certificate, host.data(), host.size(), 0, nullptr) == 1 ||
         X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
}

}  // namespace hearth::daemon
