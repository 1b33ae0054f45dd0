// A Model for tests that says what it was told to, one step each 100 ms of the virtual clock, and
// counts its steps.
//
// Loading lasts until load() or fail_loading(). A prompt is 100 tokens, read 50 a step; then each
// step writes one token of the thought, where there is one, and then one piece of the answer, which
// counts as one token. A thought that is longer than its budget is cut.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lsp/support/model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {

class ScriptedModel : public Model {
 public:
  static constexpr std::chrono::milliseconds step_time{100};
  static constexpr int prompt_tokens = 100;
  static constexpr int read_a_step = 50;

  explicit ScriptedModel(VirtualHost& host) : host_(host) {}

  void load();
  void fail_loading(std::string why);
  // The next generation that has no answer yet writes these; without one it writes nothing.
  void say(std::vector<std::string> pieces) {
    answers_.push_back({std::move(pieces), {}, std::exchange(thought_, 0)});
  }
  void fail(std::string why) { answers_.push_back({{}, std::move(why), 0}); }
  // The generation that is given its answer next thinks so many tokens before: "Step 1. Step 2. ".
  void think(int tokens) { thought_ = tokens; }

  // What runs is lost on its way, and made again from its beginning.
  void lose();

  void describe(Callback<ModelDescription> done) override;
  LoadingProgress loading() const override { return loading_progress; }
  void count_tokens(std::vector<std::string> texts,
                    Callback<std::vector<std::int64_t>> done) override;
  void estimate(Prompt prompt, Callback<Estimate> done) override;
  void inspect(Prompt prompt, const GenerateOptions& options,
               Callback<std::vector<PromptPiece>> done) override;
  std::optional<std::chrono::milliseconds> usual_time(Prompt::Kind, std::int64_t,
                                                      const GenerateOptions&) const override {
    return usual;
  }
  GenerationId prefill(Prompt prompt, Callback<Estimate> done) override;
  GenerationId generate(Prompt prompt, GenerateOptions options, GenerationEvents events) override;
  void cancel(GenerationId id) override;

  LoadingProgress loading_progress;
  std::string by;  // of every answer
  // Of every answer; empty: its thought is 1001, 1002 …, its pieces are 1, 2 …
  std::vector<std::int32_t> generated;
  bool tells_tokens = true;                        // of answers
  std::optional<std::chrono::milliseconds> usual;  // what usual_time() says
  std::vector<Prompt> prefilled;                   // by prefill()
  int steps = 0;                                   // of all generations
  std::vector<Prompt> prompts;
  std::vector<GenerateOptions> options;
  std::vector<GenerationId> cancelled;
  ModelProfile profile;
  ModelCapabilities capabilities;
  std::string identity = "scripted";
  int count_calls = 0;            // of count_tokens
  std::size_t texts_counted = 0;  // in all of them

 private:
  struct Script {
    std::vector<std::string> pieces;
    std::string error;
    int thought = 0;
  };
  struct Running {
    GenerateOptions options;
    GenerationEvents events;
    Script script;
    int read = 0;
    int thought = 0;
    int thought_said = 0;  // of its tokens
    std::string thought_text;
    bool thought_cut = false;
    std::size_t written = 0;
    std::string text;
    std::vector<std::int32_t> tokens;
  };
  void answer_describe(const Callback<ModelDescription>& done);
  void schedule(GenerationId id);
  void step(GenerationId id);
  void think(Running& running);
  void write(Running& running, std::int32_t token);
  void report(const Running& running) const;
  void finish(GenerationId id, Result<Answer> result);

  VirtualHost& host_;
  bool loaded_ = false;
  std::string load_error_;
  std::vector<Callback<ModelDescription>> waiting_;
  int thought_ = 0;
  std::deque<Script> answers_;
  std::map<GenerationId, Running> running_;
  GenerationId last_ = 0;
};

}  // namespace hearth::lsp::test
