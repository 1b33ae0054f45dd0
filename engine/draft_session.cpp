// Following a large model with a small one, and drafting for it.
#include "engine/draft_session.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

namespace hearth::engine {

namespace {

using Clock = std::chrono::steady_clock;

void require_same(const Tokenizer& small, const Tokenizer& large, const std::string& small_name,
                  const std::string& large_name) {
  const std::string difference = small.difference(large);
  if (difference.empty()) return;
  throw Error(small_name + " cannot draft for " + large_name + ", whose tokens are others: " +
              difference + "; choose a small model of the same family");
}

bool begins_with(std::span<const TokenId> tokens, std::span<const TokenId> beginning) {
  return tokens.size() >= beginning.size() &&
         std::ranges::equal(tokens.first(beginning.size()), beginning);
}

}  // namespace

void require_same_tokens(const std::filesystem::path& small, const std::filesystem::path& large) {
  require_same(Tokenizer::load(small), Tokenizer::load(large), small.string(), large.string());
}

DraftSession::DraftSession(std::shared_ptr<Runtime> small, const Engine& large)
    : session_(std::move(small)) {
  const Engine& engine = session_.engine();
  require_same(engine.tokenizer(), large.tokenizer(), engine.options().model.string(),
               large.options().model.string());
  vocab_ =
      static_cast<std::size_t>(std::min(engine.config().vocab_size, large.config().vocab_size));
}

Progress DraftSession::draft(const TokenPrompt& prompt, std::span<const TokenId> answer,
                             std::size_t count, const Choose& choose,
                             const std::atomic<bool>* interrupt) {
  if (!works_) return Progress::done;
  try {
    go_to(prompt, answer);
    const auto began = Clock::now();
    const auto spent = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
    if (!can_follow()) return Progress::done;
    Progress progress = follow(prompt, interrupt);
    if (progress != Progress::done) {
      counts_.reading += spent();
      return progress;
    }
    progress = draft_on(count, choose, interrupt);
    counts_.drafting += spent();
    return progress;
  } catch (const Error& error) {
    fail(error.what());
  } catch (const std::bad_alloc&) {
    fail("there is not enough memory");
  }
  return Progress::done;
}

void DraftSession::want_logits(int top, std::vector<TokenId> always) {
  std::erase_if(always, [&](TokenId id) { return static_cast<std::size_t>(id) >= vocab_; });
  session_.want_logits(top, std::move(always));
}

// Drafts behind these tokens from here on: from where the session is, where they go on from those
// it had drafted behind.
void DraftSession::go_to(const TokenPrompt& prompt, std::span<const TokenId> answer) {
  std::vector<TokenId> tokens = prompt.tokens;
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  const std::span<const TokenId> before = std::span(behind_).first(followed());
  const bool goes_on = prompt.tokens.size() == prompt_ && begins_with(tokens, before);
  if (goes_on && tokens.size() == before.size()) return;
  synced_ = synced_ && goes_on && take_back(tokens);
  prompt_ = prompt.tokens.size();
  behind_ = std::move(tokens);
  drafted_.clear();
}

// Takes back what the session computed of drafts that these tokens do not have. False: they leave
// it at a token whose state is not kept.
bool DraftSession::take_back(std::span<const TokenId> tokens) {
  const std::vector<TokenId>& computed = session_.tokens();
  const auto right = std::ranges::mismatch(computed, tokens).in1 - computed.begin();
  const std::size_t refused = computed.size() - static_cast<std::size_t>(right);
  if (refused == 0) return true;
  if (refused >= session_.decoded_tokens()) return false;
  session_.keep_decoded(session_.decoded_tokens() - refused);
  counts_.taken_back += refused;
  return true;
}

// Whether the small model can compute what it is to draft behind, and one token more: its context
// may be shorter than the large one's, and its embeddings fewer.
bool DraftSession::can_follow() const {
  const auto unknown = [&](TokenId id) { return static_cast<std::size_t>(id) >= vocab_; };
  return static_cast<std::int64_t>(followed()) < session_.engine().context() &&
         std::ranges::none_of(behind_, unknown);
}

// Brings the session to the last token that it is to draft behind, or to the one before, where all
// drafts were right: those are rows of the next draft. done: it is there. more: it did a piece.
Progress DraftSession::follow(const TokenPrompt& prompt, const std::atomic<bool>* interrupt) {
  const auto after = [](Progress piece) {
    return piece == Progress::interrupted ? Progress::interrupted : Progress::more;
  };
  const std::span<const TokenId> before = std::span(behind_).first(followed() - 1);
  if (!synced_) {
    if (!session_.sync(before, prompt_, interrupt)) return Progress::interrupted;
    synced_ = true;
    return Progress::more;
  }
  const std::size_t computed = session_.tokens().size();
  if (computed < prompt_)
    return after(session_.prefill(prompt.tokens, prompt.boundaries, interrupt));
  if (computed == prompt_) {  // the prompt's checkpoints may still have to be kept
    const Progress kept = session_.prefill(prompt.tokens, prompt.boundaries, interrupt);
    if (kept != Progress::done) return kept;
  }
  if (computed + 2 >= followed()) return Progress::done;
  return after(session_.replay(before, interrupt));
}

// Drafts one by one, in one go: each draft token is a row of the next.
Progress DraftSession::draft_on(std::size_t count, const Choose& choose,
                                const std::atomic<bool>* interrupt) {
  const auto room = static_cast<std::size_t>(session_.engine().context()) - followed();
  count = std::min({count, room, session_.engine().options().drafts});
  while (drafted_.size() < count) {
    const std::span<const TokenId> rows = std::span(behind_).subspan(session_.tokens().size());
    if (!rows.empty()) {
      const Progress progress = drafted_.empty() ? session_.decode(rows, interrupt)
                                                 : session_.decode_on(rows.back(), interrupt);
      if (progress != Progress::done) return progress;
    }
    TokenId token = choose(session_.logits().first(vocab_), behind_);
    if (tamper_) token = tamper_(drafted_.size(), token);
    drafted_.reserve(drafted_.size() + 1);  // both have it, or neither
    behind_.push_back(token);
    drafted_.push_back(token);
    ++counts_.proposed;
  }
  return Progress::done;
}

void DraftSession::fail(const std::string& why) {
  works_ = false;
  behind_.resize(followed());
  drafted_.clear();
  const EngineOptions& options = session_.engine().options();
  if (options.note)
    options.note("the model in " + options.model.string() + " drafts no more tokens: " + why);
}

}  // namespace hearth::engine
