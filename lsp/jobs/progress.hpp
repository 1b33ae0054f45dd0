// Standard progress of one job (window/workDoneProgress), for clients that support it. Where none
// is supported, or the client refuses the token, a message says that the work has begun; clients
// with the hearth/* extension see it anyway.
#pragma once

#include <string>

#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class WorkProgress {
 public:
  WorkProgress(Session& session, JobId job);
  // The job whose progress a client cancels by its token; 0: none of ours.
  static JobId job_of(const Json& token);

  void report(const Job& job);  // begins, goes on or ends, as the job does

 private:
  enum class State { waiting, refused, created, begun, ended };
  void tell_begun();
  void send(Json value);
  void advance(const Job& job);

  Session& session_;
  JobId job_;
  State state_ = State::waiting;  // for the client's answer to create
  std::int64_t percentage_ = 0;   // as sent; never falls
  std::string message_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
