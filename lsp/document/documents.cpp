// Opening, changing and closing documents.
#include "lsp/documents.hpp"

#include <utility>

namespace hearth::lsp {
namespace {

SnapshotPtr make_snapshot(std::string uri, std::string language_id, std::int64_t version,
                          std::shared_ptr<const Text> text) {
  return std::make_shared<const Snapshot>(
      Snapshot{std::move(uri), std::move(language_id), version, std::move(text)});
}

// What one element of contentChanges does to `text`; without a range it replaces everything.
ByteEdit apply(const Json& change, Encoding encoding, std::shared_ptr<const Text>& text) {
  const std::string replacement = string_member(change, "text");
  if (find(change, "range") == nullptr) {
    const std::size_t old_size = text->str().size();
    text = std::make_shared<const Text>(replacement);
    return {Byte{0}, Byte{old_size}, Byte{text->str().size()}};
  }
  const ByteRange range = text->bytes(range_member(change, "range"), encoding);
  const std::size_t old_size = text->str().size();
  text = std::make_shared<const Text>(text->edited(range, replacement));
  return {range.begin, range.end, Byte{range.end.value + text->str().size() - old_size}};
}

}  // namespace

SnapshotPtr Documents::open(const Json& params) {
  const Json& document = member(params, "textDocument");
  auto snapshot =
      make_snapshot(string_member(document, "uri"), string_member(document, "languageId"),
                    integer_member(document, "version"),
                    std::make_shared<const Text>(string_member(document, "text")));
  open_.insert_or_assign(snapshot->uri, snapshot);
  return snapshot;
}

Documents::Change Documents::change(const Json& params) {
  const SnapshotPtr before = required(document_uri(params));
  Change change{before, nullptr, {}};
  std::shared_ptr<const Text> text = before->text;
  for (const Json& one : array_member(params, "contentChanges"))
    change.edits.push_back(apply(one, encoding_, text));
  change.after = make_snapshot(before->uri, before->language_id,
                               integer_member(member(params, "textDocument"), "version"), text);
  open_.insert_or_assign(before->uri, change.after);
  return change;
}

std::string Documents::close(const Json& params) {
  std::string uri = required(document_uri(params))->uri;
  open_.erase(uri);
  return uri;
}

SnapshotPtr Documents::find(const std::string& uri) const {
  const auto found = open_.find(uri);
  return found == open_.end() ? nullptr : found->second;
}

SnapshotPtr Documents::required(const std::string& uri) const {
  SnapshotPtr snapshot = find(uri);
  if (!snapshot) throw InvalidParams("the document " + uri + " is not open");
  return snapshot;
}

}  // namespace hearth::lsp
