// A whole answer on its way into the documents of one session: its edits are made from the
// documents as they are now, checked, written down as sent, and sent; or they wait for a person. No
// edit is sent twice: one whose fate is not known is looked for in the documents first.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/actions/edits.hpp"
#include "lsp/edits/edit.hpp"
#include "lsp/jobs/session.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::lsp {

class Delivery {
 public:
  // Asks the model to mend an answer whose edits would break what parses now.
  using Repair = std::function<void(const Job& job, const std::string& complaint)>;
  // `own`: the person asked for the edits in this editor, and they are sent unasked. `show` is
  // called when something has become of the job: it is done, or waits for a person.
  Delivery(Session& session, JobId job, bool own, Repair repair,
           std::function<void(const Job&)> show);

  // The answer is whole.
  void begin();
  // A person wants the edits of a waiting job.
  void apply();

 private:
  void look(std::function<void(const Job&)> then);
  SnapshotPtr find(const std::string& uri) const;
  FindSnapshot finder() const;
  void make_edits(const Job& job, bool wanted);
  void checked(const std::vector<FileEdit>& edits, bool wanted, const EditsCheck& check);
  void send(const std::vector<FileEdit>& edits);
  void written_down(const std::vector<FileEdit>& edits, const std::string& failure);
  bool is_asked_again();
  void resolve(const Job& job);
  void offer(const std::string& markdown);
  void ask_person(const Job& job);
  void refuse(const std::vector<FileEdit>& edits, const std::string& why_not);
  void settle(Settled settled);

  Session& session_;
  const JobId job_;
  const bool own_;
  const Repair repair_;
  const std::function<void(const Job&)> show_;
  bool busy_ = false;                            // edits are made, checked or under way
  std::map<std::string, SnapshotPtr> unopened_;  // files as they were read
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
