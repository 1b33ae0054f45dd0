// Shows a job's answer to clients without the hearth/* extension: as a virtual document hearth:/…
// that grows where the client asks for its content, else as a private file that is shown when it is
// whole, or in a message where the client shows no documents.
#pragma once

#include <optional>
#include <string>

#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/throttle.hpp"

namespace hearth::lsp {

class AnswerView {
 public:
  AnswerView(Session& session, JobId job);
  // The job's text grew: shown or written at once or within a second.
  void update() { refresh_.request(); }
  // The job ended: all of its text is with the client, or on its way, when this returns.
  void finish(const Job& job);
  // The session is going while the job runs: what there is goes to the file. Sends nothing.
  void close(const Job& job);

  // The virtual document of a textDocumentContent request. Throws InvalidParams.
  static std::string content(const Session& session, const std::string& uri);
  // The job whose document that is; 0: none.
  static JobId job_of(std::string_view uri);

 private:
  bool is_virtual() const;
  bool is_text(const Job& job) const;  // not edits alone
  void refresh();
  void refresh_document(const Job& job);
  // The file's URI; empty where it cannot be written, which is told once.
  std::string write(const Job& job, const std::string& text);
  std::string last_text(const Job& job, const std::string& note) const;
  void show(const std::string& uri, const Job& job);
  // In words: a short answer itself, and where a long one is.
  void tell_answer(const std::string& uri, const std::string& title, const std::string& text);
  void tell(int type, const std::string& text);

  Session& session_;
  JobId job_;
  bool shown_ = false;
  bool unwritable_ = false;  // no file can be written: the answer comes as a message
  Throttle refresh_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
