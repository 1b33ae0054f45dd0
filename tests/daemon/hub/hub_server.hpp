// A server of one repository as Hugging Face has them, for a test, with all that can go wrong.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/daemon/http/web_server.hpp"

namespace hearth::tests {

inline constexpr const char* first_commit = "1111111111111111111111111111111111111111";
inline constexpr const char* second_commit = "2222222222222222222222222222222222222222";

// What the server does wrong. Set before it is asked, or under its lock by change().
struct HubFaults {
  std::string commit = first_commit;  // what "main" is
  bool lists_blobs = true;            // else sizes and digests stand in the tree only
  std::string token;                  // what the API and the files want; empty: nothing
  int status = 0;                     // of every answer, instead of one
  int busy = 0;                       // so many files are answered with 429 first, "Retry-After: 0"
  int failing = 0;                    // likewise with 503
  std::uint64_t cut_after = 0;        // bytes of a body, then the connection is cut; 0: never
  int corrupt = 0;                    // so many bodies of weights have a wrong byte
  std::uint64_t bytes_per_second = 0;  // of each connection; 0: as fast as they go
  std::string weights_at;              // origin that weights are redirected to; empty: here
  bool ignores_ranges = false;
  bool shifts_ranges = false;               // sends another part than was asked for
  std::map<std::string, std::string> more;  // further files: name and content
  std::string missing;                      // a file that is listed and not there
};

class HubServer {
 public:
  // Serves the files of `folder` as "tests/ember".
  explicit HubServer(std::filesystem::path folder, HubFaults faults = {},
                     const TestCertificate* certificate = nullptr);

  static constexpr const char* id = "tests/ember";
  std::string origin() const { return server_.origin(); }
  void change(const std::function<void(HubFaults&)>& change);

  // What was sent of bodies of files, in bytes; and requests as "TARGET" in their order.
  std::uint64_t sent() const { return sent_; }
  std::vector<std::string> requests() const;
  bool saw_token() const { return saw_token_; }

 private:
  void answer(const WebRequest& request, WebConnection& connection);
  void answer_revision(const HubFaults& faults, WebConnection& connection);
  void answer_tree(const std::string& page, WebConnection& connection);
  void answer_file(const HubFaults& faults, const std::string& name, const WebRequest& request,
                   WebConnection& connection);
  void send_body(const HubFaults& faults, std::string body, bool is_weights,
                 WebConnection& connection);

  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> listed_;  // a file's digests as JSON, without the braces
  mutable std::mutex mutex_;
  HubFaults faults_;                   // guarded by mutex_
  std::vector<std::string> requests_;  // guarded by mutex_
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<bool> saw_token_ = false;
  WebServer server_;
};

}  // namespace hearth::tests
