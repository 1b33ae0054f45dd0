// What was sent to an editor that has not answered: was it made? Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/edit.hpp"

namespace hearth::lsp {

// An edit as it was sent: enough to tell later whether it was made.
struct SentEdit {
  std::string uri;
  std::string before;    // up to the edit: the end of what stands there
  std::string removed;   // what it takes the place of
  std::string inserted;  // what it puts there
  std::string after;     // behind it: the beginning of what stands there
  bool creates = false;  // the file, of which `inserted` is all
  bool operator==(const SentEdit&) const = default;
};

// All edits of one file, which are in its order, as one. `text`: the file, as they were made for
// it.
SentEdit sent_edit(std::string_view text, const FileEdit& edit);

enum class Fate : std::uint8_t {
  made,      // what they make stands there, once
  not_made,  // what they were made for stands there, once
  unknown,   // neither is certain
};
// `text`: the file now. One that is to be created and is not there was not made.
Fate fate_of(const SentEdit& edit, std::string_view text);
// Of edits that were sent together. `find` has the files as they are now; null: it is not there.
Fate fate_of(std::span<const SentEdit> edits,
             const std::function<SnapshotPtr(const std::string& uri)>& find);

}  // namespace hearth::lsp
