// The file that jobs are written in: its tables, what it takes to open it, and what becomes of one
// that cannot be used. It is private, and knows nothing of what a record means.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/jobs/batch.hpp"
#include "daemon/jobs/database.hpp"
#include "lsp/jobs/store.hpp"

namespace hearth::daemon {

// For one thread at a time, and for one process: another one's is an Error. All methods throw Error
// with the file's path and the reason.
class JobFile {
 public:
  // Opens it, or makes it (0600) in a private directory. One that is damaged, or that a newer
  // hearth wrote, gets another name beside it and a new one begins, with the records that could be
  // read (none of a newer one's).
  explicit JobFile(std::filesystem::path path);

  // What it held when it was opened, by id.
  std::vector<lsp::JobRecord> take_records() { return std::move(records_); }
  // No id up to this one may be given out; empty: nobody knows which those are.
  std::optional<lsp::JobId> last_id() const { return last_id_; }
  // For people: where the old file is, and how to go on; empty: nothing was wrong.
  const std::string& note() const { return note_; }

  // False once somebody has removed the file or put another in its place.
  bool on_disk() const;
  // All of it or nothing. Returns those records that were to be changed and are not there.
  std::set<lsp::JobId> write(const Batch& batch);
  // Afterwards nothing of removed records is to be found in the file and in those beside it. Writes
  // all of it anew: SQLite's secure_delete leaves copies that it made when it moved rows.
  void scrub();

 private:
  void open();
  void read();
  void read_schema();
  void read_records();
  void set_aside(const std::string& why, const char* suffix);
  void apply(const Batch& batch, std::set<lsp::JobId>& missing);
  // Runs `task`; its DatabaseError names the file.
  template <typename Task>
  void naming(const Task& task);

  std::filesystem::path path_;
  std::pair<dev_t, ino_t> identity_;
  std::optional<Database> database_;
  std::vector<lsp::JobRecord> records_;
  std::optional<lsp::JobId> last_id_;
  std::string note_;
};

// The names of files that JobFile has set aside beside `path`, theirs logs included.
std::vector<std::filesystem::path> set_aside_job_files(const std::filesystem::path& path);

}  // namespace hearth::daemon
