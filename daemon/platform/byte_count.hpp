// Sizes as people write them: "6G", "512M", "1.5G", "4096". Units of 1024.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::daemon {

// A number and K, M, G or T, or nothing, behind it; "GB" and "GiB" are taken as "G". Empty: it is
// none, or too large.
std::optional<std::uint64_t> parse_byte_count(std::string_view text);
// The shortest that reads back the same: "512M".
std::string show_byte_count(std::uint64_t bytes);

}  // namespace hearth::daemon
