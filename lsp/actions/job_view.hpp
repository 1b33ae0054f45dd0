// One job as one session shows it: hearth/* messages for clients with the extension, a document or
// file for the others, standard progress where it is supported, an error at most once. What becomes
// of its edits is delivery.hpp's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/actions/answer_view.hpp"
#include "lsp/actions/delivery.hpp"
#include "lsp/jobs/progress.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/throttle.hpp"

namespace hearth::lsp {

class JobView {
 public:
  // How the session came to the job.
  struct Beginning {
    std::optional<Range> range;  // where it was asked for; empty: elsewhere
    bool own = true;             // it was asked for in this editor
    bool adopted = false;        // by another session; its client may know an older text
  };
  // `shown` is called after each change that is shown.
  JobView(Session& session, const Job& job, Beginning beginning, Delivery::Repair repair,
          std::function<void(const Job&)> shown);
  ~JobView();
  JobView(const JobView&) = delete;
  JobView& operator=(const JobView&) = delete;
  // Shows the job as it is now. Once, before anything else.
  void begin(const Job& job);

  // The job's owner's.
  void update(const Job& job, std::string_view delta);
  void apply() { delivery_.apply(); }
  // The session is going: keeps what is written so far. Sends nothing.
  void close();
  // The job ended and all of it has been seen.
  bool settled() const { return state_ && ended(*state_) && !seen_; }
  std::optional<Range> range() const { return beginning_.range; }

 private:
  void show(const Job& job, std::string_view delta);
  void report();
  void report_thought(const Job& job, extension::JobStateParams& state, bool whole);
  void see_soon();

  Session& session_;
  JobId job_;
  Beginning beginning_;
  const std::function<void(const Job&)> shown_;
  std::optional<JobState> state_;         // as shown
  std::int64_t percentage_ = 0;           // never falls
  bool whole_text_ = false;               // the client does not have what is written so far
  std::size_t text_ = 0;                  // bytes of the answer as it was shown
  std::size_t thought_ = 0;               // bytes of the thought that the client has
  std::optional<WorkProgress> progress_;  // of a batch: that shows it
  bool extended_;                         // the client shows jobs itself
  std::optional<AnswerView> answer_;      // where it does not, and no batch shows it
  Throttle report_;
  std::optional<Host::TimerId> seen_;  // runs from the end on
  Delivery delivery_;
};

}  // namespace hearth::lsp
