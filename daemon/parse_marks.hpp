// The documents that are being parsed, as files in the runtime directory. A daemon that finds such
// a file was preceded by one that ended in the middle of that parse, and leaves the document
// unparsed.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "daemon/platform/log.hpp"
#include "engine/support/mutex.hpp"
#include "lsp/support/parse_guard.hpp"

namespace hearth::daemon {

class ParseMarks : public lsp::ParseGuard {
 public:
  // Takes up what an earlier daemon left, and logs it. Where marks cannot be kept, that is logged,
  // and documents are parsed all the same. The log outlives it.
  ParseMarks(std::filesystem::path directory, Log& log);
  // A daemon that ends in order forgets: the next one may try again.
  ~ParseMarks() override;
  ParseMarks(const ParseMarks&) = delete;
  ParseMarks& operator=(const ParseMarks&) = delete;

  bool begin(const std::string& uri) override;
  void end(const std::string& uri) override;
  bool is_news(const std::string& uri) override;

 private:
  void take_up();
  std::filesystem::path mark_of(const std::string& uri) const;

  const std::filesystem::path directory_;
  Log& log_;
  engine::Mutex mutex_;
  // By URI: whether its user was told; and how many threads parse it.
  std::map<std::string, bool, std::less<>> refused_ HEARTH_GUARDED_BY(mutex_);
  std::map<std::string, int, std::less<>> parsing_ HEARTH_GUARDED_BY(mutex_);
};

}  // namespace hearth::daemon
