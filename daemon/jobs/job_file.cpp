// JobFile: the schema and its statements.
#include "daemon/jobs/job_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/platform/private_directory.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

// A change of the tables is a new number, and code that brings an older file there.
constexpr std::int64_t schema_version = 1;

// `piece`: what was appended to a job's text and tokens since they were last written whole. They
// cost a page each, where appending to a record would write all of it again.
constexpr std::array tables{
    std::string_view("CREATE TABLE job(id INTEGER PRIMARY KEY, workspace TEXT NOT NULL, "
                     "created INTEGER NOT NULL, request TEXT NOT NULL, standing TEXT NOT NULL, "
                     "text TEXT NOT NULL, tokens BLOB NOT NULL)"),
    std::string_view("CREATE TABLE last_id(value INTEGER NOT NULL)"),
    std::string_view("CREATE TABLE piece(job INTEGER NOT NULL, number INTEGER NOT NULL, "
                     "text TEXT NOT NULL, tokens BLOB NOT NULL, PRIMARY KEY(job, number)) "
                     "WITHOUT ROWID"),
};

constexpr std::array beside{"", "-wal", "-journal"};  // the names of SQLite's files
constexpr const char* damaged_suffix = ".damaged";
constexpr const char* newer_suffix = ".newer";
constexpr int max_names = 1000;

// The file holds something else than this code wrote.
class UnusableFile : public Error {
 public:
  UnusableFile(const std::string& what, const char* suffix) : Error(what), suffix_(suffix) {}
  const char* suffix() const { return suffix_; }

 private:
  const char* suffix_;
};

UnusableFile damaged(const std::string& what) {
  return {"is damaged (" + what + ")", damaged_suffix};
}

std::int64_t to_file(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::chrono::system_clock::time_point from_file(std::int64_t nanoseconds) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(nanoseconds)));
}

bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::symlink_status(path, failed).type() != fs::file_type::not_found;
}

// Throws Error where one of the files is a link or someone else's. SQLite opens by name: the
// directory is private, so that nobody else puts a file there in between. No descriptor stays: a
// process that closes one loses the locks that SQLite holds.
void make_or_check(const fs::path& path) {
  const PrivateDirectory directory(path.parent_path());
  for (const char* suffix : beside) {
    const std::string name = path.filename().string() + suffix;
    const bool main = *suffix == '\0';
    if (main || is_there(directory.path() / name)) {
      static_cast<void>(directory.open(name, main ? O_RDWR | O_CREAT : O_RDWR));
    }
  }
}

// Zeros where it is not there.
std::pair<dev_t, ino_t> identity_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino};
}

}  // namespace

JobFile::JobFile(fs::path path) : path_(std::move(path)) {
  naming([this] {
    open();
    try {
      read();
      return;
    } catch (const UnusableFile& unusable) {
      set_aside(unusable.what(), unusable.suffix());
    } catch (const DatabaseError& error) {
      if (!error.damaged()) throw;
      set_aside(damaged(error.what()).what(), damaged_suffix);
    }
    open();
    Batch readable;
    readable.durable = true;
    for (const lsp::JobRecord& record : records_) readable.create(record);
    read_schema();
    write(readable);
  });
}

template <typename Task>
void JobFile::naming(const Task& task) {
  try {
    task();
  } catch (const DatabaseError& error) {
    throw Error("cannot use " + path_.string() + ": " + error.what());
  }
}

void JobFile::open() {
  make_or_check(path_);
  identity_ = identity_of(path_);
  database_.emplace(path_);
}

bool JobFile::on_disk() const {
  return identity_of(path_) == identity_;
}

void JobFile::read() {
  // It could be written when it was looked at: its own words forbid it.
  if (database_->read_only()) throw damaged("it says that it is only to be read");
  read_schema();
  database_->execute("PRAGMA journal_mode=WAL");
  std::string fault;
  {
    Statement check(*database_, "PRAGMA quick_check(1)");
    while (check.step()) {
      if (check.text(0) != "ok") fault = check.text(0);
    }
  }
  read_records();  // also of a damaged one, as far as it can be
  if (!fault.empty()) throw damaged(fault);
}

// Makes it in an empty file.
void JobFile::read_schema() {
  std::int64_t found = 0;
  {
    Statement version(*database_, "PRAGMA user_version");
    if (version.step()) found = version.integer(0);
  }
  if (found > schema_version) throw UnusableFile("was written by a newer hearth", newer_suffix);
  std::vector<std::string> there;
  {
    Statement schema(*database_,
                     "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name");
    while (schema.step()) there.emplace_back(schema.text(0));
  }
  if (found == 0 && there.empty()) {
    database_->execute("PRAGMA journal_mode=WAL");
    database_->execute("BEGIN IMMEDIATE");
    for (const std::string_view table : tables) database_->execute(std::string(table).c_str());
    database_->execute("INSERT INTO last_id VALUES(0); PRAGMA user_version=1; COMMIT");
    return;
  }
  if (found != schema_version || !std::ranges::equal(there, tables)) {
    throw damaged("it has other tables");
  }
}

// Reads on behind what cannot be read, for the file that begins then.
void JobFile::read_records() {
  std::string fault;
  std::int64_t greatest = std::numeric_limits<std::int64_t>::min();
  {
    Statement rows(*database_,
                   "SELECT id, workspace, created, request, standing, text, tokens "
                   "FROM job ORDER BY id");
    Statement pieces(*database_, "SELECT job, text, tokens FROM piece ORDER BY job, number");
    bool more = pieces.step();
    while (rows.step()) {
      const std::int64_t id = rows.integer(0);
      // Pages that lead in a circle would be read without end.
      if (id <= greatest) throw damaged("its jobs are not in their order");
      greatest = id;
      bool readable = id > 0 && rows.is_text(1) && rows.is_integer(2) && rows.is_text(3) &&
                      rows.is_text(4) && rows.is_text(5) && rows.is_tokens(6);
      lsp::JobRecord record;
      record.id = static_cast<lsp::JobId>(id);
      record.workspace = rows.text(1);
      record.created = from_file(rows.integer(2));
      record.request = rows.text(3);
      record.standing = rows.text(4);
      record.text = rows.text(5);
      rows.append_tokens(6, record.tokens);
      for (; more && pieces.integer(0) <= id; more = pieces.step()) {
        readable = readable && pieces.integer(0) == id && pieces.is_text(1) && pieces.is_tokens(2);
        record.text += pieces.text(1);
        pieces.append_tokens(2, record.tokens);
      }
      if (readable) {
        records_.push_back(std::move(record));
      } else {
        fault = "a job cannot be read";
      }
    }
    if (more) fault = "it has an answer without its job";
  }
  Statement last(*database_, "SELECT value FROM last_id");
  if (!last.step() || !last.is_integer(0) || last.integer(0) < 0) {
    fault = "it has no last number";
  }
  if (!fault.empty()) throw damaged(fault);
  last_id_ = static_cast<lsp::JobId>(std::max(last.integer(0), greatest));
}

void JobFile::set_aside(const std::string& why, const char* suffix) {
  last_id_.reset();
  database_->keep_files_at_end();
  database_.reset();
  const PrivateDirectory directory(path_.parent_path());
  const std::string name = path_.filename().string();
  std::string other;
  for (int number = 1; number <= max_names && other.empty(); ++number) {
    const std::string tried = name + suffix + (number == 1 ? "" : "-" + std::to_string(number));
    if (!is_there(directory.path() / tried)) other = tried;
  }
  if (other.empty()) {
    throw Error(path_.string() + " " + why +
                ", and there are too many like it beside it: remove them");
  }
  for (const char* file : beside) {
    if (!is_there(directory.path() / (name + file))) continue;
    if (!directory.rename(name + file, other + file)) {
      throw system_error("cannot rename " + path_.string() + file, errno);
    }
  }
  note_ = path_.string() + " " + why + ": it is now " + (directory.path() / other).string() +
          ", and a new one begins";
  if (suffix == newer_suffix) {
    note_ += ". Rename it back for the newer hearth, or remove it if you miss no job";
  } else {
    note_ += " with the " + std::to_string(records_.size()) +
             " jobs that could be read. Remove the old one if you miss none";
  }
}

std::set<lsp::JobId> JobFile::write(const Batch& batch) {
  std::set<lsp::JobId> missing;
  naming([&] {
    database_->execute(batch.durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    database_->execute("BEGIN IMMEDIATE");
    try {
      apply(batch, missing);
      database_->execute("COMMIT");
    } catch (...) {
      // Where SQLite has done so already, this is an error that says nothing.
      sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  });
  return missing;
}

void JobFile::apply(const Batch& batch, std::set<lsp::JobId>& missing) {
  Database& file = *database_;
  for (const auto& [job, change] : batch.records) {
    const auto id = static_cast<std::int64_t>(job);
    if (change.removed || change.created) {
      Statement(file, "DELETE FROM job WHERE id=?").bind(id).run();
      Statement(file, "DELETE FROM piece WHERE job=?").bind(id).run();
    }
    if (const auto& record = change.created) {
      Statement(file, "INSERT INTO job VALUES(?,?,?,?,?,?,?)")
          .bind(id)
          .bind(record->workspace)
          .bind(to_file(record->created))
          .bind(record->request)
          .bind(record->standing)
          .bind(record->text)
          .bind(record->tokens)
          .run();
    }
    if (change.removed || change.created) continue;

    // One statement says whether it is there at all.
    Statement(file, "UPDATE job SET id=id WHERE id=?").bind(id).run();
    if (file.rows_changed() == 0) {
      missing.insert(job);
      continue;
    }
    const lsp::JobChange& replaced = change.replaced;
    const auto replace = [&](const char* sql, const auto& value) {
      Statement(file, sql).bind(value).bind(id).run();
    };
    if (replaced.request) replace("UPDATE job SET request=? WHERE id=?", *replaced.request);
    if (replaced.standing) replace("UPDATE job SET standing=? WHERE id=?", *replaced.standing);
    if (replaced.text) {
      replace("UPDATE job SET text=? WHERE id=?", *replaced.text);
      Statement(file, "UPDATE piece SET text='' WHERE job=?").bind(id).run();
    }
    if (replaced.tokens) {
      replace("UPDATE job SET tokens=? WHERE id=?", *replaced.tokens);
      Statement(file, "UPDATE piece SET tokens=x'' WHERE job=?").bind(id).run();
    }
    if (replaced.text || replaced.tokens) {
      Statement(file, "DELETE FROM piece WHERE job=? AND text='' AND tokens=x''").bind(id).run();
    }
    if (!change.text.empty() || !change.tokens.empty()) {
      Statement(file,
                "INSERT INTO piece SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 "
                "FROM piece WHERE job=?1")
          .bind(id)
          .bind(change.text)
          .bind(change.tokens)
          .run();
    }
  }
  if (batch.reserved != 0) {
    Statement(file, "UPDATE last_id SET value=?")
        .bind(static_cast<std::int64_t>(batch.reserved))
        .run();
  }
}

void JobFile::scrub() {
  naming([this] {
    database_->execute("VACUUM");
    database_->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  });
}

std::vector<fs::path> set_aside_job_files(const fs::path& path) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator entry(path.parent_path(), failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    const std::string main = path.filename().string();
    if (name.starts_with(main + damaged_suffix) || name.starts_with(main + newer_suffix)) {
      found.push_back(entry->path());
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace hearth::daemon
