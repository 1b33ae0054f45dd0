// Parses and prints sizes in units of 1024.
#include "daemon/platform/byte_count.hpp"

#include <cctype>
#include <charconv>

namespace hearth::daemon {
namespace {

constexpr std::string_view units = "KMGT";
constexpr double largest = 1e15;

}  // namespace

std::optional<std::uint64_t> parse_byte_count(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || value < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.ends_with("B")) unit.remove_suffix(1);
  if (unit.ends_with("i")) unit.remove_suffix(1);
  if (unit.size() > 1) return std::nullopt;
  if (!unit.empty()) {
    const std::size_t power =
        units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit.front()))));
    if (power == std::string_view::npos) return std::nullopt;
    value *= static_cast<double>(std::uint64_t{1} << (10 * (power + 1)));
  }
  if (!(value <= largest)) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

std::string show_byte_count(std::uint64_t bytes) {
  std::size_t power = 0;
  while (power < units.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++power;
  }
  std::string text = std::to_string(bytes);
  if (power > 0) text += units[power - 1];
  return text;
}

}  // namespace hearth::daemon
