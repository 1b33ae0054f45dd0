// The table of keys, from which reading, checking and documentation all come.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/config.hpp"
#include "toml++/toml.h"

namespace hearth::daemon {

// What a key's value is refused with; the caller adds file, line and key.
struct RefusedValue {
  std::string reason;
};

struct Key {
  const char* section;
  const char* name;
  const char* meaning;
  std::function<void(Config&, const toml::node&)> read;  // throws RefusedValue
  std::function<std::string(const Config&)> show;        // as TOML
  std::function<void(const Config&, Config&)> copy;

  std::string full() const { return std::string(section) + "." + name; }
};

// In the order in which they are documented, by section.
const std::vector<Key>& keys();

}  // namespace hearth::daemon
