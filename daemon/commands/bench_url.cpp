// Measures and prints `hearth bench --url`.
#include "daemon/commands/bench_url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "daemon/commands/asking.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/remote/exchange.hpp"
#include "daemon/remote/request_body.hpp"
#include "daemon/remote/server_facts.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr const char* key_variable = "HEARTH_API_KEY";

struct Measured {
  double first_token = 0;  // seconds
  double speed = 0;        // tokens a second behind the first; 0: too few came
  double cached = 0;       // share of the prompt; −1: the server does not say
  std::int64_t prompt = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Words that no prompt before had: about two tokens each.
lsp::Prompt new_prompt(std::mt19937_64& random, std::int64_t tokens) {
  std::string text = "Go on with this list of words for as long as you can:";
  for (std::int64_t i = 0; i < tokens / 2; ++i) {
    text += ' ';
    for (int letter = 0; letter < 5; ++letter) text += static_cast<char>('a' + random() % 26);
  }
  lsp::Prompt prompt;
  prompt.messages.push_back({lsp::Role::user, {{text}}});
  return prompt;
}

class UrlRun {
 public:
  explicit UrlRun(const UrlBench& bench)
      : bench_(bench), address_(http::parse_url(bench.url), key(), key_variable) {}

  int run() {
    look();
    std::vector<Measured> fresh;
    std::vector<Measured> again;
    for (int round = 0; round < bench_.rounds; ++round) {
      const lsp::Prompt prompt = new_prompt(random_, bench_.prompt);
      fresh.push_back(ask(prompt));
      again.push_back(ask(prompt));
    }
    json result{{"url", address_.shown()}, {"model", facts_.model}, {"rounds", bench_.rounds}};
    if (!name(facts_.kind).empty()) result["server"] = name(facts_.kind);
    result["new"] = medians("a new prompt", fresh);
    result["again"] = medians("the same again", again);
    if (bench_.json) print(result.dump(2) + "\n");
    return 0;
  }

 private:
  static std::string key() {
    const char* given = std::getenv(key_variable);
    return given == nullptr ? "" : given;
  }

  void look() {
    try {
      facts_ = look_at(client_, address_, bench_.model, nullptr);
    } catch (const SetbackError& failed) {
      throw Error(failed.setback.sentence);
    }
    if (bench_.json) return;
    const std::string_view kind = name(facts_.kind);
    print(fmt::format("{} at {}{}\nmedians of {}, {} of answer each\n", facts_.model,
                      address_.shown(), kind.empty() ? "" : fmt::format(" ({})", kind),
                      show_count(bench_.rounds, "round"), show_count(bench_.tokens, "token")));
  }

  Measured ask(const lsp::Prompt& prompt) {
    lsp::GenerateOptions options;
    options.max_tokens = bench_.tokens;
    AskedBody asked = body_of_text(facts_, prompt, options, bench_.tokens);
    const auto begun = Clock::now();
    std::optional<Clock::time_point> first;
    AnswerChunk all;
    const auto setback =
        exchange(client_, address_, {address_.post_api(asked.path, asked.body), asked.form},
                 [&](AnswerChunk chunk) {
                   if (!first && chunk.pieces > 0) first = Clock::now();
                   all.add(std::move(chunk));
                 });
    if (setback) throw Error(setback->sentence);
    if (!first) throw Error(address_.place() + " answers with nothing");
    const std::int64_t tokens = all.usage ? all.usage->written_tokens : all.pieces;
    const Seconds writing = Clock::now() - *first;
    Measured measured;
    measured.first_token = Seconds(*first - begun).count();
    if (tokens > 1) measured.speed = static_cast<double>(tokens - 1) / writing.count();
    measured.cached = -1;
    if (!all.usage) return measured;
    measured.prompt = all.usage->prompt_tokens;
    if (all.usage->cached_tokens && measured.prompt > 0)
      measured.cached =
          static_cast<double>(*all.usage->cached_tokens) / static_cast<double>(measured.prompt);
    return measured;
  }

  json medians(const std::string& what, const std::vector<Measured>& all) const {
    const auto of = [&](double Measured::*member) {
      std::vector<double> values;
      for (const Measured& each : all) values.push_back(each.*member);
      return median(std::move(values));
    };
    const double first = of(&Measured::first_token);
    const double speed = of(&Measured::speed);
    const double cached = of(&Measured::cached);
    json result{{"firstTokenMs", 1000 * first}, {"promptTokens", all.back().prompt}};
    if (speed > 0) result["tokensPerSecond"] = speed;
    if (cached >= 0) result["cachedShare"] = cached;
    if (bench_.json) return result;
    print(fmt::format(
        "{:<15} first token {:>9}, then {}; {}\n", what,
        show_time(std::chrono::round<std::chrono::milliseconds>(Seconds(first))),
        speed > 0 ? show_speed(speed) : "too little to measure",
        cached < 0 ? "cached: not said" : fmt::format("{:.0f} % cached", 100 * cached)));
    return result;
  }

  const UrlBench& bench_;
  const InterruptFlag interrupt_;
  const ServerAddress address_;
  http::Client client_{{}, &interrupt_.flag()};
  ServerFacts facts_;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace

int bench_url(const UrlBench& bench) {
  return UrlRun(bench).run();
}

}  // namespace hearth::daemon
