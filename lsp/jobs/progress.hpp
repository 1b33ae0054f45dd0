// Standard progress of one job, or of one batch (window/workDoneProgress), for clients that support
// it. Where none is supported, or the client refuses the token, a message says that the work has
// begun; clients with the hearth/* extension see it anyway.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

// How far something is.
struct Standing {
  std::string title;
  std::string message;
  std::int64_t percentage = 0;
  bool goes_on = false;  // of itself, or when a person goes on with it
};
Standing standing_of(const Job& job);

class WorkProgress {
 public:
  // `id`: the job's, or the batch's. `look` says how far it is; nothing: it is gone.
  WorkProgress(Session& session, JobId id, std::function<std::optional<Standing>()> look);
  // Whose progress a client cancels by its token; 0: none of ours.
  static JobId id_of(const Json& token);

  void report();  // begins, goes on or ends, as the work does

 private:
  enum class State { waiting, refused, created, begun, ended };
  void tell_begun();
  void send(Json value);
  void advance(const Standing& now);

  Session& session_;
  JobId id_;
  std::function<std::optional<Standing>()> look_;
  State state_ = State::waiting;  // for the client's answer to create
  std::int64_t percentage_ = 0;   // as sent; never falls
  std::string message_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
