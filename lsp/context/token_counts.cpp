// The kept counts, and the estimate in their place.
#include "lsp/context/token_counts.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>
#include <utility>

#include "lsp/support/text.hpp"

namespace hearth::lsp {
namespace {

// What a request counts for once another has come.
constexpr double fading = 0.8;
// A report beyond these is no tokenizer's.
constexpr double lowest_ratio = 1;
constexpr double highest_ratio = 8;

}  // namespace

// Texts that are counted at once. Those that are not known are asked for once each.
struct TokenCounts::Request {
  std::vector<std::uint64_t> hashes;               // of all texts
  std::vector<std::optional<std::int64_t>> known;  // as far as they are
  std::vector<std::uint64_t> asked;                // hashes of the texts that the model is given
  Callback<std::vector<std::int64_t>> done;
};

void TokenCounts::counted_by(const std::string& identity) {
  if (std::exchange(counted_by_, identity) == identity) return;
  young_.clear();
  old_.clear();
}

void TokenCounts::count(const ModelCapabilities& capabilities, std::vector<std::string> texts,
                        Callback<std::vector<std::int64_t>> done) {
  if (!capabilities.exact_counts) {
    std::vector<std::int64_t> counts;
    counts.reserve(texts.size());
    for (const std::string& text : texts) counts.push_back(estimate(text));
    return done(std::move(counts));
  }
  const auto request = std::make_shared<Request>();
  request->done = std::move(done);
  std::vector<std::string> unknown;
  std::unordered_set<std::uint64_t> asked;
  for (std::string& text : texts) {
    const std::uint64_t hash = content_hash(text);
    const std::int64_t* known = find(hash);
    request->hashes.push_back(hash);
    request->known.push_back(known != nullptr ? std::optional(*known) : std::nullopt);
    if (known != nullptr || !asked.insert(hash).second) continue;
    request->asked.push_back(hash);
    unknown.push_back(std::move(text));
  }
  if (unknown.empty()) return answer(*request, std::vector<std::int64_t>{});
  model_.count_tokens(std::move(unknown),
                      [self = shared_from_this(), request](const auto& counted) {
                        self->answer(*request, counted);
                      });
}

void TokenCounts::answer(const Request& request, const Result<std::vector<std::int64_t>>& counted) {
  if (const auto* error = std::get_if<ModelError>(&counted)) return request.done(*error);
  const auto& counts = std::get<std::vector<std::int64_t>>(counted);
  Kept fresh;
  for (std::size_t i = 0; i < std::min(request.asked.size(), counts.size()); ++i) {
    fresh[request.asked[i]] = counts[i];
    keep(request.asked[i], counts[i]);
  }
  std::vector<std::int64_t> all;
  all.reserve(request.hashes.size());
  for (std::size_t i = 0; i < request.hashes.size(); ++i) {
    all.push_back(request.known[i] ? *request.known[i] : fresh[request.hashes[i]]);
  }
  request.done(std::move(all));
}

void TokenCounts::learn(std::size_t bytes, std::int64_t tokens) {
  if (bytes == 0 || tokens <= 0) return;
  bytes_ = bytes_ * fading + static_cast<double>(bytes);
  tokens_ = tokens_ * fading + static_cast<double>(tokens);
  tokens_ = std::clamp(tokens_, bytes_ / highest_ratio, bytes_ / lowest_ratio);
}

std::int64_t TokenCounts::estimate(std::string_view text) const {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(text.size()) / bytes_per_token()));
}

const std::int64_t* TokenCounts::find(std::uint64_t hash) {
  if (const auto found = young_.find(hash); found != young_.end()) return &found->second;
  const auto found = old_.find(hash);
  if (found == old_.end()) return nullptr;
  const std::int64_t count = found->second;
  old_.erase(found);
  keep(hash, count);
  return &young_.find(hash)->second;
}

void TokenCounts::keep(std::uint64_t hash, std::int64_t count) {
  if (young_.size() >= max_generation) old_ = std::exchange(young_, {});
  young_[hash] = count;
}

}  // namespace hearth::lsp
