// Where jobs are written down, so that they outlive the process. In memory for tests, SQLite in the
// daemon. A store knows nothing of what a job is: it keeps records.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hearth::lsp {

using JobId = std::uint64_t;  // from 1

struct JobRecord {
  JobId id = 0;
  std::string workspace;  // the URI that it belongs to
  std::chrono::system_clock::time_point created;
  std::string request;               // JSON: what is asked (lsp/jobs/journal.hpp)
  std::string standing;              // JSON: its state, and what became of it
  std::string text;                  // of the answer so far
  std::vector<std::int32_t> tokens;  // of thought and answer so far
};

// What is to change of a record. What is empty stays.
struct JobChange {
  std::optional<std::string> request = {};
  std::optional<std::string> standing = {};
  std::optional<std::string> text = {};  // all of it
  std::optional<std::vector<std::int32_t>> tokens = {};
};

// All methods on the Host's thread; none waits for a disk, but load(). Changes take place in the
// order in which they were asked for.
class JobStore {
 public:
  // Called once the change survives the end of the process and of the machine, or with the reason
  // why it does not, a sentence for people. On the Host's thread, never before the call returns.
  using Done = std::function<void(const std::string& failure)>;

  virtual ~JobStore() = default;
  // Greater than all before, also those of earlier processes.
  virtual JobId next_id() = 0;
  virtual void create(JobRecord record) = 0;
  virtual void change(JobId id, JobChange change, Done done) = 0;  // `done` may be empty
  // More of the answer. What is appended within the last moment may be lost with the process, but
  // never a text without its tokens or tokens without their text.
  virtual void append(JobId id, std::string text, std::vector<std::int32_t> tokens) = 0;
  virtual void remove(std::vector<JobId> ids, Done done) = 0;
  // Why nothing can be written at present, a sentence for people; empty: it can. Any thread.
  virtual std::string failure() const = 0;
  // All records, by id. To be called once, before any change.
  virtual std::vector<JobRecord> load() = 0;
};

}  // namespace hearth::lsp
