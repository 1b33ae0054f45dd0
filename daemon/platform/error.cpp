// Error: appends the system's reason.
#include "daemon/platform/error.hpp"

#include <system_error>

namespace hearth::daemon {

Error system_error(std::string_view what, int code) {
  return Error(std::string(what) + ": " + std::generic_category().message(code));
}

}  // namespace hearth::daemon
