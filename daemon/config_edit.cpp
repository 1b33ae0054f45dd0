// Finds the place with the parser's own line and column, and checks what came of it.
#include "daemon/config_edit.hpp"

#include <sstream>

#include "daemon/platform/error.hpp"
#include "toml++/toml.h"

namespace hearth::daemon {
namespace {

// A table where `toml` is one. Throws Error.
toml::table parse(std::string_view toml) {
  try {
    return toml::parse(toml);
  } catch (const toml::parse_error& error) {
    std::ostringstream reason;
    reason << "line " << error.source().begin.line << ": " << error.description();
    throw Error(reason.str());
  }
}

// The byte of a position, whose columns count characters.
std::size_t byte_of(std::string_view text, toml::source_position position) {
  std::size_t at = 0;
  for (toml::source_index line = 1; line < position.line; ++line) at = text.find('\n', at) + 1;
  const auto goes_on = [&] {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  for (toml::source_index column = 1; column < position.column; ++column) {
    ++at;
    while (goes_on()) ++at;
  }
  return at;
}

std::string quoted(std::string_view value) {
  const toml::value<std::string> node{std::string(value)};
  std::ostringstream text;
  text << toml::toml_formatter(node, toml::toml_formatter::default_flags &
                                         ~toml::format_flags::allow_literal_strings &
                                         ~toml::format_flags::allow_multi_line_strings);
  return text.str();
}

std::string line_end(const std::string& toml) {
  return toml.find("\r\n") == std::string::npos ? "\n" : "\r\n";
}

std::string edited(const std::string& toml, std::string_view section, std::string_view key,
                   const std::string& value) {
  const toml::table root = parse(toml);
  const std::string end = line_end(toml);
  const std::string line = std::string(key) + " = " + value + end;
  const toml::node* const node = root.get(section);
  if (node == nullptr) {
    const std::string gap = toml.empty() ? "" : toml.ends_with('\n') ? end : end + end;
    return toml + gap + "[" + std::string(section) + "]" + end + line;
  }
  if (node->is_string()) {  // model = "NAME": the one key of the section
    const std::size_t begin = byte_of(toml, node->source().begin);
    return std::string(toml).replace(begin, byte_of(toml, node->source().end) - begin, value);
  }
  if (!node->is_table()) throw Error(std::string(section) + " is no section");
  if (const toml::node* const old = node->as_table()->get(key)) {
    const std::size_t begin = byte_of(toml, old->source().begin);
    return std::string(toml).replace(begin, byte_of(toml, old->source().end) - begin, value);
  }
  const std::size_t heading = byte_of(toml, node->source().begin);
  if (node->as_table()->is_inline() || heading >= toml.size() || toml[heading] != '[') {
    throw Error(std::string(section) + " has no heading [" + std::string(section) + "] to add " +
                std::string(key) + " to");
  }
  const std::size_t next = toml.find('\n', heading);
  if (next == std::string::npos) return toml + end + line;
  return std::string(toml).insert(next + 1, line);
}

}  // namespace

std::string set_value(const std::string& toml, std::string_view section, std::string_view key,
                      std::string_view value) {
  std::string text = edited(toml, section, key, quoted(value));
  const toml::table root = parse(text);
  const auto set = root[section].is_string() ? root[section] : root[section][key];
  if (set.value<std::string>() != std::string(value)) {
    throw Error(std::string(section) + "." + std::string(key) + " cannot be changed in this file");
  }
  return text;
}

}  // namespace hearth::daemon
