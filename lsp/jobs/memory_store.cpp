// MemoryJobStore: a map of records.
#include "lsp/jobs/memory_store.hpp"

#include <algorithm>
#include <utility>

#include "lsp/support/host.hpp"

namespace hearth::lsp {

MemoryJobStore::MemoryJobStore(Host& host, std::vector<JobRecord> records, JobId last_id,
                               std::string failure)
    : host_(host), last_id_(last_id), failure_(std::move(failure)) {
  for (JobRecord& record : records) create(std::move(record));
}

void MemoryJobStore::create(JobRecord record) {
  const JobId id = record.id;
  last_id_ = std::max(last_id_, id);
  records_.insert_or_assign(id, std::move(record));
}

void MemoryJobStore::change(JobId id, JobChange change, Done done) {
  const auto found = records_.find(id);
  if (found == records_.end()) {
    return answer(std::move(done), "there is no record of job " + std::to_string(id));
  }
  JobRecord& record = found->second;
  if (change.request) record.request = std::move(*change.request);
  if (change.standing) record.standing = std::move(*change.standing);
  if (change.text) record.text = std::move(*change.text);
  if (change.tokens) record.tokens = std::move(*change.tokens);
  answer(std::move(done), failure_);
}

void MemoryJobStore::append(JobId id, std::string text, std::vector<std::int32_t> tokens) {
  const auto found = records_.find(id);
  if (found == records_.end()) return;
  found->second.text += text;
  auto& all = found->second.tokens;
  all.insert(all.end(), tokens.begin(), tokens.end());
}

void MemoryJobStore::remove(std::vector<JobId> ids, Done done) {
  for (const JobId id : ids) records_.erase(id);
  answer(std::move(done), failure_);
}

std::vector<JobRecord> MemoryJobStore::records() const {
  std::vector<JobRecord> all;
  for (const auto& [id, record] : records_) all.push_back(record);
  return all;
}

void MemoryJobStore::answer(Done done, std::string failure) {
  if (!done) return;
  host_.post([done = std::move(done), failure = std::move(failure)] { done(failure); });
}

}  // namespace hearth::lsp
