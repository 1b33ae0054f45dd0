// How many tokens texts have, as far as one session knows: counts of lines that the model has
// counted before are kept by their content, so that a keystroke asks for the lines that changed and
// for no others. Where a model cannot count, one ratio of bytes to tokens stands in, corrected by
// what the model reports after each request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::lsp {

// For the Host's thread. The model outlives it.
class TokenCounts : public std::enable_shared_from_this<TokenCounts> {
 public:
  // At most this many counts are kept once they are not used any more, and as many that are.
  static constexpr std::size_t max_generation = 64 * 1024;

  explicit TokenCounts(Model& model) : model_(model) {}

  // The model that counts from now on, by its ModelDescription::identity: what another one counted
  // is forgotten.
  void counted_by(const std::string& identity);
  // One count per text. `done` is called before this returns where nothing has to be asked; its
  // error is the model's.
  void count(const ModelCapabilities& capabilities, std::vector<std::string> texts,
             Callback<std::vector<std::int64_t>> done);
  // What a request cost: bytes of its prompt's texts, and tokens as the model counted them.
  void learn(std::size_t bytes, std::int64_t tokens);

  std::size_t kept() const { return young_.size() + old_.size(); }
  double bytes_per_token() const { return bytes_ / tokens_; }

 private:
  // By XXH3 of the text. Two texts of one hash would cost a wrong estimate, nothing else.
  using Kept = std::unordered_map<std::uint64_t, std::int64_t>;
  struct Request;

  const std::int64_t* find(std::uint64_t hash);
  void keep(std::uint64_t hash, std::int64_t count);
  std::int64_t estimate(std::string_view text) const;
  void answer(const Request& request, const Result<std::vector<std::int64_t>>& counted);

  Model& model_;
  std::string counted_by_;
  // What is used moves to `young_`; when that is full, what is left in `old_` is forgotten.
  Kept young_;
  Kept old_;
  // Of recent requests, older ones fading. The beginning is a guess on the safe side for code.
  double bytes_ = 3000;
  double tokens_ = 1000;
};

}  // namespace hearth::lsp
