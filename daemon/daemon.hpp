// The daemon's life: takes the lock, opens the socket, puts host, model, jobs and sessions
// together, and takes them apart again.
//
// The threads, what each owns, and how others reach it. What two of them touch is guarded by a
// mutex that clang checks (engine/support/mutex.hpp), or atomic.
//
// thread        owns                            others reach it by
// host          sockets, sessions, documents,   lsp::Host::post; it never waits for any other
//               jobs, timers; all of lsp/       thread but at the daemon's end
// background    a copy of what one task needs:  lsp::Host::background: work, and what follows on
//  (a pool)     a snapshot, texts to count      the host's thread
// computing     engine::Runtime, Session,       Scheduler::submit, cancel, between_steps, park; a
//  (of each     Generation, SessionPool: all    const Runtime to look at, and its Engine, which
//  model)       that computes                   nothing changes
// kernel        pieces of one operation         kernels::Pool::run, which waits for them
//  workers
// readers       reads under way                 AsyncReader::submit; they tell the expert cache
// maintenance   the history of uses, memory     the expert cache, which is thread-safe
//               that is given back
// writer        files of prefix checkpoints     PrefixDisk's queue
// requests      a connection to a server each   RequestThreads::run and stop; they post what they
//  (some, of                                    hear
//  each server)
//
// What is thrown, where, and who catches it:
//
// thread        what runs                       who takes an exception
// host          a message of an editor          lsp::Rpc: answers it (-32700, -32602, -32603) or
//                                               logs it; std::bad_alloc closes the connection
// host          other bytes of a connection     Connection::received: closes the connection
// host          a request of HTTP               HttpConnection: answers ApiError, closes for others
// host          a connection that is accepted   Impl::accepted: logs it, accepts the next
// host          tasks, timers, signals          AsioHost::run: logs it; std::bad_alloc ends the
//                                               daemon, as somebody waits for what was not done
// host          stopping                        Daemon::stop: stops without notices
// background    context, syntax, counting       AsioHost::background: logs it, posts the rest
// computing     loading                         LocalModel::run: every request says why
// computing     a step of a request             Scheduler::advance: that request fails
// computing     telling how a request ended     LocalModel::compute: ends the daemon
// requests      asking a server                 RemoteQueue::send, ServerWatch: the request fails,
//                                               or is sent again
// engine's own  reads, prefixes, the history    each fails its read or loses its file, and notes
//
// What others wait for (a posted task, the next read, the next accept) is tried for a second where
// there is no memory (insist.hpp). JSON values take memory in their destructors, too, which may not
// throw: for those there is a reserve (platform/memory_reserve.hpp). Where it is not enough the
// process ends by SIGABRT, and its last line in the log says so.
#pragma once

#include <filesystem>
#include <functional>

#include "daemon/config.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {

struct DaemonOptions {
  Config config;
  std::filesystem::path model;  // the checkpoint's directory; empty: a server answers
  Paths paths;
  bool foreground = false;  // log to stderr too
  // Called once the socket listens, or when another daemon is there and this one ends at once.
  std::function<void()> ready;
  bool serve = false;  // the door of `hearth serve` opens, whatever the configuration says
};

// Runs until it is stopped. Returns false when another daemon is there. Throws Error when it
// cannot begin.
bool run_daemon(DaemonOptions options);

}  // namespace hearth::daemon
