// The model as the language server needs it. The daemon supplies one: the local engine, or a
// remote server; tests supply a scripted one. Nothing here knows how tokens are made.
//
// Every call returns at once; its answer comes later through a callback on the thread that the
// Host's post() runs on, or an error does. A callback is called exactly once, except on_progress,
// on_tokens, on_text, on_thought and on_restart, and never after on_done.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lsp/support/prompt.hpp"

namespace hearth::lsp {

struct ModelError {
  enum class Kind : std::uint8_t {
    failed,       // this request cannot be served: asking again would fail again
    cancelled,    // someone wanted it to stop
    unavailable,  // no model answers now: asking later may help
  };
  std::string message;  // for people
  Kind kind = Kind::failed;
};
template <typename T>
using Result = std::variant<T, ModelError>;
template <typename T>
using Callback = std::function<void(Result<T>)>;

// The words with which a task is put to a model. lsp/context/wording.hpp says which variables there
// are in them.
struct Wording {
  std::string source;  // where they are from, for errors: a file's name
  std::string text;
};

// In which order a model reads what is around a cursor. What comes first is read again where it
// changes, and so is all that follows it.
enum class FimOrder : std::uint8_t { prefix_first, suffix_first };

// What this model was trained to read; prompts follow it.
struct ModelProfile {
  std::string name;
  std::string system_chat;
  std::map<std::string, Wording> wordings;  // by an action's id, in place of the action's own
  std::int64_t context_tokens = 0;          // prompt and answer together
  std::int64_t fim_prefix_tokens = 0;
  std::int64_t fim_suffix_tokens = 0;
  FimOrder fim_order = FimOrder::prefix_first;
  // Tokens a second at which completions' prompts are read here; empty: not measured yet.
  std::optional<double> completion_speed;
  bool surroundings = true;  // imports and outline belong beside a selection
  bool thinking = false;     // may write a thought, which is no part of its answer, before that
};

// What a model can do. Heed it: a remote one cannot all that the local engine can.
struct ModelCapabilities {
  // count_tokens() counts. Without it, it is not called.
  bool exact_counts = true;
  // A request under way steps aside within a token for one of higher priority. Without it requests
  // queue, and nothing is begun that nobody waits for.
  bool parking = true;
  // What was read stays known: prefill() pays, and a prompt that begins as an earlier one costs
  // only what is new. Without it nothing is read ahead, and no time is promised for it.
  bool prefix_state = true;
};

struct ModelDescription {
  ModelProfile profile;
  ModelCapabilities capabilities = {};
  // What tokens are good for: those that one model wrote are not continued by another.
  std::string identity = {};
};

// How far the model is on its way into memory.
struct LoadingProgress {
  std::int64_t percentage = 0;
  std::optional<std::chrono::milliseconds> eta;  // empty: unknown
};

enum class Priority : std::uint8_t { explicit_request, inline_completion, background };

// How the next token is chosen: the likeliest, or drawn as the checkpoint's authors recommend.
enum class Sampling : std::uint8_t { greedy, recommended };

// What a person chose of it; what is empty stays as Sampling says.
struct SamplingChoice {
  std::optional<float> temperature = {};  // 0: the likeliest
  std::optional<int> top_k = {};          // draw from the K likeliest; 0: from all
  std::optional<float> top_p = {};        // from the likeliest of this total probability
  std::optional<float> min_p = {};        // from those of this share of the likeliest's probability
  // What was written before is less likely: by factor, prompt included; and by what is taken from
  // the logit of what the answer has, once or each time that it has it.
  std::optional<float> repetition_penalty = {};
  std::optional<float> presence_penalty = {};
  std::optional<float> frequency_penalty = {};
  std::map<std::int32_t, float> bias = {};  // of single tokens: added to their logits
};

// When a model that can think does: as each action is worth it, always, or never.
enum class ThinkingMode : std::uint8_t { automatic, on, off };
// `wish`: where that is left open; empty: as the model does where nothing is said.
constexpr std::optional<bool> thinking_asked(ThinkingMode mode, std::optional<bool> wish) {
  return mode == ThinkingMode::automatic ? wish : mode == ThinkingMode::on;
}

struct GenerateOptions {
  Priority priority = Priority::explicit_request;
  std::int64_t max_tokens = 256;  // of the answer
  std::vector<std::string> stop_strings;
  // Whether a model that can think does before it answers; empty: as it does where nothing is said.
  std::optional<bool> thinking = {};
  std::int64_t thinking_budget = 2048;  // most tokens of its thought; 0: none
  Sampling sampling = Sampling::greedy;
  std::uint64_t seed = 0;  // of drawn answers: the same prompt and seed give the same answer
  // Who asks: requests of one priority take turns by their clients. 0: nobody in particular.
  std::uint64_t client = 0;
  std::string action = {};  // what for, an action's id: how long answers are is learnt by it
  // What an earlier run of this request wrote, as on_tokens gave it: the answer goes on behind it
  // and ends as it would have without the break.
  std::vector<std::int32_t> written = {};
  std::string written_by = {};  // Answer::by of that run; empty: it was not said
  SamplingChoice sampling_choice = {};
  // A conversation that the context cannot hold is an error; else its oldest turns are left out.
  bool keep_turns = false;
  std::int64_t max_all_tokens = 0;  // of the answer and its thought together; 0: any number
  // How many of the likeliest tokens are told beside each of the answer's; −1: nothing is told.
  int top_probabilities = -1;
  std::string json_schema = {};  // that the answer is bound to, behind its thought; empty: none

  // As `thinking`, with the budget heeded.
  std::optional<bool> asks_to_think() const {
    return thinking_budget <= 0 ? std::optional(false) : thinking;
  }
};

// Between these it will be, in four of five cases.
struct TimeRange {
  std::chrono::milliseconds from{0};
  std::chrono::milliseconds to{0};
};

struct GenerationProgress {
  enum class Phase : std::uint8_t { loading, queued, prefilling, thinking, generating };
  Phase phase = Phase::queued;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompt, not read again
  double prompt_done = 0;          // tokens of the prompt behind us, cached ones too
  std::int64_t thought_tokens = 0;
  std::int64_t answer_tokens = 0;  // without the thought
  std::int64_t ahead = 0;          // requests that are served before this one goes on
  // Until the first token is written, with all that is before it; empty: unknown, or it is written.
  std::optional<std::chrono::milliseconds> first_token;
  std::optional<std::chrono::milliseconds> eta;  // until done at the measured speed; empty: unknown
  std::optional<TimeRange> end;                  // until done; empty: unknown
  std::string by = {};                           // as Answer's, from the first word on
};

// A token of an answer and how likely it was: bytes, and the natural logarithm.
struct TokenProbability {
  std::string bytes;
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top = {};  // the likeliest, falling
};

enum class FinishReason : std::uint8_t { stop, length, context_full };

struct Answer {
  std::string text;  // all of it; equals the on_text pieces joined
  FinishReason finish = FinishReason::stop;
  bool at_stop_string = false;  // of GenerateOptions, which `generated` has and `text` does not
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t thought_tokens = 0;
  bool thought_cut = false;        // closed at thinking_budget, so that the answer could follow
  std::int64_t answer_tokens = 0;  // without the thought
  std::chrono::milliseconds prompt_time{0};
  std::chrono::milliseconds answer_time{0};  // the thought's too
  // As Message::generated, for the prompt that goes on from here; empty: the model cannot say.
  std::vector<std::int32_t> generated = {};
  std::string thought = {};  // all of it; equals the on_thought pieces joined
  // Which engine wrote it, where there are several or it is another machine's: "qwen3-coder at
  // gpu.example.org"; empty: the local one.
  std::string by = {};
};

struct Estimate {
  std::int64_t prompt_tokens = 0;
  std::int64_t uncached_tokens = 0;
  std::optional<std::chrono::milliseconds> first_token;  // empty: no speed measured yet
};

// A piece of a prompt as the model reads it.
struct PromptPiece {
  std::string text;  // with the template's special tokens, by their names
  std::int64_t tokens = 0;
  std::optional<Provenance> provenance;  // empty: the model's template
  std::string why = {};                  // as the segment's
};

struct GenerationEvents {
  std::function<void(const GenerationProgress&)> on_progress;  // may be empty
  // What became visible behind the text of GenerateOptions::written. May be empty.
  std::function<void(std::string)> on_text;
  Callback<Answer> on_done;
  // What was written behind GenerateOptions::written, the thought's tokens too; comes straight
  // before the text of the same tokens. May be empty, and a model that has no tokens never calls.
  std::function<void(std::vector<std::int32_t>)> on_tokens = {};
  // More of the thought, from its beginning on: also what GenerateOptions::written has of it. May
  // be empty.
  std::function<void(std::string)> on_thought = {};
  // As GenerateOptions::top_probabilities asks; come before the text of the same tokens. May be
  // empty.
  std::function<void(std::vector<TokenProbability>)> on_probabilities = {};
  // The answer was lost on its way and is made once more from its beginning: what was told of it,
  // text, thought and tokens, holds no more. Where this is empty, an answer of which something was
  // told is not made again: on_done says Kind::unavailable.
  std::function<void()> on_restart = {};
};

using GenerationId = std::uint64_t;  // from 1

class Model {
 public:
  virtual ~Model() = default;
  // Answered once the model is loaded; the error says why it cannot be.
  virtual void describe(Callback<ModelDescription> done) = 0;
  // At once, and only as long as describe() is unanswered.
  virtual LoadingProgress loading() const = 0;
  // One count per text. Only where capabilities.exact_counts.
  virtual void count_tokens(std::vector<std::string> texts,
                            Callback<std::vector<std::int64_t>> done) = 0;
  virtual void estimate(Prompt prompt, Callback<Estimate> done) = 0;
  // All that the model is shown, in order, for an answer with these options.
  virtual void inspect(Prompt prompt, const GenerateOptions& options,
                       Callback<std::vector<PromptPiece>> done) = 0;
  // At once: how long a prompt of so many tokens and its answer take when nothing of it is known
  // and nothing else runs, by measured speeds and by how long answers to this kind of prompt are.
  // Empty: nothing was measured yet.
  virtual std::optional<std::chrono::milliseconds> usual_time(
      Prompt::Kind kind, std::int64_t prompt_tokens, const GenerateOptions& options) const = 0;
  // Reads a prompt ahead of need, at background priority; yields to everything else.
  virtual GenerationId prefill(Prompt prompt, Callback<Estimate> done) = 0;
  virtual GenerationId generate(Prompt prompt, GenerateOptions options,
                                GenerationEvents events) = 0;
  // The computation stops; on_done comes with Kind::cancelled. Unknown ids are ignored.
  virtual void cancel(GenerationId id) = 0;
};

}  // namespace hearth::lsp
