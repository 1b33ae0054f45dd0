// A state for each place in a call; what may be the beginning of a tag is held back.
#include "daemon/serve/tool_calls.hpp"
#include "lsp/protocol/json_text.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace hearth::daemon {
namespace {

using lsp::dump;
using nlohmann::json;

constexpr std::string_view blanks = " \t\r\n";
constexpr std::string_view function_tag = "<function=";
constexpr std::string_view parameter_tag = "<parameter=";
constexpr std::string_view end_of_function = "</function>";
constexpr std::string_view end_of_parameter = "</parameter>";

// How many bytes at the end of `text` may be the beginning of `tag`.
std::size_t partial(std::string_view text, std::string_view tag) {
  for (std::size_t length = std::min(text.size(), tag.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == tag.substr(0, length)) return length;
  }
  return 0;
}

std::string_view without_blanks_before(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text;
}

// Whether `text` may become something that begins with `tag`.
bool may_become(std::string_view text, std::string_view tag) {
  return tag.starts_with(text.substr(0, tag.size()));
}

// Where a reference leads; null: nowhere in this schema.
const json* referred(const json& name, const json& root) {
  if (!name.is_string() || !name.get_ref<const std::string&>().starts_with('#')) return nullptr;
  try {
    const json::json_pointer path(name.get_ref<const std::string&>().substr(1));
    return root.contains(path) ? &root.at(path) : nullptr;
  } catch (const json::exception&) {
    return nullptr;  // no path
  }
}

// Without the line breaks that the template puts around a value.
std::string value_text(std::string_view text) {
  if (text.starts_with('\n')) text.remove_prefix(1);
  if (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text);
}

}  // namespace

std::vector<ToolEvent> ToolCallParser::push(std::string_view text) {
  std::vector<ToolEvent> events;
  held_ += text;
  while (step(events, false)) continue;
  return events;
}

std::vector<ToolEvent> ToolCallParser::finish() {
  std::vector<ToolEvent> events;
  while (step(events, true)) continue;
  return events;
}

// False: nothing more can be decided.
bool ToolCallParser::step(std::vector<ToolEvent>& events, bool at_end) {
  switch (state_) {
    case State::text:
      return take_text(events, at_end);
    case State::opened:
      return take_function(events, at_end);
    case State::parameters:
      return take_parameter(events, at_end);
    case State::closed:
      return take_closing(at_end);
  }
  return false;
}

// Blanks before a call belong to no text: they are said once more text follows.
bool ToolCallParser::take_text(std::vector<ToolEvent>& events, bool at_end) {
  const auto say = [&](std::size_t count) {
    if (count == 0) return;
    events.push_back({ToolEvent::Kind::text, held_.substr(0, count)});
    held_.erase(0, count);
    any_text_ = true;
  };
  const std::size_t first = held_.find_first_not_of(blanks);
  const bool only_text =
      either_ && calls_ == 0 && (any_text_ || (first != std::string::npos && held_[first] != '<'));
  if (tools_.empty() || only_text) {
    say(held_.size());
    return false;
  }
  const std::size_t tag = held_.find(opening);
  if (tag != std::string::npos) {
    const std::size_t last = std::string_view(held_).substr(0, tag).find_last_not_of(blanks);
    const std::size_t shown = last == std::string::npos ? 0 : last + 1;
    say(shown);
    held_.erase(0, tag - shown + opening.size());
    state_ = State::opened;
    return true;
  }
  if (at_end) {
    if (calls_ == 0 || held_.find_first_not_of(blanks) != std::string::npos) say(held_.size());
    held_.clear();
    return false;
  }
  const std::size_t certain = held_.size() - partial(held_, opening);
  const std::size_t last = std::string_view(held_).substr(0, certain).find_last_not_of(blanks);
  say(last == std::string::npos ? 0 : last + 1);
  return false;
}

bool ToolCallParser::take_function(std::vector<ToolEvent>& events, bool at_end) {
  const std::string_view rest = without_blanks_before(held_);
  const std::size_t end = rest.find('>');
  if (rest.starts_with(function_tag) && end != rest.npos) {
    function_ = rest.substr(function_tag.size(), end - function_tag.size());
    events.push_back({ToolEvent::Kind::call, function_});
    held_.erase(0, held_.size() - rest.size() + end + 1);
    ++calls_;
    any_parameter_ = false;
    state_ = State::parameters;
    return true;
  }
  if (may_become(rest, function_tag) && !at_end) return false;
  if (rest.starts_with(function_tag)) {  // cut off in the name
    held_.clear();
    return false;
  }
  // No call of a kind that is known: it stays the text that it is.
  events.push_back({ToolEvent::Kind::text, std::string(opening) + held_});
  held_.clear();
  any_text_ = true;
  state_ = State::text;
  return false;
}

bool ToolCallParser::take_parameter(std::vector<ToolEvent>& events, bool at_end) {
  const std::string_view rest = without_blanks_before(held_);
  if (rest.starts_with(end_of_function)) {
    held_.erase(0, held_.size() - rest.size() + end_of_function.size());
    events.push_back({ToolEvent::Kind::arguments, any_parameter_ ? "}" : "{}"});
    state_ = State::closed;
    return true;
  }
  if (!rest.starts_with(parameter_tag)) {
    if (at_end) held_.clear();
    if (at_end || may_become(rest, end_of_function) || may_become(rest, parameter_tag))
      return false;
    // What is between parameters is none of them.
    const std::size_t skipped = held_.size() - rest.size() + 1;
    held_.erase(0, std::min(held_.find('<', skipped), held_.size()));
    return !held_.empty();
  }
  const std::size_t name_end = rest.find('>');
  std::string name;
  std::size_t end = rest.npos;
  if (name_end != rest.npos) {
    name = rest.substr(parameter_tag.size(), name_end - parameter_tag.size());
    end = end_of_value(name, rest, name_end + 1, at_end);
  }
  if (end == rest.npos) {
    if (at_end) held_.clear();
    return false;
  }
  const std::string text = value_text(rest.substr(name_end + 1, end - name_end - 1));
  events.push_back({ToolEvent::Kind::arguments,
                    (any_parameter_ ? ", " : "{") + dump(name) + ": " + value_of(name, text)});
  any_parameter_ = true;
  held_.erase(0, held_.size() - rest.size() + end + end_of_parameter.size());
  return true;
}

// Where the value's closing tag is: the first, but that it may stand in a text inside of JSON.
std::size_t ToolCallParser::end_of_value(const std::string& parameter, std::string_view text,
                                         std::size_t begin, bool at_end) const {
  const std::size_t first = text.find(end_of_parameter, begin);
  if (is_text(allowed_for(parameter))) return first;
  for (std::size_t at = first; at != text.npos; at = text.find(end_of_parameter, at + 1)) {
    const std::string_view value = text.substr(begin, at - begin);
    if (value.ends_with('\n') || json::accept(value)) return at;
  }
  return at_end ? first : text.npos;
}

bool ToolCallParser::take_closing(bool at_end) {
  const std::string_view rest = without_blanks_before(held_);
  if (may_become(rest, closing) && rest.size() < closing.size() && !at_end) return false;
  held_.erase(0, held_.size() - rest.size() + (rest.starts_with(closing) ? closing.size() : 0));
  state_ = State::text;
  return true;
}

void ToolCallParser::add_allowed(const json& schema, const json& root, Allowed& allowed,
                                 int depth) {
  if (!schema.is_object() || depth > 8) return;
  if (const auto name = schema.find("$ref"); name != schema.end()) {
    if (const json* to = referred(*name, root)) add_allowed(*to, root, allowed, depth + 1);
    return;
  }
  if (const auto one = schema.find("const"); one != schema.end()) allowed.values.push_back(*one);
  if (const auto all = schema.find("enum"); all != schema.end() && all->is_array())
    allowed.values.insert(allowed.values.end(), all->begin(), all->end());
  std::set<std::string>& types = allowed.types;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) types.insert(type->get<std::string>());
    if (type->is_array()) {
      for (const json& each : *type) {
        if (each.is_string()) types.insert(each.get<std::string>());
      }
    }
  }
  for (const char* choices : {"anyOf", "oneOf"}) {
    const auto found = schema.find(choices);
    if (found == schema.end() || !found->is_array()) continue;
    for (const json& each : *found) add_allowed(each, root, allowed, depth + 1);
  }
}

// Where the schema allows no other type, or does not say.
bool ToolCallParser::is_text(const Allowed& allowed) {
  return allowed.types.empty() || allowed.types.contains("string");
}

ToolCallParser::Allowed ToolCallParser::allowed_for(const std::string& parameter) const {
  Allowed allowed;
  for (const Tool& tool : tools_) {
    if (tool.name != function_ || !tool.parameters.is_object()) continue;
    const auto properties = tool.parameters.find("properties");
    if (properties == tool.parameters.end() || !properties->is_object()) continue;
    const auto schema = properties->find(parameter);
    if (schema != properties->end()) add_allowed(*schema, tool.parameters, allowed);
  }
  return allowed;
}

// As JSON: a value of those that the schema names, else a text where it may be one.
std::string ToolCallParser::value_of(const std::string& parameter, const std::string& text) const {
  const Allowed allowed = allowed_for(parameter);
  for (const json& value : allowed.values) {
    if (text == (value.is_string() ? value.get<std::string>() : dump(value))) return dump(value);
  }
  const std::set<std::string>& types = allowed.types;
  if (types.contains("null") && text == "null") return "null";
  if (is_text(allowed)) return dump(text);
  if (types.contains("boolean") && (text == "True" || text == "False"))
    return text == "True" ? "true" : "false";
  const json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? dump(text) : text;
}

}  // namespace hearth::daemon
