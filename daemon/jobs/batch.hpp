// Changes of jobs' records that wait for the disk, merged as they come: what waits never takes more
// memory than the records themselves.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lsp/jobs/store.hpp"

namespace hearth::daemon {

// To be done in this order.
struct RecordChange {
  bool removed = false;                   // what the file holds of it
  std::optional<lsp::JobRecord> created;  // with all later changes in it
  // Of the record that the file holds; nothing where one of the above is set.
  lsp::JobChange replaced;
  std::string text;  // appended
  std::vector<std::int32_t> tokens;
};

// Written in one transaction, so that the records' own order does not matter.
struct Batch {
  std::map<lsp::JobId, RecordChange> records;
  lsp::JobId reserved = 0;  // no id up to this one is given out again; 0: as it was
  // To be told: of changes, and of removals.
  std::vector<std::pair<lsp::JobId, lsp::JobStore::Done>> changed;
  std::vector<std::pair<lsp::JobId, lsp::JobStore::Done>> removed;
  bool removes = false;  // a record
  bool durable = false;  // it has to survive the machine's end

  bool empty() const {
    return records.empty() && reserved == 0 && changed.empty() && removed.empty();
  }
  void create(lsp::JobRecord record);
  void change(lsp::JobId id, lsp::JobChange change);
  void append(lsp::JobId id, const std::string& text, const std::vector<std::int32_t>& tokens);
  void remove(lsp::JobId id);
};

}  // namespace hearth::daemon
