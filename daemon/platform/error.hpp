// The process's own error: one clear sentence for people, which main prints behind "hearth: ".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace hearth::daemon {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "WHAT: strerror(code)".
Error system_error(std::string_view what, int code);

}  // namespace hearth::daemon
