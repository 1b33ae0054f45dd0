// The processors from logits to a token, one after the other, and the random number that draws.
#include "engine/decode/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace hearth::engine {
namespace {

struct Candidate {
  float logit = 0;
  TokenId id = 0;
  double weight = 0;  // probability up to a common factor; the first candidate's is 1
};

// Falling logit; of equal ones the lower id first.
bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

float& logit_of(std::span<float> logits, TokenId id, const char* what) {
  if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) {
    throw Error(std::string(what) + " names token " + std::to_string(id) + "; the model has " +
                std::to_string(logits.size()));
  }
  return logits[static_cast<std::size_t>(id)];
}

std::vector<TokenId> distinct(std::span<const TokenId> ids) {
  std::vector<TokenId> sorted(ids.begin(), ids.end());
  std::ranges::sort(sorted);
  const auto repeated = std::ranges::unique(sorted);
  sorted.erase(repeated.begin(), repeated.end());
  return sorted;
}

void penalize_repetition(std::span<float> logits, float penalty, std::span<const TokenId> context) {
  if (penalty == 1) return;
  for (const TokenId id : distinct(context)) {
    float& logit = logit_of(logits, id, "the context");
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

void penalize_presence(std::span<float> logits, float penalty, std::span<const TokenId> answer) {
  if (penalty == 0) return;
  for (const TokenId id : distinct(answer)) logit_of(logits, id, "the answer") -= penalty;
}

void penalize_frequency(std::span<float> logits, float penalty, std::span<const TokenId> answer) {
  if (penalty == 0) return;
  for (const TokenId id : answer) logit_of(logits, id, "the answer") -= penalty;
}

void check_numbers(std::span<const float> logits) {
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]) || logits[id] == INFINITY) {
      throw Error("the logit of token " + std::to_string(id) + " is " + std::to_string(logits[id]) +
                  ": the checkpoint or the computation is damaged");
    }
  }
}

TokenId most_likely(std::span<const float> logits) {
  const auto best = std::ranges::max_element(logits);
  if (*best == -INFINITY) throw Error("every token has a logit of minus infinity");
  return static_cast<TokenId>(best - logits.begin());
}

// The top k with everything that ties with the k-th, ranked; all of them for k = 0.
std::vector<Candidate> ranked(std::span<const float> logits, int top_k) {
  std::vector<Candidate> candidates(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    candidates[id] = {.logit = logits[id], .id = static_cast<TokenId>(id)};
  }
  const auto kept = static_cast<std::size_t>(top_k);
  if (kept > 0 && kept < candidates.size()) {
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(kept) - 1;
    std::nth_element(candidates.begin(), last, candidates.end(), ranks_before);
    const float min = last->logit;
    std::erase_if(candidates, [&](const Candidate& c) { return c.logit < min; });
  }
  std::ranges::sort(candidates, ranks_before);
  return candidates;
}

double total_weight(std::span<const Candidate> candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), 0.0,
                         [](double sum, const Candidate& c) { return sum + c.weight; });
}

// The fewest of the first whose mass reaches p.
void keep_top_p(std::vector<Candidate>& candidates, float p) {
  if (p >= 1) return;
  const double wanted = static_cast<double>(p) * total_weight(candidates);
  double mass = 0;
  std::size_t kept = 0;
  do mass += candidates[kept++].weight;
  while (mass < wanted && kept < candidates.size());
  candidates.resize(kept);
}

void keep_min_p(std::vector<Candidate>& candidates, float p) {
  const auto unlikely = [&](const Candidate& c) { return c.weight < static_cast<double>(p); };
  candidates.erase(std::ranges::find_if(candidates.begin() + 1, candidates.end(), unlikely),
                   candidates.end());
}

TokenId draw(std::span<const Candidate> candidates, double random) {
  const double target = random * total_weight(candidates);
  double mass = 0;
  for (const Candidate& candidate : candidates) {
    mass += candidate.weight;
    if (target < mass) return candidate.id;
  }
  return candidates.front().id;  // rounding took the target to the very end
}

// SplitMix64's output function: every bit of the result depends on every bit of x.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

void require(bool good, const char* parameter, double value, const char* expected) {
  if (good) return;
  throw Error(std::string(parameter) + " is " + std::to_string(value) + "; expected " + expected);
}

}  // namespace

SamplingParams recommended(const GenerationDefaults& defaults, ChatTemplate family, bool thinks) {
  SamplingParams params;
  if (!defaults.says_sampling && has_thought_switch(family)) {
    params.temperature = thinks ? 1.0f : 0.7f;
    params.top_p = thinks ? 0.95f : 0.8f;
    params.top_k = 20;
    params.presence_penalty = thinks ? 0 : 1.5f;
    return params;
  }
  params.temperature = defaults.do_sample ? defaults.temperature : 0;
  params.top_k = defaults.top_k;
  params.top_p = defaults.top_p;
  params.min_p = defaults.min_p;
  params.repetition_penalty = defaults.repetition_penalty;
  return params;
}

void validate(const SamplingParams& params) {
  const auto within = [](float value, float min, float max) {
    return value >= min && value <= max;  // false for NaN
  };
  require(within(params.temperature, 0, 100), "temperature", params.temperature, "0 to 100");
  require(params.top_k >= 0, "top_k", params.top_k, "0 (off) or more");
  require(within(params.top_p, 0, 1), "top_p", params.top_p, "0 to 1");
  require(within(params.min_p, 0, 1), "min_p", params.min_p, "0 to 1");
  require(within(params.repetition_penalty, 0.01f, 100), "repetition_penalty",
          params.repetition_penalty, "0.01 to 100");
  require(within(params.presence_penalty, -100, 100), "presence_penalty", params.presence_penalty,
          "-100 to 100");
  require(within(params.frequency_penalty, -100, 100), "frequency_penalty",
          params.frequency_penalty, "-100 to 100");
  for (const auto& [id, bias] : params.bias) {
    require(id >= 0, "bias: a token", id, "a token's number");
    require(within(bias, -1000, 1000), "bias", bias, "-1000 to 1000");
  }
}

TokenId sample(std::span<float> logits, const SamplingParams& params,
               std::span<const TokenId> context, std::size_t answer_begin, std::uint64_t position) {
  if (logits.empty()) throw Error("there are no logits to choose a token from");
  penalize_repetition(logits, params.repetition_penalty, context);
  const auto answer = context.subspan(std::min(answer_begin, context.size()));
  penalize_presence(logits, params.presence_penalty, answer);
  penalize_frequency(logits, params.frequency_penalty, answer);
  for (const auto& [id, bias] : params.bias) logit_of(logits, id, "bias") += bias;
  check_numbers(logits);
  const TokenId likeliest = most_likely(logits);
  if (params.temperature == 0) return likeliest;

  std::vector<Candidate> candidates = ranked(logits, params.top_k);
  const double highest = candidates.front().logit;
  for (Candidate& candidate : candidates) {
    candidate.weight = std::exp((candidate.logit - highest) / params.temperature);
  }
  keep_top_p(candidates, params.top_p);
  keep_min_p(candidates, params.min_p);
  return draw(candidates, uniform(params.seed, position));
}

TokenProbability probability(std::span<const float> logits, TokenId token, int top) {
  const double highest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  const auto logarithm = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - highest - std::log(sum));
  };
  TokenProbability result{token, logarithm(logits[static_cast<std::size_t>(token)])};
  if (top == 0) return result;
  std::vector<Candidate> candidates = ranked(logits, top);
  candidates.resize(std::min(candidates.size(), static_cast<std::size_t>(top)));
  for (const Candidate& each : candidates) result.top.emplace_back(each.id, logarithm(each.logit));
  return result;
}

// The output of SplitMix64, started from the mixed seed, at `position`.
double uniform(std::uint64_t seed, std::uint64_t position) {
  constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;
  const std::uint64_t bits = mix(mix(seed + golden) + (position + 1) * golden);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace hearth::engine
