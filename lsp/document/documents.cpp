// Opening, changing and closing documents.
#include "lsp/document/documents.hpp"

#include <memory>
#include <utility>

#include "lsp/document/piece_tree.hpp"

namespace hearth::lsp {
namespace {

// What is done in a millisecond or two.
constexpr std::size_t max_bytes_at_once = std::size_t{1} << 20;
constexpr std::size_t max_changes_at_once = 50;
// Many messages might make a text larger than any one of them could bring.
constexpr std::size_t max_document_bytes = std::size_t{1} << 30;

SnapshotPtr make_snapshot(std::string uri, std::string language_id, std::int64_t version,
                          std::shared_ptr<const Text> text) {
  return std::make_shared<const Snapshot>(
      Snapshot{std::move(uri), std::move(language_id), version, std::move(text)});
}

// Some clients do not count.
std::int64_t version_of(const Json& document, std::int64_t otherwise) {
  const Json* version = find(document, "version");
  return version != nullptr && version->is_number_integer() ? version->get<std::int64_t>()
                                                            : otherwise;
}

std::string take_string(Json& object, const char* name) {
  if (!member(object, name).is_string()) string_member(object, name);  // says what is wrong
  return std::move(object[name].get_ref<std::string&>());
}

bool is_whole_text(const Json& change) {
  return find(change, "range") == nullptr;
}

std::size_t written(const Text& text) {
  return text.str().size() + text.index_bytes();
}

}  // namespace

bool Documents::Update::takes_long() const {
  if (!before_) return message_["text"].get_ref<const std::string&>().size() > max_bytes_at_once;
  if (!message_.is_array()) return false;
  if (message_.size() > max_changes_at_once) return true;
  std::size_t bytes = before_->text->str().size();
  for (const Json& change : message_) {
    const Json* text = lsp::find(change, "text");
    if (text != nullptr && text->is_string()) bytes += text->get_ref<const std::string&>().size();
  }
  return bytes > max_bytes_at_once;
}

void Documents::Update::make() noexcept {
  try {
    before_ ? change() : open();
  } catch (const std::exception& error) {
    fault_ = error.what();
    made_ = {};
  }
  message_ = nullptr;  // here, as many small values take their time
}

void Documents::Update::open() {
  const auto text = std::make_shared<const Text>(take_string(message_, "text"));
  made_.copied = written(*text);
  made_.after = make_snapshot(uri_, language_id_, version_, text);
}

void Documents::Update::change() {
  if (!message_.is_array()) throw InvalidParams("\"contentChanges\" is not an array");
  std::shared_ptr<const Text> text = before_->text;
  // What comes before a whole text does not matter.
  std::size_t next = message_.size();
  while (next > 0 && !is_whole_text(message_[next - 1])) --next;
  if (next > 0) {
    const std::size_t old_size = text->str().size();
    text = std::make_shared<const Text>(take_string(message_[next - 1], "text"));
    made_.edits.push_back({Byte{0}, Byte{old_size}, Byte{text->str().size()}});
    made_.copied += written(*text);
  } else if (out_of_step_) {
    return;
  }
  const std::size_t left = message_.size() - next;
  if (left == 1) {
    const ByteRange range = text->bytes(range_member(message_[next], "range"), encoding_);
    const std::size_t old_size = text->str().size();
    text = std::make_shared<const Text>(text->edited(range, take_string(message_[next], "text")));
    made_.edits.push_back(
        {range.begin, range.end, Byte{range.end.value + text->str().size() - old_size}});
    made_.copied += written(*text);
  } else if (left > 1) {
    PieceTree pieces(*text, encoding_);
    for (; next < message_.size(); ++next) {
      const Range range = range_member(message_[next], "range");
      const ByteEdit edit = pieces.replace(range, take_string(message_[next], "text"));
      made_.copied += edit.new_end.value - edit.start.value;
      made_.edits.push_back(edit);
    }
    text = std::make_shared<const Text>(pieces.flattened());
    made_.copied += written(*text);
  }
  if (text->str().size() > max_document_bytes) throw InvalidParams("it grows beyond 1 GiB");
  made_.before = before_;
  made_.after = make_snapshot(uri_, language_id_, version_, text);
}

Documents::Update Documents::opening(Json& params) const {
  Json& document = params.is_object() ? params["textDocument"] : params;
  Update update;
  update.uri_ = document_uri(params);
  const Json* language = lsp::find(document, "languageId");
  if (language != nullptr && language->is_string()) update.language_id_ = *language;
  update.version_ = version_of(document, 0);
  string_member(document, "text");
  update.message_ = std::move(document);
  return update;
}

Documents::Update Documents::changing(Json& params) const {
  Update update;
  update.uri_ = document_uri(params);
  const Open& open = known(update.uri_);
  update.before_ = open.snapshot;
  update.language_id_ = open.snapshot->language_id;
  update.version_ = version_of(params["textDocument"], open.snapshot->version);
  update.encoding_ = encoding_;
  update.out_of_step_ = !open.fault.empty();
  update.message_ = std::move(params["contentChanges"]);
  return update;
}

Documents::Change Documents::finish(Update update) {
  if (!update.fault_.empty()) {
    if (!update.before_) open_.erase(update.uri_);
    lose_step(update.uri_, update.fault_);
    throw InvalidParams(update.uri_ + ": " + update.fault_, update.fault_);
  }
  if (update.made_.after) open_.insert_or_assign(update.uri_, Open{update.made_.after, {}, false});
  return std::move(update.made_);
}

SnapshotPtr Documents::open(Json params) {
  Update update = opening(params);
  update.make();
  return finish(std::move(update)).after;
}

Documents::Change Documents::change(Json params) {
  Update update = changing(params);
  update.make();
  return finish(std::move(update));
}

std::string Documents::close(const Json& params) {
  std::string uri = known(document_uri(params)).snapshot->uri;
  open_.erase(uri);
  return uri;
}

std::vector<std::string> Documents::lost(const Json& begun, const std::string& reason) {
  const Json* method = lsp::find(begun, "method");
  const bool changes = method != nullptr && *method == "textDocument/didChange";
  const bool opens = method != nullptr && *method == "textDocument/didOpen";
  const Json* uri = find_path(begun, {"params", "textDocument", "uri"});
  std::vector<std::string> uris;
  for (const auto& [known_uri, open] : open_) {
    // Where it cannot be told which document was to change, it may be any.
    const bool meant = uri == nullptr ? changes : *uri == known_uri && (changes || opens);
    if (meant) uris.push_back(known_uri);
  }
  for (const std::string& each : uris) lose_step(each, reason);
  return uris;
}

SnapshotPtr Documents::find(const std::string& uri) const {
  return out_of_step(uri) ? nullptr : last_known(uri);
}

SnapshotPtr Documents::last_known(const std::string& uri) const {
  const auto found = open_.find(uri);
  return found == open_.end() ? nullptr : found->second.snapshot;
}

bool Documents::out_of_step(const std::string& uri) const {
  const auto found = open_.find(uri);
  return found != open_.end() && !found->second.fault.empty();
}

SnapshotPtr Documents::required(const std::string& uri, Telling telling) const {
  const Open& open = known(uri);
  if (open.fault.empty()) return open.snapshot;
  const bool known_already = std::exchange(open.told, true);
  throw CannotServe("the text of " + uri + " is out of step with the editor's, as a change of it " +
                        "could not be applied (" + open.fault +
                        "): close the file and open it again",
                    known_already && telling == Telling::once);
}

const Documents::Open& Documents::known(const std::string& uri) const {
  const auto found = open_.find(uri);
  if (found == open_.end()) {
    throw InvalidParams("the document " + uri + " is not open", "the document is not open");
  }
  return found->second;
}

// The first reason is the one that helps.
void Documents::lose_step(const std::string& uri, std::string reason) {
  const auto found = open_.find(uri);
  if (found != open_.end() && found->second.fault.empty()) found->second.fault = std::move(reason);
}

}  // namespace hearth::lsp
