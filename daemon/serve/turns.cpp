// Turns by their places. Texts are compared whole: a hash that two conversations share would show
// one of them the other's thoughts.
#include "daemon/serve/turns.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

// 1, 1.0 and 1e0 are one number.
void unify_numbers(json& value) {
  if (value.is_structured()) {
    for (json& member : value) unify_numbers(member);
  } else if (value.is_number_float()) {
    constexpr double exact = 9e15;
    const double number = value.get<double>();
    if (std::abs(number) < exact && number == std::floor(number))
      value = static_cast<std::int64_t>(number);
  }
}

// Arguments whatever the order of their members, their blanks and the forms of their numbers.
std::string unified(const std::string& arguments) {
  json value = json::parse(arguments, nullptr, false);
  if (value.is_discarded()) return arguments;
  unify_numbers(value);
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// A text with its length before it, so that no two lists of texts join to the same.
void append(std::string& to, std::string_view text) {
  to += std::to_string(text.size());
  to += ':';
  to += text;
}

// What every client sends back of a message, in one form.
std::string seen_of(const lsp::Message& message) {
  std::string seen;
  append(seen, trimmed(lsp::text_of(message.segments)));
  for (const lsp::ToolCall& call : message.tool_calls) {
    append(seen, call.name);
    append(seen, unified(call.arguments));
  }
  return seen;
}

void append(std::string& since, const lsp::Message& message) {
  append(since, lsp::name(message.role));
  append(since, seen_of(message));
}

std::vector<std::string> ids_of(const lsp::Message& message) {
  std::vector<std::string> ids;
  for (const lsp::ToolCall& call : message.tool_calls) ids.push_back(call.id);
  return ids;
}

}  // namespace

std::size_t Turns::Turn::bytes() const {
  return sizeof(Turn) + place.since.size() + seen.size() + thought.size() +
         generated.size() * sizeof(std::int32_t);
}

Turns::Match Turns::find(lsp::Prompt& prompt) {
  Match match;
  for (const std::string& tool : prompt.tools) append(match.place.since, tool);
  for (lsp::Message& message : prompt.messages) {
    if (message.role != lsp::Role::assistant) {
      append(match.place.since, message);
      continue;
    }
    std::string why;
    const Turn* const turn = find(match.place, message, why);
    if (turn == nullptr) {
      if (match.first_missing.empty()) match.first_missing = why;
      append(match.place.since, message);
      if (message.thought) append(match.place.since, trimmed(*message.thought));
      continue;
    }
    message.generated = turn->generated;
    message.thinking = turn->thinking;
    match.place = {turn->id, {}};
    ++match.turns;
  }
  return match;
}

const Turns::Turn* Turns::find(const Place& place, const lsp::Message& message, std::string& why) {
  const std::string seen = seen_of(message);
  std::vector<std::list<Turn>::iterator> found;
  bool elsewhere = false;
  bool other_thought = false;
  for (auto turn = turns_.begin(); turn != turns_.end(); ++turn) {
    if (turn->seen != seen) continue;
    if (turn->place.turn != place.turn || turn->place.since != place.since) {
      elsewhere = true;
    } else if (message.thought && !trimmed(*message.thought).empty() &&
               trimmed(*message.thought) != turn->thought) {
      other_thought = true;
    } else {
      found.push_back(turn);
    }
  }
  if (found.size() > 1) {
    const auto ids = ids_of(message);
    const auto named = [&](const auto& turn) { return !ids.empty() && turn->call_ids == ids; };
    if (std::ranges::count_if(found, named) == 1) found = {*std::ranges::find_if(found, named)};
  }
  if (found.size() == 1) {
    turns_.splice(turns_.end(), turns_, found.front());
    return &turns_.back();
  }
  why = !found.empty()  ? "several answers look like it, and its thought is not sent"
        : other_thought ? "its thought is another one than was written"
        : elsewhere     ? "what is before it (such as the system message or the tools) has changed"
                        : "it was not written here, or not lately";
  return nullptr;
}

void Turns::remember(const Place& place, const lsp::Message& seen, std::optional<bool> thinking,
                     std::vector<std::int32_t> generated) {
  if (generated.empty()) return;
  Turn turn{
      ++last_,      place,    seen_of(seen),       std::string(trimmed(seen.thought.value_or(""))),
      ids_of(seen), thinking, std::move(generated)};
  for (auto other = turns_.begin(); other != turns_.end(); ++other) {
    const bool same = other->place.turn == place.turn && other->seen == turn.seen &&
                      other->thinking == thinking && other->generated == turn.generated &&
                      other->place.since == place.since;
    if (!same) continue;
    other->call_ids = std::move(turn.call_ids);
    turns_.splice(turns_.end(), turns_, other);
    return;
  }
  bytes_ += turn.bytes();
  turns_.push_back(std::move(turn));
  while (bytes_ > max_bytes_ && turns_.size() > 1) {
    bytes_ -= turns_.front().bytes();
    turns_.pop_front();
  }
}

void Turns::clear() {
  turns_.clear();
  bytes_ = 0;
}

}  // namespace hearth::daemon
