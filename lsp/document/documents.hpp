// The documents that a client has open. Each version is an immutable snapshot; what is built on
// them (trees, completions) is told of changes by whoever calls finish().
//
// A change that cannot be applied leaves its document out of step with the editor: nothing can be
// said of it until the client opens it again, or sends all of its text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/protocol/json.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

class Documents {
 public:
  explicit Documents(Encoding encoding) : encoding_(encoding) {}

  struct Change {
    SnapshotPtr before;           // null: it was opened
    SnapshotPtr after;            // null: nothing came of it, as the document is out of step
    std::vector<ByteEdit> edits;  // lead from before to after, one after another
    std::size_t copied = 0;       // bytes of text and line index that were written for it
  };

  // An opening or a change: read from its message, not made yet.
  class Update {
   public:
    const std::string& uri() const { return uri_; }
    // Whether make() should not run on a thread that others wait for.
    bool takes_long() const;
    // What takes long. Once, on any thread; touches nothing of Documents.
    void make() noexcept;

   private:
    friend class Documents;
    void open();
    void change();

    std::string uri_;
    std::string language_id_;
    std::int64_t version_ = 0;
    Encoding encoding_ = Encoding::utf16;
    SnapshotPtr before_;        // null: it is opened
    bool out_of_step_ = false;  // so only a whole text helps
    Json message_;              // TextDocumentItem, or contentChanges
    Change made_;
    std::string fault_;
  };

  // These take the params of textDocument/didOpen and didChange, and what is large out of them.
  // They throw InvalidParams.
  Update opening(Json& params) const;
  Update changing(Json& params) const;
  // Takes note of what was made. No other update of the document may have come in between. Throws
  // InvalidParams where it could not be made.
  Change finish(Update update);
  // All of it at once.
  SnapshotPtr open(Json params);
  Change change(Json params);
  std::string close(const Json& params);  // the URI

  // A message was lost; `begun` is what could be read of it. If it may have changed documents, they
  // are out of step. Returns their URIs.
  std::vector<std::string> lost(const Json& begun, const std::string& reason);

  SnapshotPtr find(const std::string& uri) const;  // null: not open, or out of step
  // As it was last; also where it is out of step.
  SnapshotPtr last_known(const std::string& uri) const;
  bool out_of_step(const std::string& uri) const;
  // Throws InvalidParams where the document is not open, CannotServe where it is out of step: the
  // person is told of it once, or `always` where it is they who ask.
  enum class Telling { once, always };
  SnapshotPtr required(const std::string& uri, Telling telling = Telling::once) const;
  Encoding encoding() const { return encoding_; }

 private:
  struct Open {
    SnapshotPtr snapshot;
    std::string fault;  // why it is out of step; empty: it is not
    mutable bool told = false;
  };

  const Open& known(const std::string& uri) const;
  void lose_step(const std::string& uri, std::string reason);

  Encoding encoding_;
  std::map<std::string, Open, std::less<>> open_;
};

}  // namespace hearth::lsp
