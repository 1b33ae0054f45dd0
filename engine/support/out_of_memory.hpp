// What is said where memory runs out. Inside the engine that is a std::bad_alloc, which leaves
// everything as it was; the face turns it into a sentence.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "engine/support/types.hpp"

namespace hearth::engine {

// `what` was being made: "a session's state".
inline Error out_of_memory(const std::string& what) {
  return Error("there is no memory for " + what +
               ". Close other programs, or give hearth less to keep: memory.experts, "
               "prefix_cache.ram, memory.scratch and model.context in its configuration.");
}

// A failure's text, for threads that have nobody to throw to; short where there is no memory for
// it, so that this takes none.
inline std::string text_of(const std::exception& failure) noexcept {
  try {
    if (dynamic_cast<const std::bad_alloc*>(&failure) == nullptr) return failure.what();
  } catch (const std::bad_alloc&) {
  }
  return "no memory";
}

}  // namespace hearth::engine
