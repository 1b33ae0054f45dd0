// One job as one session shows it: hearth/* messages for clients with the extension, a document or
// file for the others, standard progress where it is supported, an error at most once, and the
// edits that come of it: checked, sent, and shown as a diff where they cannot be made.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/actions/answer_view.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/jobs/progress.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/throttle.hpp"

namespace hearth::lsp {

class JobView {
 public:
  // Asks the model to mend an answer whose edits would break what parses now.
  using Repair = std::function<void(const Job& job, const std::string& complaint)>;

  // Shows the job's first state at once. `range`: where it was asked for.
  JobView(Session& session, const Job& job, Range range, Repair repair);

  // The job's listener.
  void update(const Job& job, std::string_view delta);
  // The session is going: keeps what is written so far. Sends nothing.
  void close();
  // The job ended and all of it is shown.
  bool settled() const { return ended(state_); }
  Range range() const { return range_; }

 private:
  void show(const Job& job, std::string_view delta);
  void deliver(std::vector<FileEdit> edits);
  void checked(const std::vector<FileEdit>& edits, const std::string& complaint);
  void offer(const std::vector<FileEdit>& edits, const std::string& why_not);
  void report();

  Session& session_;
  JobId job_;
  Range range_;
  Repair repair_;
  JobState state_;
  std::int64_t percentage_ = 0;  // never falls
  WorkProgress progress_;
  std::optional<AnswerView> answer_;  // without the extension
  Throttle report_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
