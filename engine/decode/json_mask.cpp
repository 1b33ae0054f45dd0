// Walks the sorted vocabulary with a cursor for each length of what neighbours share.
#include "engine/decode/json_mask.hpp"

#include <algorithm>
#include <cmath>

namespace hearth::engine {
namespace {

// What is none would come out as another.
bool is_whole(std::string_view bytes) {
  Utf8Stream stream;
  return stream.push(bytes) == bytes;
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

}  // namespace

SortedVocabulary::SortedVocabulary(const Tokenizer& tokenizer) {
  for (std::size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    const std::string_view bytes = tokenizer.bytes(token);
    if (bytes.empty() || tokenizer.is_special(token)) continue;
    const bool whole = is_whole(bytes);
    entries_.push_back({.bytes = bytes,
                        .id = token,
                        .plain = whole && std::ranges::none_of(bytes, needs_escape),
                        .open = whole && bytes.find('<') == std::string_view::npos});
  }
  std::ranges::sort(entries_, {}, [](const Entry& entry) { return entry.bytes; });
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    const auto parting = std::ranges::mismatch(entries_[i - 1].bytes, entries_[i].bytes).in2;
    entries_[i].shared = static_cast<std::uint32_t>(parting - entries_[i].bytes.begin());
  }
}

void JsonMask::mask(std::span<float> logits, std::span<const TokenId> stops) const {
  std::vector<bool> allowed(logits.size());
  const auto allow = [&allowed](TokenId id) {
    if (static_cast<std::size_t>(id) < allowed.size()) allowed[static_cast<std::size_t>(id)] = true;
  };
  // cursors[n]: behind the first n bytes of the present entry; `dead`: of these none is.
  std::vector<JsonCursor> cursors{cursor_};
  std::size_t known = 0;
  std::size_t dead = std::string_view::npos;
  const bool in_text = cursor_.in_text();
  const bool in_free_text = cursor_.in_free_text();
  for (const SortedVocabulary::Entry& entry : vocabulary_->entries()) {
    known = std::min<std::size_t>(known, entry.shared);
    if (entry.shared < dead) dead = std::string_view::npos;
    if ((in_text && entry.plain) || (in_free_text && entry.open)) {
      allow(entry.id);
      continue;
    }
    if (dead != std::string_view::npos) continue;
    while (known < entry.bytes.size()) {
      JsonCursor next = cursors[known];
      if (!next.push(static_cast<unsigned char>(entry.bytes[known]))) {
        dead = known + 1;
        break;
      }
      ++known;
      if (cursors.size() <= known)
        cursors.push_back(std::move(next));
      else
        cursors[known] = std::move(next);
    }
    if (known == entry.bytes.size()) allow(entry.id);
  }
  if (cursor_.complete()) {
    for (const TokenId stop : stops) allow(stop);
  }
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!allowed[id]) logits[id] = -INFINITY;
  }
}

void JsonMask::accept(std::string_view bytes) {
  if (!cursor_.push(bytes)) throw Error("the answer is not of the JSON form that it is bound to");
}

}  // namespace hearth::engine
