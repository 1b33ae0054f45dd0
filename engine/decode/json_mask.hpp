// Binds an answer to a JsonForm, token by token: takes from the logits every token that may not
// follow.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/decode/json_form.hpp"
#include "engine/support/types.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace hearth::engine {

// The tokens of a vocabulary in the order of their bytes, so that what two begin with is looked at
// once. Immutable.
class SortedVocabulary {
 public:
  // The tokenizer outlives it.
  explicit SortedVocabulary(const Tokenizer& tokenizer);

  struct Entry {
    std::string_view bytes;
    TokenId id = 0;
    std::uint32_t shared = 0;  // bytes that it begins with as the one before does
    bool plain = false;        // whole characters that need no escape in a text
    bool open = false;         // whole characters that begin no end of a free text
  };
  std::span<const Entry> entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

class JsonMask {
 public:
  JsonMask(std::shared_ptr<const JsonForm> form, std::shared_ptr<const SortedVocabulary> vocabulary)
      : cursor_(std::move(form)), vocabulary_(std::move(vocabulary)) {}

  // Leaves what may follow; `stops` only where the answer is complete. Minus infinity elsewhere.
  void mask(std::span<float> logits, std::span<const TokenId> stops) const;
  // Throws Error where these bytes may not follow.
  void accept(std::string_view bytes);
  // Nothing can follow.
  bool ended() const { return cursor_.ended(); }

 private:
  JsonCursor cursor_;
  std::shared_ptr<const SortedVocabulary> vocabulary_;
};

}  // namespace hearth::engine
