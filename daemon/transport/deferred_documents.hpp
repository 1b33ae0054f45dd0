// The documents of an editor's session as the stdio proxy needs them: what was opened, and the
// messages that changed it since. Changes are applied when the text is asked for, which is when a
// daemon has gone, and not at every keystroke. What a change means is lsp/document's.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/documents.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {

// For one thread.
class DeferredDocuments {
 public:
  using Json = lsp::Json;

  // Of one document, the changes that are kept take at most as much memory as its text, within
  // these bounds; one more, and all of them are applied.
  static constexpr std::size_t min_kept_bytes = std::size_t{64} << 10;
  static constexpr std::size_t max_kept_bytes = std::size_t{4} << 20;

  explicit DeferredDocuments(lsp::Encoding encoding) : documents_(encoding) {}

  // These take the params of textDocument/didOpen, didChange and didClose, and throw InvalidParams.
  // `body` is the whole message that a change came in.
  void open(Json params);
  void change(Json params, std::string_view body);
  void close(const Json& params);
  // A message was lost: see Documents::lost().
  void lost(const Json& begun, const std::string& reason);

  // URIs of those that are open, in order.
  std::vector<std::string> uris() const;
  // With all changes applied.
  const lsp::Documents& current();
  // With those changes that were applied so far.
  const lsp::Documents& applied() const { return documents_; }
  std::size_t kept_bytes(const std::string& uri) const;

 private:
  struct Kept {
    std::vector<std::string> bodies;
    std::size_t bytes = 0;  // of all of them
  };
  void apply(const std::string& uri, Kept& kept);

  lsp::Documents documents_;
  std::map<std::string, Kept> kept_;  // of every open document, by URI
};

}  // namespace hearth::daemon
