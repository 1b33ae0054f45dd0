// How well a checkpoint completes code in the middle of a file, measured on a person's own files:
// lines are taken out and asked for, in each way in which a completion can be asked for.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::daemon {

// A place in a file where the rest of a line is missing.
struct FimPlace {
  std::string prefix;
  std::string missing;  // without blanks at its end
  std::string suffix;   // from the line's end on
};

// At most `most` of them, spread over all the texts; always the same ones. Half begin where their
// line does, behind its indentation, half in its middle.
std::vector<FimPlace> fim_places(const std::vector<std::string>& texts, std::size_t most);

inline constexpr std::array fim_orders{engine::FimOrder::prefix_first,
                                       engine::FimOrder::suffix_first, engine::FimOrder::chat};

struct FimCounts {
  std::size_t places = 0;
  std::array<std::optional<std::size_t>, fim_orders.size()> right{};  // empty: has no tokens for it

  std::size_t of(engine::FimOrder order) const {
    return right[static_cast<std::size_t>(order)].value_or(0);
  }
  // The one with the most right ones; `used` unless another has two more.
  engine::FimOrder best(engine::FimOrder used) const;
  // "7 of 12 lines right prefix first, 9 suffix first, 4 as a chat turn"
  std::string show() const;
};

// `report` is called before each completion with how many are done, and how many there are. Empty:
// interrupted. Throws engine::Error.
std::optional<FimCounts> count_fim(const std::shared_ptr<engine::Runtime>& runtime,
                                   const std::vector<FimPlace>& places,
                                   const std::function<void(std::size_t, std::size_t)>& report,
                                   const std::atomic<bool>* interrupt);

// As hearth.json has it: "prefix_first".
const char* fim_order_key(engine::FimOrder order);

}  // namespace hearth::daemon
