// Numbers, sizes and speeds as a command's arguments: with their unit, within what can be meant.
#pragma once

#include <string>

namespace hearth::daemon {

// For CLI::Option::transform, on the way to a number: empty where the text became one, else what is
// wrong with it.
// Bytes of "28G", units of 1024. Without a unit, below 1 MiB and above 64 TiB it is wrong.
std::string to_bytes(std::string& text);
// Bytes or operations a second of "3.5G/s" (or "3.5G"), units of 1000. Without a unit, below 1M/s
// and above 900T/s it is wrong.
std::string to_rate(std::string& text);
// Such a speed as it would be written: "3.5G/s".
std::string show_rate(double rate);

// For CLI::Option::check: empty where the text is a whole number from 0 to 2^63, else what is
// wrong.
std::string whole_number(const std::string& text);

}  // namespace hearth::daemon
