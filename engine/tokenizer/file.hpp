// tokenizer.json and tokenizer_config.json as checked data. Private to Tokenizer.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "engine/support/types.hpp"
#include "engine/tokenizer/bpe.hpp"

namespace hearth::engine {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = false;  // hidden from decoded text
};

struct TokenizerFile {
  // The bytes of each ordinary token by id; empty for ids that are none. No added token is among
  // them, so no merge can make one.
  std::vector<std::string> ordinary;
  std::array<TokenId, 256> byte_tokens{};
  std::vector<BytePairMerge> merges;  // by rank
  bool ignore_merges = false;         // a word that is a token is taken whole
  bool nfc = false;
  std::string split_pattern;
  std::vector<AddedToken> added;  // by id
};

// Throws Error naming the file and the field. tokenizer_config_json may be empty: no such file.
TokenizerFile parse_tokenizer_file(std::string_view tokenizer_json,
                                   std::string_view tokenizer_config_json, const std::string& name);

}  // namespace hearth::engine
