// The jobs that one session shows: those that it began, and those of its workspace that have no
// session any more. What a person says to them: a question that follows, pause, cancel and the
// rest.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/actions/batch_view.hpp"
#include "lsp/actions/job_view.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class SessionJobs {
 public:
  // `plan` makes the prompt of a job that another session chose and could not plan; it may throw
  // what a person is to read. The session outlives it.
  SessionJobs(Session& session, std::function<void(const Job&)> plan);
  // The jobs go on without it; what they wrote so far stays in their files.
  ~SessionJobs();
  SessionJobs(const SessionJobs&) = delete;
  SessionJobs& operator=(const SessionJobs&) = delete;

  static Json commands();  // for initialize
  static bool has(std::string_view command);
  void execute(std::string_view command, const Json& arguments, Reply& reply);  // one of these

  // A job about a document (empty: about none) that is announced, still without a prompt. The
  // client hears nothing of it before show_begun().
  JobId begin(Request request, const std::string& uri, std::optional<Range> range);
  // Shows what was begun, as far as `last`, once it is written down: a job that the client knows of
  // is never lost. `first` is called just before; answers are given there.
  void show_begun(JobId last, std::function<void()> first);
  // What was begun cannot go on: nothing would come of it.
  void abandon(JobId id);
  // There may be a job to take, now that a document is open.
  void adopt_soon();

  bool shows(JobId id) const;
  bool may_cancel(JobId id) const;  // it is of this workspace, and has not ended

 private:
  using Command = void (SessionJobs::*)(const Json& arguments, Reply& reply);
  struct Row;
  static const Row table[];

  void follow_up(const Json& arguments, Reply& reply);
  void pause(const Json& arguments, Reply& reply);
  void resume(const Json& arguments, Reply& reply);
  void cancel(const Json& arguments, Reply& reply);
  void retry(const Json& arguments, Reply& reply);
  void apply(const Json& arguments, Reply& reply);
  void dismiss(const Json& arguments, Reply& reply);

  const Job& requested(const Json& arguments) const;
  using May = std::function<bool(const Job&)>;
  using Do = std::function<void(JobId)>;
  void change(const Json& arguments, Reply& reply, const May& may, const char* why_not,
              const Do& change);
  static bool waits(const Job& job);
  void adopt();
  void take(const Job& job);
  Jobs::Owner owner();
  void changed(const Job& job, std::string_view delta);
  // The person's next question, with what they attached to it.
  void ask_next(const Job& job, const std::string& question, const std::shared_ptr<Reply>& reply);
  void repair(const Job& job, const std::string& complaint);
  // Asks on after an ended job: its answer, then `question`. `begun`: as in show_begun().
  void ask_on(const Job& job, const std::string& question, Request request,
              std::optional<Range> range, std::function<void()> begun);
  void view(const Job& job, const JobView::Beginning& beginning);
  void forget_settled();

  Session& session_;
  std::function<void(const Job&)> plan_;
  std::map<JobId, std::unique_ptr<JobView>> views_;
  std::map<JobId, std::optional<Range>> begun_;  // not shown yet, and where they were asked for
  std::map<JobId, std::unique_ptr<BatchView>> batches_;  // of these, by the batch's number
  std::optional<Host::TimerId> adopting_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
