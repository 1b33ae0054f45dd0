// One batch as one session shows it: one progress for all of its files and, to a client without the
// hearth/* extension, all changes in one document, with one question, once no file is left.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lsp/jobs/progress.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class BatchView {
 public:
  // `batch`: of a job that exists. The session outlives it.
  BatchView(Session& session, Batch batch);
  // One of its jobs changed.
  void update();

 private:
  std::vector<const Job*> jobs() const;
  Standing standing() const;
  void show_all(const std::vector<const Job*>& jobs);
  void ask_person(std::size_t waiting, std::size_t files);

  Session& session_;
  const Batch batch_;
  bool goes_on_ = false;  // as it was last
  WorkProgress progress_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
