// Reads numbers, sizes and speeds from arguments.
#include "daemon/commands/arguments.hpp"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>

#include "daemon/platform/byte_count.hpp"

namespace hearth::daemon {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t tebibyte = std::uint64_t{1} << 40;
constexpr std::string_view units = "KMGT";

// Empty: no number with a unit.
std::optional<std::uint64_t> with_unit(const std::string& text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text.back())) != 0) return {};
  return parse_byte_count(text);
}

}  // namespace

std::string to_bytes(std::string& text) {
  const auto bytes = with_unit(text);
  if (!bytes) return text + ": a size with its unit is expected, such as 28G";
  if (*bytes < mebibyte) return text + ": less than 1M cannot be meant";
  if (*bytes > 64 * tebibyte) return text + ": more than 64T cannot be meant";
  text = std::to_string(*bytes);
  return {};
}

std::string to_rate(std::string& text) {
  std::string_view number = text;
  if (number.ends_with("/s")) number.remove_suffix(2);
  const std::size_t unit = number.empty() ? units.npos : units.find(number.back());
  double rate = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), rate, std::chars_format::fixed);
  if (unit == units.npos || error != std::errc() || end != &number.back()) {
    return text + ": a speed with its unit is expected, such as 3.5G/s";
  }
  rate *= std::pow(1000.0, static_cast<double>(unit + 1));
  if (!(rate >= 1e6)) return text + ": less than 1M/s cannot be meant";
  if (rate > 9e14) return text + ": more than 900T/s cannot be meant";
  text = fmt::format("{}", rate);
  return {};
}

std::string show_rate(double rate) {
  std::size_t power = 0;
  while (power < units.size() && rate >= 1000) {
    rate /= 1000;
    ++power;
  }
  return fmt::format("{:.6g}{}/s", rate, power == 0 ? "" : units.substr(power - 1, 1));
}

std::string whole_number(const std::string& text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= 0) return "";
  return text + " is no whole number from 0 on";
}

}  // namespace hearth::daemon
