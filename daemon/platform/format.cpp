// Formats numbers, times, sizes and colours.
#include "daemon/platform/format.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace hearth::daemon {
namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

}  // namespace

std::string show_bytes(double bytes) {
  constexpr const char* units[] = {"B", "KB", "MB", "GB", "TB"};
  int unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return format(unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

std::string show_time(std::chrono::milliseconds time) {
  const long long ms = time.count();
  if (ms < 1000) return format("%lld ms", ms);
  if (ms < 60'000) return format("%.1f s", static_cast<double>(ms) / 1000);
  if (ms < 3'600'000) return format("%lld min %lld s", ms / 60'000, ms / 1000 % 60);
  return format("%lld h %lld min", ms / 3'600'000, ms / 60'000 % 60);
}

std::string show_speed(double per_second) {
  return format(per_second < 10 ? "%.2f tokens/s" : "%.0f tokens/s", per_second);
}

std::string show_count(std::int64_t count, std::string_view one) {
  return std::to_string(count) + " " + std::string(one) + (count == 1 ? "" : "s");
}

std::size_t terminal_columns() {
  constexpr std::size_t usual = 80;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
  return std::clamp<std::size_t>(size.ws_col, 20, 200);
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
  const auto width = [](std::string_view word) {  // characters, not bytes
    return static_cast<std::size_t>(std::ranges::count_if(
        word, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  };
  std::string out;
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    // A word with the blanks before it.
    const std::size_t begin = std::min(text.find_first_not_of(' ', at), text.size());
    const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::size_t taken = begin - at + width(text.substr(begin, end - begin));
    if (column > indent && column + taken > columns) {
      out += '\n' + std::string(indent, ' ');
      at = begin;
      column = indent;
    }
    out += text.substr(at, end - at);
    column += begin - at + width(text.substr(begin, end - begin));
    at = end;
    if (at < text.size() && text[at] == '\n') {
      out += '\n';
      column = 0;
      ++at;
    }
  }
  return out;
}

Style::Style(int fd) {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  coloured_ = !dumb && ::isatty(fd) == 1 && std::getenv("NO_COLOR") == nullptr;
}

std::string Style::wrap(std::string_view code, std::string_view text) const {
  if (!coloured_) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string printable(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    safe += control ? '?' : c;
  }
  return safe;
}

std::string on_one_line(std::string_view text) {
  std::string safe = printable(text);
  std::ranges::replace_if(
      safe, [](char c) { return c == '\n' || c == '\t'; }, '?');
  // U+0080 to U+009F, among them NEXT LINE and the terminal's control sequences; U+2028, U+2029.
  for (std::size_t at = 0; (at = safe.find('\xC2', at)) != std::string::npos; ++at) {
    if (at + 1 < safe.size() && static_cast<unsigned char>(safe[at + 1]) < 0xA0)
      safe.replace(at, 2, "?");
  }
  for (const char* separator : {"\xE2\x80\xA8", "\xE2\x80\xA9"}) {
    for (std::size_t at = 0; (at = safe.find(separator, at)) != std::string::npos; ++at)
      safe.replace(at, 3, "?");
  }
  return safe;
}

}  // namespace hearth::daemon
