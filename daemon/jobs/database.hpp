// SQLite as C++: a connection, a statement, errors as exceptions. Knows no tables.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {

// What SQLite says went wrong. No memory is std::bad_alloc instead.
class DatabaseError : public Error {
 public:
  DatabaseError(int code, const std::string& what) : Error(what), code_(code) {}
  // The file holds what SQLite or this program would not have written.
  bool damaged() const;
  bool full() const { return code_ == SQLITE_FULL; }
  bool busy() const { return code_ == SQLITE_BUSY; }

 private:
  int code_;  // the primary one
};

// For one thread at a time. A file that is there is opened for this process alone; what it holds is
// not trusted: neither its schema nor a length in it.
class Database {
 public:
  explicit Database(const std::filesystem::path& file);

  // One statement without parameters, or several; rows are ignored.
  void execute(const char* sql);
  // The end of the connection then leaves the files as they are.
  void keep_files_at_end();
  bool read_only() const;
  int rows_changed() const;  // by the last statement
  sqlite3* handle() { return connection_.get(); }
  [[noreturn]] void fail(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

// Must be destroyed before its Database.
class Statement {
 public:
  Statement(Database& database, const char* sql);

  // The next parameter. Text and tokens stay where they are until the statement's end.
  Statement& bind(std::int64_t number);
  Statement& bind(std::string_view text);
  Statement& bind(std::span<const std::int32_t> tokens);
  // The next row; false: there is none.
  bool step();
  void run() { static_cast<void>(step()); }

  // Of the row, columns from 0. Values are valid until the next step.
  bool is_integer(int column) const;
  bool is_text(int column) const;
  bool is_tokens(int column) const;
  std::int64_t integer(int column) const;
  std::string_view text(int column) const;
  void append_tokens(int column, std::vector<std::int32_t>& to) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void check(int code) const;

  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

}  // namespace hearth::daemon
