// The engine's small value types: identifiers that do not mix, its error, and what a step of work
// came to.
#pragma once

#include <compare>
#include <cstdint>
#include <stdexcept>

namespace hearth::engine {

// What a caller can act on: names the file, field or value, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a session had computed is gone with a device; it can begin again.
class LostState : public Error {
 public:
  using Error::Error;
};

using TokenId = std::int32_t;  // what tensors and files hold; never mixed with counts below

struct LayerId {
  int value = 0;
  auto operator<=>(const LayerId&) const = default;
};

struct ExpertId {
  std::int32_t value = 0;
  auto operator<=>(const ExpertId&) const = default;
};

// What a step of work came to.
enum class Progress : std::uint8_t { more, done, interrupted };

}  // namespace hearth::engine
