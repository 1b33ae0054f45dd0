// A JobStore that forgets with the process: for tests, and where there is no state directory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lsp/jobs/store.hpp"

namespace hearth::lsp {

class Host;

class MemoryJobStore : public JobStore {
 public:
  // `records`: what an earlier process left, as records() gives it: a test's crash is a second
  // store. Ids go on behind these and behind `last_id`. `failure` is what each change's `done` is
  // told: why it does not survive the process; empty, as in a test, for a store that is believed
  // to. The host outlives it.
  explicit MemoryJobStore(Host& host, std::vector<JobRecord> records = {}, JobId last_id = 0,
                          std::string failure = {});

  JobId next_id() override { return ++last_id_; }
  void create(JobRecord record) override;
  void change(JobId id, JobChange change, Done done) override;
  void append(JobId id, std::string text, std::vector<std::int32_t> tokens) override;
  void remove(std::vector<JobId> ids, Done done) override;
  std::string failure() const override { return failure_; }
  std::vector<JobRecord> load() override { return records(); }

  std::vector<JobRecord> records() const;                            // by id
  void fail(std::string failure) { failure_ = std::move(failure); }  // from now on, see above

 private:
  void answer(Done done, std::string failure);

  Host& host_;
  std::map<JobId, JobRecord> records_;
  JobId last_id_;
  std::string failure_;
};

}  // namespace hearth::lsp
