// Merging of changes.
#include "daemon/jobs/batch.hpp"

namespace hearth::daemon {

void Batch::create(lsp::JobRecord record) {
  RecordChange& waiting = records[record.id];
  const bool replaces = waiting.removed;
  waiting = {};
  waiting.removed = replaces;
  waiting.created = std::move(record);
}

void Batch::change(lsp::JobId id, lsp::JobChange change) {
  RecordChange& waiting = records[id];
  if (waiting.created) {
    lsp::JobRecord& record = *waiting.created;
    if (change.request) record.request = std::move(*change.request);
    if (change.standing) record.standing = std::move(*change.standing);
    if (change.text) record.text = std::move(*change.text);
    if (change.tokens) record.tokens = std::move(*change.tokens);
    return;
  }
  if (waiting.removed) return;
  if (change.request) waiting.replaced.request = std::move(change.request);
  if (change.standing) waiting.replaced.standing = std::move(change.standing);
  if (change.text) {
    waiting.replaced.text = std::move(change.text);
    waiting.text.clear();
  }
  if (change.tokens) {
    waiting.replaced.tokens = std::move(change.tokens);
    waiting.tokens.clear();
  }
}

void Batch::append(lsp::JobId id, const std::string& text,
                   const std::vector<std::int32_t>& tokens) {
  RecordChange& waiting = records[id];
  if (waiting.removed && !waiting.created) return;
  std::string& all_text = waiting.created ? waiting.created->text : waiting.text;
  std::vector<std::int32_t>& all_tokens =
      waiting.created ? waiting.created->tokens : waiting.tokens;
  // Both or none, also where there is no memory for one of them.
  all_tokens.reserve(all_tokens.size() + tokens.size());
  all_text += text;
  all_tokens.insert(all_tokens.end(), tokens.begin(), tokens.end());
}

void Batch::remove(lsp::JobId id) {
  RecordChange& waiting = records[id];
  waiting = {};
  waiting.removed = true;
  removes = true;
}

}  // namespace hearth::daemon
