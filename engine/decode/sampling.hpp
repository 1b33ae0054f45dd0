// From logits to a token: the reference implementation's order of processors, with randomness
// that is a function of (seed, position) alone; and the rules that end an answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/support/types.hpp"
#include "engine/tokenizer/chat_template.hpp"

namespace hearth::engine {

struct SamplingParams {
  float temperature = 0;  // 0: greedy
  int top_k = 0;          // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::map<TokenId, float> bias;
  std::uint64_t seed = 0;
};
// What to draw with: as the checkpoint's files have it; where they say nothing, as is published
// for its family, which differs by whether it thinks before this answer, else greedy.
SamplingParams recommended(const GenerationDefaults& defaults, ChatTemplate family, bool thinks);
// Throws Error naming the parameter and its value.
void validate(const SamplingParams& params);

// Order: repetition, presence and frequency penalty, bias, temperature, top-k, top-p, min-p, draw.
// logits: one row, changed in place. context: every token before `position` (prompt and answer;
// the repetition penalty looks at all of it, the others at the answer from `answer_begin`).
// position: of the token to be chosen, in the sequence. Ties go to the lower id.
TokenId sample(std::span<float> logits, const SamplingParams& params,
               std::span<const TokenId> context, std::size_t answer_begin, std::uint64_t position);

// Uniform in [0, 1): a counter-based function of its arguments.
double uniform(std::uint64_t seed, std::uint64_t position);

// How likely a token was before anything was done to the logits: natural logarithms.
struct TokenProbability {
  TokenId token = 0;
  float logprob = 0;
  std::vector<std::pair<TokenId, float>> top = {};  // the likeliest, falling
};
TokenProbability probability(std::span<const float> logits, TokenId token, int top);

enum class StopReason : std::uint8_t {
  stop_token,
  stop_string,
  max_tokens,
  context_full,
  cancelled
};

// Watches decoded text for stop strings, also across token borders: text that may be the beginning
// of one is held back until it is decided.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> strings);
  struct Result {
    std::string text;      // may be shown now
    bool stopped = false;  // a stop string was met; text ends before it
  };
  Result push(std::string_view text);
  std::string finish();  // what was held back

 private:
  std::vector<std::string> strings_;
  std::string held_;
};

}  // namespace hearth::engine
