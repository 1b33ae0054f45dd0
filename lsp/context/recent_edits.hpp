// The lines that a person changed last in the documents of a session: where they are looking. What
// of them is shown is surroundings.cpp's.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

// For the Host's thread.
class RecentEdits {
 public:
  static constexpr std::size_t max_places = 8;
  // Of a larger change, a paste or a formatter's, only the beginning.
  static constexpr std::size_t max_lines = 5;

  // `edits` lead from `before` to `after`, one after another.
  void changed(const Snapshot& before, const Snapshot& after, std::span<const ByteEdit> edits);
  void closed(const std::string& uri);
  // As the lines are now; `open_document` may answer null.
  std::vector<RecentEdit> newest(
      const std::function<SnapshotPtr(const std::string& uri)>& open_document) const;

 private:
  struct Place {
    std::string uri;
    std::size_t first = 0;  // lines
    std::size_t last = 0;
  };
  std::deque<Place> places_;  // the newest first
};

}  // namespace hearth::lsp
