// Places move with what is inserted above them.
#include "lsp/context/recent_edits.hpp"

#include <algorithm>
#include <utility>

#include "lsp/context/parts.hpp"

namespace hearth::lsp {

void RecentEdits::changed(const Snapshot& before, const Snapshot& after,
                          std::span<const ByteEdit> edits) {
  if (edits.empty()) return;
  const Text& text = *after.text;
  const Byte end{text.str().size()};
  const ByteEdit& last = edits.back();
  Place place{after.uri, text.line_of(std::min(last.start, end)),
              text.line_of(std::min(last.new_end, end))};
  const auto added =
      static_cast<std::ptrdiff_t>(text.lines()) - static_cast<std::ptrdiff_t>(before.text->lines());
  for (Place& other : places_) {
    if (other.uri != after.uri || other.first <= place.first) continue;
    const auto moved = [&](std::size_t line) {
      return static_cast<std::size_t>(
          std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(line) + added, 0));
    };
    other = {other.uri, moved(other.first), moved(other.last)};
  }
  // Typing goes on where it was; one line beside counts as the same place.
  std::erase_if(places_, [&](const Place& other) {
    const bool near =
        other.uri == place.uri && other.first <= place.last + 1 && place.first <= other.last + 1;
    if (!near) return false;
    place.first = std::min(place.first, other.first);
    place.last = std::max(place.last, other.last);
    return true;
  });
  places_.push_front(std::move(place));
  if (places_.size() > max_places) places_.pop_back();
}

void RecentEdits::closed(const std::string& uri) {
  std::erase_if(places_, [&](const Place& place) { return place.uri == uri; });
}

std::vector<RecentEdit> RecentEdits::newest(
    const std::function<SnapshotPtr(const std::string& uri)>& open_document) const {
  std::vector<RecentEdit> edits;
  for (const Place& place : places_) {
    const SnapshotPtr document = open_document(place.uri);
    if (!document || place.first >= document->text->lines()) continue;
    const Text& text = *document->text;
    const std::size_t last = std::min({place.last, place.first + max_lines - 1, text.lines() - 1});
    edits.push_back(
        {place.uri, place.first,
         with_newlines(text, {text.line_range(place.first).begin, text.line_end(last)}) + "\n"});
  }
  return edits;
}

}  // namespace hearth::lsp
