// Changing one value in the text of a config.toml: everything else, comments too, stays as it is.
#pragma once

#include <string>
#include <string_view>

namespace hearth::daemon {

// `toml` with `section`.`key` set to the string `value`: in place of the value that it has, else in
// a line of its own behind the section's heading, else with a section at the end. Where the section
// is a string (model = "NAME"), that is the value. Throws Error
// where the text is no TOML, or the section is written in a way that has no room for a line.
std::string set_value(const std::string& toml, std::string_view section, std::string_view key,
                      std::string_view value);

}  // namespace hearth::daemon
