// What is said on the daemon's socket before anything else: one framed hello each way. Then an
// "lsp" connection speaks LSP and a "control" connection asks (control.hpp).
//
//   → {"protocol": 2, "build": "0.1.0+1a2b3c4d", "kind": "lsp", "pid": 4711, "cwd": "/home/ada"}
//   ← {"protocol": 2, "build": "…", "pid": 4700, "model": "/…/ember", "idle": false}
//   ← {"protocol": 2, "build": "…", "pid": 4700, "error": "…"}   and the connection closes
// The client says nothing more until it has the answer.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::daemon {

inline constexpr std::int64_t protocol_version = 2;
inline constexpr std::size_t max_hello_bytes = 64 * 1024;

// The daemon's last words on an "lsp" connection when it stops because it was asked to. Meant for
// the stdio proxy, which does not hand it on and starts no new daemon until its editor speaks.
inline constexpr std::string_view shutdown_notice_method = "$/hearth/shutdownNotice";
std::string shutdown_notice();

enum class ConnectionKind : std::uint8_t { lsp, control };

// What a control connection asks for: {"request": its name}.
enum class ControlRequest : std::uint8_t {
  status,
  jobs,
  job,
  prompt,
  follow_job,
  pause_job,
  resume_job,
  cancel_job,
  apply_job,
  dismiss_job,
  retry_job,
  forget,
  stop,
  open_door,
  close_door,
  release_gpu,
  take_gpu,
  describe,
  estimate,
  generate,
};
std::string_view name(ControlRequest request);
std::optional<ControlRequest> control_request(std::string_view name);  // empty: there is none

struct Hello {
  std::int64_t protocol = protocol_version;
  std::string build;
  ConnectionKind kind = ConnectionKind::lsp;
  pid_t pid = 0;
  std::string cwd;
};
std::string encode(const Hello& hello);
// Throws Error saying what is wrong, also for a protocol that is not spoken here.
Hello parse_hello(std::string_view body);

struct Welcome {
  std::int64_t protocol = protocol_version;
  std::string build;
  pid_t pid = 0;
  std::string model;  // the checkpoint's directory
  bool idle = false;  // no other editor, no work: may be asked to make room for another build
  std::string error;  // not empty: refused
};
std::string encode(const Welcome& welcome);
Welcome parse_welcome(std::string_view body);  // throws Error

}  // namespace hearth::daemon
