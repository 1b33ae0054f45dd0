// One answer from another engine, over as many connections as it takes: what is asked each time,
// what was told of it, and how what comes again goes on behind that. For the Host's thread; waits
// for nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/models/estimate.hpp"
#include "daemon/remote/answer_text.hpp"
#include "daemon/remote/exchange.hpp"
#include "daemon/remote/remote_tokenizer.hpp"
#include "daemon/remote/server_facts.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// A prompt as tokens, and what else its model's files say of the request.
struct RemoteTokens {
  std::shared_ptr<const RemoteTokenizer> tokenizer;
  std::int64_t context = 0;  // of the server, as it said
  engine::GenerationRequest request;
  std::string fault;  // why there are none
};

class RemoteGeneration {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // What follows from what was heard.
  enum class Heard : std::uint8_t {
    more,       // the answer goes on
    done,       // it is whole: see answer()
    ask_again,  // a thought took all of its room: the answer comes of another request
    lost,       // it begins otherwise than what was told of it, and cannot be told anew
  };

  RemoteGeneration(lsp::Prompt prompt, lsp::GenerateOptions options, lsp::GenerationEvents events);

  const lsp::GenerateOptions& options() const { return options_; }
  const lsp::GenerationEvents& events() const { return events_; }
  std::size_t prompt_bytes() const { return lsp::bytes_of(prompt_); }

  // Where prompts go as tokens, those of this one are made first: by any thread, then handed in.
  // Empty: they are there.
  using Rendering = std::function<std::shared_ptr<const RemoteTokens>()>;
  Rendering rendering(std::shared_ptr<const RemoteTokenizer> tokenizer, std::int64_t context) const;
  void rendered(std::shared_ptr<const RemoteTokens> tokens) { rendered_ = std::move(tokens); }

  // The request that goes on with it. `tokenizer`: where prompts go as tokens; outlives the answer.
  // Throws an exception with a sentence where this server cannot be asked that.
  RemoteRequest next_request(const ServerAddress& address, const ServerFacts& facts,
                             const RemoteTokenizer* tokenizer, double bytes_per_token, Time now);
  // Of the request's answer, each time that something came.
  Heard hear(AnswerChunk chunk, Time now);
  // The same of its end; `thinks`: set where it shows that this model writes thoughts.
  Heard end(Time now, bool& thinks);

  lsp::Answer answer(Time now) const;
  lsp::GenerationProgress progress(lsp::GenerationProgress::Phase waiting,
                                   std::int64_t ahead) const;
  // What it takes from here, and what it taught once it is whole.
  Work work_left() const;
  void teach(Estimates& estimates, const lsp::Answer& answer) const;
  const std::optional<RemoteUsage>& usage() const { return usage_; }

 private:
  RemoteRequest request_of_tokens(const ServerAddress& address, const ServerFacts& facts);
  RemoteRequest request_of_text(const ServerAddress& address, const ServerFacts& facts,
                                double bytes_per_token);
  void begin_request(Time now);
  void forget_told();
  Heard take(std::string thought, std::string text);
  bool matches(std::string& came, const std::string& told, std::size_t& matched) const;
  Heard begin_anew(std::string thought, std::string text);
  void tell(std::string thought, std::string text);
  AnswerText::Parts split(std::string_view came);
  std::int64_t thought_budget(const ServerFacts& facts) const;
  bool answer_is_full() const;

  const lsp::Prompt prompt_;
  const lsp::GenerateOptions options_;
  const lsp::GenerationEvents events_;
  const RemoteTokenizer* tokenizer_ = nullptr;
  std::shared_ptr<const RemoteTokens> rendered_;

  // Told so far, of all requests.
  std::string text_;
  std::string thought_;
  std::string raw_;                   // of a prompt of tokens: both, with the tag between them
  std::vector<std::int32_t> tokens_;  // the same as tokens, as long as the server told them
  bool tokens_known_ = true;
  bool thinking_ = false;  // the answer to a prompt of tokens begins with a thought
  bool thought_cut_ = false;
  std::int64_t thought_pieces_ = 0;  // about its tokens
  std::int64_t answer_pieces_ = 0;
  std::optional<engine::ThinkingFilter> filter_;  // of raw_

  // Of the present request.
  std::int64_t requests_ = 0;       // with those before it
  std::int64_t prompt_tokens_ = 0;  // estimated, or counted
  std::int64_t budget_ = 0;         // of the thought
  std::size_t matched_text_ = 0;    // of what was told, as far as it came again
  std::size_t matched_thought_ = 0;
  std::optional<AnswerText> streamed_;  // of a prompt of text
  std::optional<RemoteUsage> usage_;
  std::optional<lsp::FinishReason> finish_;
  bool at_stop_string_ = false;
  Time sent_{};
  std::optional<Time> first_;
};

}  // namespace hearth::daemon
