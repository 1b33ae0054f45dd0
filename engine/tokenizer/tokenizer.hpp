// Text to token ids and back: tokenizer.json's byte-level BPE with the Qwen split pattern.
// Two ways in that are never confused: text, in which a user's "<|im_end|>" stays ordinary
// characters, and pieces, which a template assembles from text and special tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/support/types.hpp"

namespace hearth::engine {

struct Special {  // an added token, by its content: {"<|im_start|>"}
  std::string content;
};
// Text, an added token, or tokens as a model wrote them, which their text may not lead back to.
using Piece = std::variant<std::string, Special, std::vector<TokenId>>;

// Immutable; every method is thread-safe.
class Tokenizer {
 public:
  // DIR/tokenizer.json; added tokens also from DIR/tokenizer_config.json. Throws Error naming the
  // file and the field.
  static Tokenizer load(const std::filesystem::path& directory);
  static Tokenizer parse(std::string_view tokenizer_json, std::string_view tokenizer_config_json,
                         const std::string& name_for_errors);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Text as a user typed it: no special token ever comes of it. Invalid UTF-8 is replaced (U+FFFD).
  std::vector<TokenId> encode(std::string_view text) const;
  // Text in which added tokens are recognised: for trusted text such as golden prompts.
  std::vector<TokenId> encode_with_special(std::string_view text) const;
  // Neighbouring texts are joined before they are split. Error for an unknown special token, and
  // for an id outside of the vocabulary.
  std::vector<TokenId> encode(std::span<const Piece> pieces) const;

  std::optional<TokenId> special(std::string_view content) const;
  bool is_special(TokenId id) const;  // an added token marked special: hidden from decoded text
  std::size_t vocab_size() const;     // one past the largest id
  // The token's bytes: for ordinary tokens not necessarily whole characters. Empty when unknown.
  std::string_view bytes(TokenId id) const;
  // Bytes of all; tokens marked special are left out unless asked for.
  std::string decode(std::span<const TokenId> ids, bool with_special = false) const;

  // Of the vocabulary, the merges and which tokens are added or special: equal where ids mean the
  // same to both, and text becomes the same ids.
  std::uint64_t hash() const;
  // Where the hashes differ, the first difference as a clause: "its token 7 is "a", the other's
  // "b"". Empty where they are equal.
  std::string difference(const Tokenizer& other) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Bytes that arrive token by token, handed on in whole UTF-8 sequences.
class Utf8Stream {
 public:
  // Returns what is complete now; bytes that cannot begin a sequence become U+FFFD.
  std::string push(std::string_view bytes);
  // The end: what is left becomes U+FFFD.
  std::string finish();

 private:
  std::string pending_;
};

}  // namespace hearth::engine
