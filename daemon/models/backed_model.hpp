// lsp::Model of an engine that may be away, and of one behind it that answers meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lsp/support/model.hpp"

namespace hearth::daemon {

// On the Host's thread. Who is away when something is asked is not asked. What the first one was
// asked goes to the one behind when that first one goes away before a word of its answer is there;
// behind a word, it waits for the one that wrote it. What is to go on behind tokens of earlier
// does so where it asks the one that wrote them; else it begins anew, with on_restart.
class BackedModel : public lsp::Model {
 public:
  struct Behind {
    lsp::Model& model;
    std::string key;                  // changes where its tokens may mean something else
    std::function<std::string()> by;  // Answer::by of what it writes and does not sign
  };
  // Both outlive it. `away`: whether the first one is.
  BackedModel(lsp::Model& first, Behind behind, std::function<bool()> away);

  // What `away` says may have changed.
  void look();

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

 private:
  struct Description {
    bool answered = false;
    lsp::Callback<lsp::ModelDescription> done;
  };
  // What one of both works on.
  struct Work {
    lsp::Model* by = nullptr;
    lsp::GenerationId id = 0;  // there
    std::uint64_t attempt = 0;
    bool begun = false;  // a word of the answer is there
    bool anew = false;   // those who asked have words of earlier, and were not told yet
    // To ask the other one; empty for what is read ahead only.
    std::shared_ptr<const lsp::Prompt> prompt = {};
    lsp::GenerateOptions options = {};
    lsp::GenerationEvents events = {};
  };

  lsp::Model& serving() const { return away_() ? behind_.model : first_; }
  void ask(lsp::GenerationId id, lsp::Model& by);
  // Who wrote what these options go on behind; null: it may be either.
  const lsp::Model* writer(const lsp::GenerateOptions& options) const;
  // The work, as long as `attempt` is the one that counts.
  Work* current(lsp::GenerationId id, std::uint64_t attempt);
  // The same for an event of it: who hears of one knows what it is about.
  Work* heard_of(lsp::GenerationId id, std::uint64_t attempt);
  void done(lsp::GenerationId id, std::uint64_t attempt, lsp::Result<lsp::Answer> result);

  lsp::Model& first_;
  const Behind behind_;
  const std::function<bool()> away_;
  std::list<std::shared_ptr<Description>> descriptions_;  // that the first one was asked for
  std::map<lsp::GenerationId, Work> works_;
  lsp::GenerationId last_ = 0;
};

}  // namespace hearth::daemon
