// An editor that is killed and killed again: a process of its own, a `hearth lsp`, documents that
// it holds, saves and changes as it is told. It counts what is done to each.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/platform/spawn.hpp"
#include "daemon/transport/stream.hpp"
#include "tests/daemon/home.hpp"

namespace hearth::tests {

class KilledEditor {
 public:
  struct Document {
    std::string text;
    std::string saved;  // what another editor finds
    std::int64_t version = 1;
    std::size_t edits = 0;  // of the server, that were made in it
  };
  // A job as the person sees it.
  struct Shown {
    std::uint64_t id = 0;
    std::string state;
    std::string text;
  };
  static constexpr const char* folder = "file:///killed";

  // The home outlives it.
  explicit KilledEditor(const Home& home);
  ~KilledEditor();
  KilledEditor(const KilledEditor&) = delete;
  KilledEditor& operator=(const KilledEditor&) = delete;

  void open(const std::string& uri, const std::string& text);
  // An action for the whole document; asked again as often as a daemon ends before it answers,
  // until the job is shown. Its number.
  std::uint64_t choose(const std::string& action, const std::string& uri, const Json& more);
  void apply(std::uint64_t job);  // hearth.session.apply, whatever is answered

  // Handles what comes, at least what is there, until `met`; false: not within the time. A language
  // server that ended by itself is started again.
  bool until(const std::function<bool()>& met, std::chrono::milliseconds time);

  // workspace/applyEdit is not answered, and not made, as long as this is set.
  bool holds = false;
  const std::optional<Json>& held() const { return held_; }
  void make_held();                                            // without answering
  void forget_held();                                          // it is never made
  void type(const std::string& uri, const std::string& text);  // the person's whole new text
  void save();                                                 // all documents

  void kill_server();
  // With all that is not saved. Another editor opens the same files.
  void kill();

  const std::map<std::string, Document>& documents() const { return documents_; }
  const Shown* shown(const std::string& uri) const;  // the last job about it
  const Shown* shown(std::uint64_t job) const;
  std::size_t servers() const { return servers_; }  // that were started

 private:
  void start_server();
  void take_in();
  void send(Json message);
  std::int64_t request(const std::string& method, Json params);
  void handle(Json message);
  void make(const Json& request);

  const Home& home_;
  std::optional<daemon::Child> process_;  // stands for the editor's
  std::optional<daemon::Child> server_;
  std::optional<daemon::MessageStream> stream_;
  std::map<std::string, Document> documents_;
  std::map<std::uint64_t, std::pair<std::string, Shown>> jobs_;  // with their documents
  std::map<std::int64_t, Json> answers_;
  std::optional<Json> held_;
  std::int64_t last_id_ = 0;
  std::size_t servers_ = 0;
};

}  // namespace hearth::tests
