// Numbers, times and sizes as people read them, and colour where a terminal shows it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::daemon {

std::string show_bytes(double bytes);  // "22.3 MB"
std::string show_time(
    std::chrono::milliseconds time);        // "340 ms", "12.1 s", "3 min 20 s", "5 h 2 min"
std::string show_speed(double per_second);  // "118 tokens/s"
std::string show_count(std::int64_t count, std::string_view one);  // "1 token", "3 tokens"

// Columns of the terminal that stdout is, from 20 to 200; 80 where it is none.
std::size_t terminal_columns();
// The text with its lines broken at blanks so that none is longer than `columns` characters, where
// a word is not longer itself; what follows a break is indented by `indent` blanks.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent = 0);

// Escape sequences, or nothing where the output is no terminal, TERM is "dumb" or NO_COLOR is set.
class Style {
 public:
  explicit Style(int fd);
  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string yellow(std::string_view text) const { return wrap("33", text); }
  std::string cyan(std::string_view text) const { return wrap("36", text); }
  std::string ghost(std::string_view text) const { return wrap("3;90", text); }
  bool coloured() const { return coloured_; }

 private:
  std::string wrap(std::string_view code, std::string_view text) const;
  bool coloured_ = false;
};

// Text from elsewhere made safe to print: control characters but tabs and newlines are shown as ?.
std::string printable(std::string_view text);
// The same where it is a part of one line: tabs and whatever may be shown as a line's end too.
std::string on_one_line(std::string_view text);

}  // namespace hearth::daemon
