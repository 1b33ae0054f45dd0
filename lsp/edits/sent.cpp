// Looking for one of two texts.
#include "lsp/edits/sent.hpp"

#include <algorithm>
#include <cstddef>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// Two lines or so: what else is in the file may change meanwhile.
constexpr std::size_t max_surroundings = 200;

bool is_once(std::string_view text, const std::string& part) {
  const std::size_t found = text.find(part);
  return found != text.npos && text.find(part, found + 1) == text.npos;
}

}  // namespace

SentEdit sent_edit(std::string_view text, const FileEdit& edit) {
  if (edit.creates) return {edit.uri, {}, {}, edit.edits.front().text, {}, true};
  const std::size_t begin = edit.edits.front().range.begin.value;
  const std::size_t end = edit.edits.back().range.end.value;
  std::string inserted;
  std::size_t at = begin;
  for (const TextEdit& each : edit.edits) {
    inserted.append(text.substr(at, each.range.begin.value - at)).append(each.text);
    at = each.range.end.value;
  }
  const std::size_t from = character_start(text, begin - std::min(begin, max_surroundings));
  const std::size_t to = character_start(text, std::min(text.size(), end + max_surroundings));
  return {edit.uri,
          std::string(text.substr(from, begin - from)),
          std::string(text.substr(begin, end - begin)),
          std::move(inserted),
          std::string(text.substr(end, to - end)),
          false};
}

Fate fate_of(const SentEdit& edit, std::string_view text) {
  if (edit.creates) return text == edit.inserted ? Fate::made : Fate::unknown;
  const bool made = is_once(text, edit.before + edit.inserted + edit.after);
  const bool not_made = is_once(text, edit.before + edit.removed + edit.after);
  if (made == not_made) return Fate::unknown;
  return made ? Fate::made : Fate::not_made;
}

Fate fate_of(std::span<const SentEdit> edits,
             const std::function<SnapshotPtr(const std::string& uri)>& find) {
  const auto has = [&find](Fate fate) {
    return [&find, fate](const SentEdit& edit) {
      const SnapshotPtr now = find(edit.uri);
      if (now == nullptr && edit.creates) return fate == Fate::not_made;
      return now != nullptr && fate_of(edit, now->text->str()) == fate;
    };
  };
  if (std::ranges::all_of(edits, has(Fate::made))) return Fate::made;
  return std::ranges::all_of(edits, has(Fate::not_made)) ? Fate::not_made : Fate::unknown;
}

}  // namespace hearth::lsp
