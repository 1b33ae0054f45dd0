// OpenSSL's digests.
#include "daemon/hub/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <utility>

#include "daemon/platform/error.hpp"

namespace hearth::hub {

class Digest::Impl {
 public:
  explicit Impl(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void add(std::string_view bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
    return text;
  }

 private:
  static void check(bool fine) {
    if (!fine) throw daemon::Error("OpenSSL cannot compute a digest");
  }
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

Digest::Digest(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

Digest Digest::sha256() {
  return Digest(std::make_unique<Impl>(EVP_sha256()));
}

Digest Digest::git_blob(std::uint64_t size) {
  Digest digest(std::make_unique<Impl>(EVP_sha1()));
  const std::string head = "blob " + std::to_string(size);
  digest.add({head.c_str(), head.size() + 1});  // with its zero byte
  return digest;
}

void Digest::add(std::string_view bytes) {
  impl_->add(bytes);
}

std::string Digest::hex() {
  return impl_->hex();
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace hearth::hub
