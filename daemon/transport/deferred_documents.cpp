// Keeping changes, and applying many as one.
#include "daemon/transport/deferred_documents.hpp"

#include <algorithm>
#include <utility>

#include "lsp/protocol/json_text.hpp"

namespace hearth::daemon {
namespace {

// Adds a kept message's changes to those of `merged`, whose version becomes the message's.
void merge(std::string body, lsp::Json& merged) {
  lsp::Json params = std::move(lsp::parse_json(body)["params"]);
  lsp::Json& version = params["textDocument"]["version"];
  if (version.is_number_integer()) merged["textDocument"]["version"] = std::move(version);
  for (lsp::Json& change : params["contentChanges"]) {
    merged["contentChanges"].push_back(std::move(change));
  }
}

}  // namespace

void DeferredDocuments::open(Json params) {
  const std::string uri = documents_.open(std::move(params))->uri;
  kept_.insert_or_assign(uri, Kept{});
}

void DeferredDocuments::change(Json params, std::string_view body) {
  const std::string uri = lsp::document_uri(params);
  const lsp::SnapshotPtr text = documents_.last_known(uri);
  const lsp::Json* changes = lsp::find(params, "contentChanges");
  if (text == nullptr || changes == nullptr || !changes->is_array()) {
    if (const auto found = kept_.find(uri); found != kept_.end()) apply(uri, found->second);
    documents_.change(std::move(params));  // says what is wrong
    return;
  }
  Kept& kept = kept_[uri];
  const std::size_t max = std::clamp(text->text->str().size(), min_kept_bytes, max_kept_bytes);
  if (body.size() > max) {
    apply(uri, kept);
    documents_.change(std::move(params));
    return;
  }
  kept.bodies.emplace_back(body);
  kept.bytes += body.size();
  if (kept.bytes > max) apply(uri, kept);
}

void DeferredDocuments::close(const Json& params) {
  kept_.erase(documents_.close(params));
}

void DeferredDocuments::lost(const Json& begun, const std::string& reason) {
  current();
  documents_.lost(begun, reason);
}

std::vector<std::string> DeferredDocuments::uris() const {
  std::vector<std::string> uris;
  for (const auto& [uri, kept] : kept_) {
    if (documents_.last_known(uri) != nullptr)
      uris.push_back(uri);  // null: opening it again failed
  }
  return uris;
}

const lsp::Documents& DeferredDocuments::current() {
  for (auto& [uri, kept] : kept_) apply(uri, kept);
  return documents_;
}

std::size_t DeferredDocuments::kept_bytes(const std::string& uri) const {
  const auto found = kept_.find(uri);
  return found == kept_.end() ? 0 : found->second.bytes;
}

// As one message: a list of many changes costs one copy of the text, however many they are. One
// that cannot be applied leaves the document out of step, as it would have on its own.
void DeferredDocuments::apply(const std::string& uri, Kept& kept) {
  if (kept.bodies.empty()) return;
  Json merged{{"textDocument", {{"uri", uri}}}, {"contentChanges", Json::array()}};
  for (std::string& body : std::exchange(kept, {}).bodies) merge(std::move(body), merged);
  try {
    documents_.change(std::move(merged));
  } catch (const lsp::InvalidParams&) {
    // The daemon saw the same message and logged what is wrong with it.
  }
}

}  // namespace hearth::daemon
