// lsp::Model with its tokens in sight: for those who speak of prompts in tokens, as the endpoints
// of `hearth serve` do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

// As lsp::Model: every call returns at once, and is answered on the Host's thread once the model is
// loaded.
class TokenModel : public lsp::Model {
 public:
  // `special`: added tokens ("<|im_end|>") are recognised in the text; else they stay characters.
  virtual void tokenize(std::string text, bool special,
                        lsp::Callback<std::vector<std::int32_t>> done) = 0;
  // The bytes of each token, of which a character may have several; added tokens by their names. An
  // id outside of the vocabulary is an error.
  virtual void token_bytes(std::vector<std::int32_t> tokens,
                           lsp::Callback<std::vector<std::string>> done) = 0;
  // The tokens of a whole prompt, no turn of it left out. An error says why it cannot be put to
  // this model.
  virtual void measure(lsp::Prompt prompt, lsp::GenerateOptions options,
                       lsp::Callback<std::int64_t> done) = 0;
};

}  // namespace hearth::daemon
