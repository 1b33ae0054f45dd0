// Reading requests for inline completions.
#include "lsp/completion/inline_request.hpp"

#include <utility>

#include "lsp/protocol/constants.hpp"

namespace hearth::lsp {

// An array of two positions is how some language clients write their own ranges.
std::optional<Hint> read_hint(const Json& params) {
  const Json* item = find_path(params, {"context", "selectedCompletionInfo"});
  if (item == nullptr) return std::nullopt;
  try {
    const Json& range = member(*item, "range");
    std::string text = string_member(*item, "text");
    if (range.is_array() && range.size() != 2) return std::nullopt;
    const Range place = range.is_array() ? Range{range[0].get<Position>(), range[1].get<Position>()}
                                         : range.get<Range>();
    if (place.start.line != place.end.line) return std::nullopt;
    return Hint{std::move(text), place};
  } catch (const InvalidParams&) {
    return std::nullopt;
  }
}

bool is_automatic(const Json& params) {
  const Json* trigger = find_path(params, {"context", "triggerKind"});
  return trigger != nullptr && *trigger == inline_completion_trigger::automatic;
}

}  // namespace hearth::lsp
