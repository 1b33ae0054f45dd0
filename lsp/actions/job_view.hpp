// One job as one session shows it: hearth/* messages for clients with the extension, a document or
// file for the others, standard progress where it is supported, an error at most once, and the
// edits that come of it.
#pragma once

#include <optional>
#include <string_view>

#include "lsp/actions/answer_view.hpp"
#include "lsp/jobs/progress.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/throttle.hpp"

namespace hearth::lsp {

class JobView {
 public:
  // Shows the job's first state at once. `range`: where it was asked for.
  JobView(Session& session, const Job& job, Range range);

  // The job's listener.
  void update(const Job& job, std::string_view delta);
  // The session is going: keeps what is written so far. Sends nothing.
  void close();
  // The job ended and all of it is shown.
  bool settled() const { return ended(state_); }

 private:
  void report();

  Session& session_;
  JobId job_;
  Range range_;
  JobState state_;
  std::int64_t percentage_ = 0;  // never falls
  WorkProgress progress_;
  std::optional<AnswerView> answer_;  // without the extension
  Throttle report_;
};

}  // namespace hearth::lsp
