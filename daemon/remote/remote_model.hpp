// lsp::Model over HTTP: an engine on another machine, or another program's on this one (vLLM,
// SGLang, llama.cpp's server, `hearth serve`, whatever speaks OpenAI's protocol). It finds out what
// the server can do, waits where it does not answer, and repeats nothing unseen.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/url.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

// Pauses between attempts: from the first, doubled, to the longest.
struct RemotePauses {
  std::chrono::milliseconds first{1'000};
  std::chrono::milliseconds longest{60'000};
};

struct RemoteOptions {
  http::Url url;    // of the API: "https://gpu.example.org/v1"
  std::string key;  // sent as a Bearer token, only over https or to loopback; empty: none
  std::string key_source = {};  // where the key comes from, for people: a file's name, a variable
  std::string model = {};       // by which it is asked; empty: the first that /v1/models lists
  // A checkpoint's directory without weights (tokenizer.json, config.json …); empty: not known.
  std::filesystem::path tokenizer = {};
  RemotePauses pauses = {};
  std::chrono::milliseconds silence{180'000};  // of a server, after which a request is repeated
};

// How completions in the middle of code are asked for.
enum class RemoteFim : std::uint8_t { none, infill, suffix, tokens };

struct RemoteStatus {
  // looking: not reached yet. away: does not answer now. refused: answers, but serves nothing here:
  // no key, another key, no such model.
  enum class State : std::uint8_t { looking, ready, away, refused };
  State state = State::looking;
  std::string why;  // a sentence; empty where it is ready
  std::string url;  // as it may be shown: no user, no query
  std::string host;
  bool leaves_machine = true;  // what is asked goes to another machine
  bool key = false;            // one is sent
  std::string model;           // by which it is asked; empty: not known yet
  std::string server;          // "vLLM", "llama.cpp", "hearth" …; empty: not known
  std::int64_t context = 0;    // tokens; 0: not known yet
  bool exact_counts = false;
  bool token_ids = false;       // prompts go as tokens
  std::string tokens_why = {};  // a tokenizer is configured, and yet they do not: a sentence
  RemoteFim fim = RemoteFim::none;
  std::optional<bool> prefix_caching;  // empty: nothing was seen of it yet
  // Counted since the start:
  std::uint64_t requests = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;  // requests sent again, of which the server may have read something
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t answer_tokens = 0;
  // Now:
  std::size_t running = 0;  // requests under way
  std::size_t waiting = 0;  // that wait here for their turn or for the server
  std::optional<std::chrono::milliseconds> first_token;  // as measured lately
  std::optional<double> decode_speed;                    // tokens a second
};

// Methods on the Host's thread. Callbacks are not called once it is destroyed.
class RemoteModel : public lsp::Model {
 public:
  // Begins to look for the server at once. The host outlives it. `changed`: status().state or its
  // sentence did; may be empty. Throws Error for a key that may not go to this address.
  RemoteModel(lsp::Host& host, RemoteOptions options, std::function<void()> changed);
  ~RemoteModel() override;

  void describe(lsp::Callback<lsp::ModelDescription> done) override;
  lsp::LoadingProgress loading() const override;
  void count_tokens(std::vector<std::string> texts,
                    lsp::Callback<std::vector<std::int64_t>> done) override;
  void estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  void inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
               lsp::Callback<std::vector<lsp::PromptPiece>> done) override;
  std::optional<std::chrono::milliseconds> usual_time(
      lsp::Prompt::Kind kind, std::int64_t prompt_tokens,
      const lsp::GenerateOptions& options) const override;
  lsp::GenerationId prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override;
  void cancel(lsp::GenerationId id) override;

  RemoteStatus status() const;
  bool away() const;  // does not answer now: a request would wait
  // Nothing more is asked, and the streams under way are closed. Before the end: what was written
  // by then is delivered, and requests stay unanswered.
  void hold();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
