// Database and Statement: thin over sqlite3_*.
#include "daemon/jobs/database.hpp"

#include <cerrno>
#include <cstring>
#include <new>

namespace hearth::daemon {
namespace {

// Of one text or blob: what a damaged length in the file may make SQLite reserve.
constexpr int max_value_bytes = 256 << 20;

}  // namespace

bool DatabaseError::damaged() const {
  // The last three come of a length, a format or a table's definition in the file.
  return code_ == SQLITE_CORRUPT || code_ == SQLITE_NOTADB || code_ == SQLITE_TOOBIG ||
         code_ == SQLITE_ERROR || code_ == SQLITE_SCHEMA;
}

Database::Database(const std::filesystem::path& file) {
  sqlite3* opened = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(opened);
  if (opened == nullptr) throw std::bad_alloc();
  if (code != SQLITE_OK) fail(code);
  sqlite3_limit(opened, SQLITE_LIMIT_LENGTH, max_value_bytes);
  sqlite3_db_config(opened, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // Alone, the log beside needs no memory that is shared with other processes, which a file that is
  // cut short would turn into a fatal signal.
  execute(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
      "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=ON;");
}

void Database::execute(const char* sql) {
  const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void Database::keep_files_at_end() {
  sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

bool Database::read_only() const {
  // SQLite knows once it has read the file's head.
  return sqlite3_db_readonly(connection_.get(), "main") == 1;
}

int Database::rows_changed() const {
  return sqlite3_changes(connection_.get());
}

void Database::fail(int code) const {
  const int primary = code & 0xff;
  if (primary == SQLITE_NOMEM) throw std::bad_alloc();
  if (primary == SQLITE_BUSY) throw DatabaseError(primary, "another process has it open");
  const int system = sqlite3_system_errno(connection_.get());
  const bool of_system = system != 0 && (primary == SQLITE_IOERR || primary == SQLITE_FULL ||
                                         primary == SQLITE_CANTOPEN);
  throw DatabaseError(primary, of_system ? std::strerror(system) : sqlite3_errstr(primary));
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  sqlite3_stmt* prepared = nullptr;
  check(sqlite3_prepare_v2(database.handle(), sql, -1, &prepared, nullptr));
  statement_.reset(prepared);
}

Statement& Statement::bind(std::int64_t number) {
  check(sqlite3_bind_int64(statement_.get(), ++bound_, number));
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  // A null pointer would be NULL.
  const char* const begin = text.empty() ? "" : text.data();
  check(sqlite3_bind_text64(statement_.get(), ++bound_, begin, text.size(), SQLITE_STATIC,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(std::span<const std::int32_t> tokens) {
  const void* const begin = tokens.empty() ? static_cast<const void*>("") : tokens.data();
  check(sqlite3_bind_blob64(statement_.get(), ++bound_, begin, tokens.size_bytes(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.fail(code);
  return false;
}

bool Statement::is_integer(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_INTEGER;
}

bool Statement::is_text(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_TEXT;
}

bool Statement::is_tokens(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_BLOB &&
         static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)) %
                 sizeof(std::int32_t) ==
             0;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  const auto* const begin =
      reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  const int bytes = sqlite3_column_bytes(statement_.get(), column);
  if (begin == nullptr) {
    if (sqlite3_errcode(database_.handle()) == SQLITE_NOMEM) throw std::bad_alloc();
    return {};
  }
  return {begin, static_cast<std::size_t>(bytes)};
}

void Statement::append_tokens(int column, std::vector<std::int32_t>& to) const {
  const void* const begin = sqlite3_column_blob(statement_.get(), column);
  const int bytes = sqlite3_column_bytes(statement_.get(), column);
  if (begin == nullptr) {
    if (sqlite3_errcode(database_.handle()) == SQLITE_NOMEM) throw std::bad_alloc();
  }
  const std::size_t count = static_cast<std::size_t>(bytes) / sizeof(std::int32_t);
  if (count == 0) return;  // none, or the rest of a damaged one
  const std::size_t before = to.size();
  to.resize(before + count);
  std::memcpy(to.data() + before, begin, count * sizeof(std::int32_t));
}

void Statement::check(int code) const {
  if (code != SQLITE_OK) database_.fail(code);
}

}  // namespace hearth::daemon
