// Digests of files, as servers of models name them: SHA-256 of large ones, git's id of small ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hearth::hub {

class Digest {
 public:
  static Digest sha256();
  // git's: SHA-1 of "blob SIZE", a zero byte and the content.
  static Digest git_blob(std::uint64_t size);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();

  void add(std::string_view bytes);
  std::string hex();  // in small letters; the last call

 private:
  class Impl;
  explicit Digest(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Whether the text is so many hexadecimal digits, small ones.
bool is_hex(std::string_view text, std::size_t digits);

}  // namespace hearth::hub
