// Takes lines out of files and asks for them.
#include "daemon/commands/fim_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "daemon/models/render.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t prefix_bytes = 2'000;
constexpr std::size_t suffix_bytes = 500;
constexpr std::size_t shortest_line = 8;  // bytes; without its indentation
constexpr std::size_t longest_line = 100;
constexpr std::int64_t longest_answer = 48;  // tokens

struct Line {
  std::string_view text;  // the file
  std::size_t begin = 0;
  std::size_t code = 0;  // behind the indentation
  std::size_t end = 0;
};

bool is_inside_character(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// Lines with something to know: not the first of a file, and with a word in them.
void add_lines(std::string_view text, std::vector<Line>& lines) {
  std::size_t begin = text.find('\n');
  while (begin != std::string_view::npos && ++begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    const std::size_t code = std::min(line.find_first_not_of(" \t\r"), line.size());
    const std::size_t size = line.find_last_not_of(" \t\r") + 1;
    const bool has_word = std::ranges::any_of(line, lsp::is_word_byte);
    if (has_word && size >= code + shortest_line && size <= code + longest_line)
      lines.push_back({text, begin, begin + code, begin + size});
    begin = end < text.size() ? end : std::string_view::npos;
  }
}

FimPlace place_in(const Line& line, bool in_the_middle) {
  std::size_t cursor = line.code + (in_the_middle ? (line.end - line.code) / 2 : 0);
  while (is_inside_character(line.text, cursor)) ++cursor;
  std::size_t from = std::min(cursor - std::min(cursor, prefix_bytes), line.begin);
  if (from > 0) from = line.text.find('\n', from - 1) + 1;  // a whole line's beginning
  std::size_t to = std::min(line.end + suffix_bytes, line.text.size());
  if (to < line.text.size()) to = std::max(line.text.rfind('\n', to), line.end);
  return {std::string(line.text.substr(from, cursor - from)),
          std::string(line.text.substr(cursor, line.end - cursor)),
          std::string(line.text.substr(line.end, to - line.end))};
}

// Empty: interrupted.
std::optional<std::string> complete(engine::Session& session, const engine::Profile& profile,
                                    const FimPlace& place, const std::atomic<bool>* interrupt) {
  lsp::Prompt prompt;
  prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
  prompt.prefix = {{place.prefix}};
  prompt.suffix = {{place.suffix}};
  lsp::GenerateOptions options;
  options.priority = lsp::Priority::inline_completion;
  options.max_tokens = longest_answer;
  options.stop_strings = {"\n"};
  const engine::Engine& engine = session.engine();
  const PromptReader reader(engine.tokenizer(), profile, engine.defaults(), engine.context());
  engine::Generation generation(session, make_request(reader, prompt, options));
  std::string text;
  auto progress = engine::Progress::more;
  while (progress == engine::Progress::more) {
    progress = generation.step(interrupt);
    text += generation.take_text();
  }
  if (progress == engine::Progress::interrupted) return std::nullopt;
  return text;
}

}  // namespace

std::vector<FimPlace> fim_places(const std::vector<std::string>& texts, std::size_t most) {
  std::vector<Line> lines;
  for (const std::string& text : texts) add_lines(text, lines);
  const std::size_t count = std::min(most, lines.size());
  std::vector<FimPlace> places;
  for (std::size_t i = 0; i < count; ++i)
    places.push_back(place_in(lines[i * lines.size() / count], i % 2 == 1));
  return places;
}

engine::FimOrder FimCounts::best(engine::FimOrder used) const {
  constexpr std::size_t chance = 1;
  engine::FimOrder best = used;
  for (const engine::FimOrder order : fim_orders) {
    const std::size_t than = best == used ? of(used) + chance : of(best);
    if (of(order) > than) best = order;
  }
  return best;
}

std::string FimCounts::show() const {
  constexpr std::array names{"prefix first", "suffix first", "as a chat turn"};
  std::string text;
  for (std::size_t i = 0; i < right.size(); ++i) {
    if (!right[i]) continue;
    text += text.empty() ? fmt::format("{} of {} lines right {}", *right[i], places, names[i])
                         : fmt::format(", {} {}", *right[i], names[i]);
  }
  return text;
}

std::optional<FimCounts> count_fim(const std::shared_ptr<engine::Runtime>& runtime,
                                   const std::vector<FimPlace>& places,
                                   const std::function<void(std::size_t, std::size_t)>& report,
                                   const std::atomic<bool>* interrupt) {
  engine::Session session(runtime);
  engine::Profile profile = runtime->engine().profile();
  const bool has_tokens = engine::has_fim_tokens(runtime->engine().tokenizer());
  FimCounts counts;
  counts.places = places.size();
  const std::size_t orders = has_tokens ? fim_orders.size() : 1;
  std::size_t done = 0;
  for (const engine::FimOrder order : fim_orders) {
    if (!has_tokens && order != engine::FimOrder::chat) continue;
    profile.fim_order = order;
    std::size_t right = 0;
    for (const FimPlace& place : places) {
      report(done++, orders * places.size());
      const auto text = complete(session, profile, place, interrupt);
      if (!text) return std::nullopt;
      if (text->substr(0, text->find_last_not_of(" \t\r") + 1) == place.missing) ++right;
    }
    counts.right[static_cast<std::size_t>(order)] = right;
  }
  return counts;
}

const char* fim_order_key(engine::FimOrder order) {
  switch (order) {
    case engine::FimOrder::prefix_first:
      return "prefix_first";
    case engine::FimOrder::suffix_first:
      return "suffix_first";
    case engine::FimOrder::chat:
      return "chat";
  }
  return "";
}

}  // namespace hearth::daemon
