// The process's own errors: one clear sentence for people, which main prints behind "hearth: ".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace hearth::daemon {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A command was called in a wrong way; main exits with 2.
class CallError : public Error {
 public:
  using Error::Error;
};

// "WHAT: strerror(code)".
Error system_error(std::string_view what, int code);

}  // namespace hearth::daemon
