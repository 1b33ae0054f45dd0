// A small model beside a large one: it follows what the large one reads and writes, and drafts what
// may come next. What becomes of its drafts is the large one's business (Generation).
//
// Ownership and threading: it holds the small model's Runtime; whoever makes it keeps it as long as
// a GenerationRequest names it. It belongs to the computing thread, the same for both models. It
// follows one answer at a time, so each Session that answers has its own: two answers that share
// one have it read their prompts again at every turn.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::engine {

// Throws Error, which says what differs, where the tokens of a model in `small` are not those of
// one in `large`. Directories of checkpoints; neither model is loaded.
void require_same_tokens(const std::filesystem::path& small, const std::filesystem::path& large);

class DraftSession {
 public:
  // Chooses the token behind `context` from the small model's logits of it: as the large one does
  // from its own, by the same seed and position, so that both draw alike.
  using Choose = std::function<TokenId(
      std::span<const float> logits,  // [tokens that both models have embeddings of]
      std::span<const TokenId> context)>;

  // `large`: whose answers it drafts; nothing of it is kept. Throws Error where the tokens of the
  // two are not the same.
  DraftSession(std::shared_ptr<Runtime> small, const Engine& large);

  // Drafts at most `count` tokens behind `prompt` and `answer`, of which the last is not computed
  // yet: see drafted(). The states of its last passes are kept, so what the large model refused of
  // the drafts before is taken back and nothing is computed twice.
  // more: it did a piece of reading what it had not followed so far; call again. interrupted: call
  // again to go on. What fails ends its drafts, not the answer: see works().
  Progress draft(const TokenPrompt& prompt, std::span<const TokenId> answer, std::size_t count,
                 const Choose& choose, const std::atomic<bool>* interrupt);
  // Behind the last answer that draft() was done with; fewer than were asked for, or none, where
  // the small model's context or vocabulary ends.
  const std::vector<TokenId>& drafted() const { return drafted_; }
  // As Session::want_logits, for the next draft.
  void want_logits(int top, std::vector<TokenId> always);

  // Whether it still drafts: not where the small model failed, which went to its engine's log.
  bool works() const { return works_; }

  struct Counts {
    std::uint64_t proposed = 0;    // draft tokens
    std::uint64_t taken_back = 0;  // of them, computed for the next ones in vain
    double reading = 0;            // seconds of reading what was not followed, prompts above all
    double drafting = 0;           // seconds
  };
  const Counts& counts() const { return counts_; }
  const Session& session() const { return session_; }

  // For tests: changes the draft token of this index among those behind one answer.
  void tamper(std::function<TokenId(std::size_t index, TokenId token)> change) {
    tamper_ = std::move(change);
  }

 private:
  void go_to(const TokenPrompt& prompt, std::span<const TokenId> answer);
  bool take_back(std::span<const TokenId> tokens);
  bool can_follow() const;
  Progress follow(const TokenPrompt& prompt, const std::atomic<bool>* interrupt);
  Progress draft_on(std::size_t count, const Choose& choose, const std::atomic<bool>* interrupt);
  void fail(const std::string& why);
  // Tokens of the prompt and the answer that it drafts behind.
  std::size_t followed() const { return behind_.size() - drafted_.size(); }

  Session session_;
  std::size_t vocab_ = 0;  // tokens that both models know
  bool works_ = true;
  std::size_t prompt_ = 0;       // tokens of the prompt
  std::vector<TokenId> behind_;  // prompt and answer that it drafts behind, then what it drafted
  std::vector<TokenId> drafted_;
  bool synced_ = false;  // the session's tokens are a beginning of those, and it goes on from there
  Counts counts_;
  std::function<TokenId(std::size_t, TokenId)> tamper_;
};

}  // namespace hearth::engine
