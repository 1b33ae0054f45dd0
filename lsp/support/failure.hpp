// What an exception says to people. Most say it themselves; where memory ran out, the library's own
// word is no sentence.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hearth::lsp {

inline constexpr const char* out_of_memory =
    "there was not enough memory for it: close other programs, or give hearth less under [memory] "
    "in its configuration";

inline constexpr const char* no_thread =
    "the system did not start another thread for it: there is no memory, or the limit of processes "
    "(`ulimit -u`) is reached";

inline std::string failure_text(const std::exception& failed) {
  // A length_error is a container that was asked for more than there can be.
  const bool memory = dynamic_cast<const std::bad_alloc*>(&failed) != nullptr ||
                      dynamic_cast<const std::length_error*>(&failed) != nullptr;
  if (memory) return out_of_memory;
  const auto* system = dynamic_cast<const std::system_error*>(&failed);
  const bool thread =
      system != nullptr && system->code() == std::errc::resource_unavailable_try_again;
  return thread ? no_thread : failed.what();
}

}  // namespace hearth::lsp
