// Random conversations over every template, with thoughts and tools: what a prompt shares with the
// next one.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "engine/tokenizer/profile.hpp"
#include "tests/engine/files.hpp"

namespace hearth::engine {
namespace {

using Ids = std::vector<TokenId>;

const std::filesystem::path source = HEARTH_SOURCE_DIR;

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = [] {
    const std::filesystem::path file = source / "tests/tokenizer/tokenizer-q35.json";
    return Tokenizer::parse(read_text(file, 1'000'000), "", file.string());
  }();
  return loaded;
}

std::size_t shared(const Ids& one, const Ids& other) {
  return static_cast<std::size_t>(std::ranges::mismatch(one, other).in1 - one.begin());
}

constexpr unsigned seeds = HEARTH_SANITIZED ? 2 : 20;

// Plain ChatML without and with a thought, and the second family's, with each effort.
std::vector<Profile> families() {
  const ScratchDirectory empty;
  const Profile plain =
      read_profile(empty.path(), read_config(source / "engine/ember"), tokenizer(), {});
  std::vector<Profile> profiles{plain, plain};
  profiles.back().thinking = true;
  for (const ChatTemplate which : {ChatTemplate::qwen3_5, ChatTemplate::qwen3_5_small,
                                   ChatTemplate::qwen3_6, ChatTemplate::qwen3_8}) {
    for (const Effort effort : {Effort::low, Effort::medium, Effort::xhigh}) {
      if (which != ChatTemplate::qwen3_8 && effort != Effort::medium) continue;
      profiles.push_back(plain);
      profiles.back().chat_template = which;
      profiles.back().thinking = true;
      profiles.back().thoughts.effort = effort;
    }
  }
  return profiles;
}

// A conversation that goes on turn by turn, each answer random tokens that no text would be split
// into, behind a thought where one is opened. Which is asked for changes from turn to turn.
class Conversation {
 public:
  Conversation(const Profile& profile, unsigned seed) : profile_(profile), random_(seed) {
    if (chance(2)) messages_.push_back({"system", text()});
    messages_.push_back({"user", "? " + text()});
    if (profile.chat_template != ChatTemplate::chatml && chance(2))
      tools_ = {R"({"type": "function", "function": {"name": "look"}})"};
    choose_thinking();
  }

  TokenPrompt prompt() const {
    return tokenize(tokenizer(), render_chat(profile_, messages_, {thinking_, tools_}));
  }
  bool thinks() const { return opens_thought(profile_, thinking_); }

  // An answer as it might be generated.
  Ids answer() {
    Ids tokens;
    if (thinks()) {
      add_random(tokens);
      const Ids closing = end_of_thought(tokenizer(), chance(2));
      tokens.insert(tokens.end(), closing.begin(), closing.end());
      behind_thought_ = tokens.size();
    } else {
      behind_thought_ = 0;
    }
    add_random(tokens);
    return tokens;
  }
  // Of the last answer: where its thought and what closes it end.
  std::size_t behind_thought() const { return behind_thought_; }

  // The answer's turn, and what comes after it: results of tools, or a question.
  void extend(const Ids& answer) {
    messages_.push_back({"assistant", tokenizer().decode(answer), {}, answer, thinking_});
    if (chance(2)) {
      for (std::size_t left = 1 + random_() % 3; left > 0; --left)
        messages_.push_back({"tool", text()});
    } else {
      messages_.push_back({"user", text()});
    }
    choose_thinking();
  }
  // The same, always with a question that does not look like a result.
  void ask(const Ids& answer) {
    messages_.push_back({"assistant", tokenizer().decode(answer), {}, answer, thinking_});
    messages_.push_back({"user", "? " + text()});
    choose_thinking();
  }

 private:
  bool chance(unsigned of) { return random_() % of == 0; }

  void choose_thinking() {
    thinking_.reset();
    if (!chance(3)) thinking_ = chance(2);
  }

  void add_random(Ids& tokens) {
    const auto ordinary = static_cast<TokenId>(tokenizer().special("<|endoftext|>").value());
    for (std::size_t left = 1 + random_() % 12; left > 0; --left) {
      // Not beginning with a line break: those behind a thought count as its end.
      TokenId token = 0;
      do {
        token = static_cast<TokenId>(random_()) & 0xFFF;
      } while (token >= ordinary || std::ranges::binary_search(profile_.line_breaks, token));
      tokens.push_back(token);
    }
  }

  std::string text() {
    Ids tokens;
    add_random(tokens);
    static const std::vector<std::string> extras{
        "", " \n", "<think>", "</think>\n\n", "<tool_response>\nx\n</tool_response>", "<|im_end|>"};
    return extras[random_() % extras.size()] + tokenizer().decode(tokens) +
           extras[random_() % extras.size()];
  }

  const Profile& profile_;
  std::mt19937 random_;
  std::vector<ChatMessage> messages_;
  std::vector<std::string> tools_;
  std::optional<bool> thinking_;
  std::size_t behind_thought_ = 0;
};

TEST_CASE("a prompt and its answer are how the next prompt begins, over thoughts and tools") {
  const TokenId end = tokenizer().special("<|im_end|>").value();
  for (const Profile& profile : families()) {
    CAPTURE(name(profile.chat_template));
    for (unsigned seed = 0; seed < seeds; ++seed) {
      CAPTURE(seed);
      Conversation conversation(profile, seed);
      for (int turn = 0; turn < 10; ++turn) {
        Ids known = conversation.prompt().tokens;
        const Ids answer = conversation.answer();
        known.insert(known.end(), answer.begin(), answer.end());
        conversation.extend(answer);
        const Ids next = conversation.prompt().tokens;
        REQUIRE(next.size() > known.size());
        REQUIRE(shared(known, next) == known.size());
        CHECK(next[known.size()] == end);
      }
    }
  }
}

TEST_CASE(
    "where thoughts are dropped, a boundary before each is how far the next prompt is known") {
  for (Profile profile : families()) {
    profile.thoughts.keep = false;
    CAPTURE(name(profile.chat_template));
    for (unsigned seed = 0; seed < seeds; ++seed) {
      CAPTURE(seed);
      Conversation conversation(profile, seed);
      for (int turn = 0; turn < 10; ++turn) {
        const TokenPrompt prompt = conversation.prompt();
        const Ids answer = conversation.answer();
        const std::size_t thought = conversation.behind_thought();
        conversation.ask(answer);
        const Ids next = conversation.prompt().tokens;
        // The last boundary is before the thought; behind it the next prompt has the answer alone.
        const std::size_t known = prompt.boundaries.back();
        REQUIRE(shared(prompt.tokens, next) >= known);
        REQUIRE(next.size() > known + answer.size() - thought);
        CHECK(std::equal(answer.begin() + static_cast<std::ptrdiff_t>(thought), answer.end(),
                         next.begin() + static_cast<std::ptrdiff_t>(known)));
      }
    }
  }
}

}  // namespace
}  // namespace hearth::engine
