// lsp::Model over HTTP: an engine on another machine, or another program's on this one (vLLM,
// SGLang, llama.cpp's server, `hearth serve`, whatever speaks OpenAI's protocol). It finds out what
// the server can do, waits where it does not answer, and repeats nothing unseen.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/url.hpp"
#include "daemon/remote/server_watch.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

struct RemoteOptions {
  http::Url url;    // of the API: "https://gpu.example.org/v1"
  std::string key;  // sent as a Bearer token, only over https or to loopback; empty: none
  std::string key_source = {};  // where the key comes from, or could, for people: "model.key_file"
  std::string model = {};       // by which it is asked; empty: the first that /v1/models lists
  // A checkpoint's directory without weights (tokenizer.json, config.json …); empty: not known.
  std::filesystem::path tokenizer = {};
  std::chrono::milliseconds silence{600'000};  // of a server, after which a request is repeated
};

struct RemoteStatus {
  using State = ServerState;
  State state = State::looking;
  std::string why;  // a sentence; empty where it is ready
  std::string url;  // as it may be shown: no user, no query
  std::string host;
  bool leaves_machine = true;  // what is asked goes to another machine
  bool key = false;            // one is sent
  std::string model;           // by which it is asked; empty: not known yet
  std::string server;          // "vLLM", "llama.cpp", "hearth" …; empty: not known
  std::int64_t context = 0;    // tokens; 0: it does not say
  bool exact_counts = false;
  bool token_ids = false;       // prompts go as tokens
  std::string tokens_why = {};  // a tokenizer is configured, and yet they do not: a sentence
  RemoteFim fim = RemoteFim::none;
  std::optional<bool> prefix_caching;  // empty: nothing was seen of it yet
  // Counted since the start:
  std::uint64_t requests = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;  // requests sent again of which the server may have read something
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t answer_tokens = 0;
  // Now:
  std::size_t running = 0;                               // requests under way
  std::size_t waiting = 0;                               // for their turn, or for the server
  std::optional<std::chrono::milliseconds> first_token;  // of the last answer
  std::optional<double> decode_speed;                    // tokens a second
};

// Methods on the Host's thread. Callbacks are not called once it is destroyed.
class RemoteModel : public lsp::Model {
 public:
  // Begins to look for the server at once. The host outlives it. `changed`: status().state or its
  // sentence did; may be empty. Throws Error for a key that may not go to this address.
  RemoteModel(lsp::Host& host, const RemoteOptions& options, std::function<void()> changed);
  ~RemoteModel() override;  // closes what is under way; may wait for the search for a host's name

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
  // Nothing is read ahead on a machine that others share: answered with an estimate.
  lsp::GenerationId prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) override;
  lsp::GenerationId generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                             lsp::GenerationEvents events) override;
  void cancel(lsp::GenerationId id) override;

  RemoteStatus status() const;
  // Was looked for, and does not answer now: a request would wait, or fail.
  bool away() const;
  // Nothing more is asked, and the streams under way are closed. What was heard by then is
  // delivered, and requests stay unanswered: before the end.
  void hold();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hearth::daemon
