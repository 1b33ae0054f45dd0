// The manual page, made of the list of commands and of the keys of the configuration.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace hearth::daemon {

// hearth(1), for man: every command with its options and examples.
std::string manual_page(const CLI::App& app);

}  // namespace hearth::daemon
