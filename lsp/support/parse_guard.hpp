// Which documents are being parsed, noted somewhere that outlives the process. Grammars are C code
// of other people's: where one ends the process over a document, the next process is not to try
// again. lsp knows only this interface; where the notes are is the process's.
#pragma once

#include <string>

namespace hearth::lsp {

// Thread-safe.
class ParseGuard {
 public:
  virtual ~ParseGuard() = default;
  // Called before a parse. False: a process ended in the middle of one of this document's.
  virtual bool begin(const std::string& uri) = 0;
  // Called after it, where begin() said true.
  virtual void end(const std::string& uri) = 0;
  // True once for each document that begin() refuses: its user is to be told.
  virtual bool is_news(const std::string& uri) = 0;
};

}  // namespace hearth::lsp
