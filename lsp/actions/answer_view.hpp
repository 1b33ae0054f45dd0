// Shows a job's answer while it grows, for clients without the hearth/* extension: as a virtual
// document hearth:/… where the client asks for its content, else as a private file.
#pragma once

#include <string>

#include "lsp/lifetime.hpp"
#include "lsp/session.hpp"
#include "lsp/throttle.hpp"

namespace hearth::lsp {

class AnswerView {
 public:
  AnswerView(Session& session, JobId job);
  // The job's text grew, or the job ended: shown at once or within a second.
  void update() { refresh_.request(); }
  bool settled() const { return !refresh_.pending(); }

  // The virtual document of a textDocumentContent request. Throws InvalidParams.
  static std::string content(const Session& session, const std::string& uri);

 private:
  bool is_virtual() const;
  void refresh();
  void refresh_document(const Job& job);
  void rewrite_file(const Job& job);
  void show(const std::string& uri, const Job& job);
  void tell_where(const std::string& uri, const std::string& title);
  void tell(int type, const std::string& text);

  Session& session_;
  JobId job_;
  bool shown_ = false;
  bool unwritable_ = false;  // no file can be written: the answer comes as a message
  Throttle refresh_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
