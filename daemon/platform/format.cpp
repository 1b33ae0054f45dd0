// For people's eyes.
#include "daemon/text_layout.hpp"

#include <unistd.h>

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

Style::Style(int fd) : coloured_(::isatty(fd) == 1 && std::getenv("NO_COLOR") == nullptr) {}

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

}  // namespace hearth::daemon
