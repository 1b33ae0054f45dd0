// Requests on their way to a server: whose turn it is, how many go at once, which are sent again
// and when. For the Host's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/remote/remote_generation.hpp"
#include "daemon/remote/request_threads.hpp"
#include "daemon/remote/server_watch.hpp"
#include "lsp/context/token_counts.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

class RemoteQueue : public std::enable_shared_from_this<RemoteQueue> {
 public:
  struct Counts {
    std::uint64_t requests = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t failed = 0;
    std::uint64_t retried = 0;
    std::size_t running = 0;
    std::size_t waiting = 0;
  };

  using Answered = std::function<void(const RemoteGeneration&, const lsp::Answer&)>;

  // All outlive it. As long as `server` is not ready, requests wait, but for inline ones; where it
  // refuses, all fail. `counts`: for its ratio of bytes to tokens. `answered`: before on_done.
  RemoteQueue(lsp::Host& host, const ServerAddress& address, RequestThreads& threads,
              ServerWatch& server, const Estimates& estimates, const lsp::TokenCounts& counts,
              Answered answered);

  lsp::GenerationId add(RemoteGeneration generation);
  void cancel(lsp::GenerationId id);
  void pump();  // something changed: sends what may go
  void hold();
  Counts counts() const;

 private:
  struct Entry {
    explicit Entry(RemoteGeneration its) : generation(std::move(its)) {}
    RemoteGeneration generation;
    std::string by;                   // as Answer's
    RequestThreads::TaskId task = 0;  // 0: waits
    bool rendering = false;           // its tokens are made
    std::uint64_t request = 0;        // the last one's number: what earlier ones say is old
    int setbacks = 0;                 // in a row
    std::optional<lsp::Host::TimerId> pause;
  };

  using Entries = std::map<lsp::GenerationId, std::shared_ptr<Entry>>;

  // Null: it is over, or asks once more. Whoever calls a callback keeps it: it may be cancelled.
  std::shared_ptr<Entry> find(lsp::GenerationId id, std::uint64_t request = 0) const;
  Entries::iterator next();
  void send(lsp::GenerationId id, Entry& entry, const ServerFacts& facts);
  bool render_first(lsp::GenerationId id, Entry& entry, const ServerFacts& facts);
  void heard(lsp::GenerationId id, std::uint64_t request, AnswerChunk chunk);
  void ended(lsp::GenerationId id, std::uint64_t request, const std::optional<Setback>& setback);
  void act_on(lsp::GenerationId id, Entry& entry, RemoteGeneration::Heard heard);
  void set_back(lsp::GenerationId id, Entry& entry, const Setback& setback);
  void send_later(lsp::GenerationId id, Entry& entry, const Setback& setback);
  void finish(lsp::GenerationId id, lsp::Result<lsp::Answer> result);
  void fail_those_that_do_not_wait();
  void report(const Entry& entry, std::int64_t ahead) const;
  // A callback of the Host's that does nothing once this is gone.
  template <typename Function>
  std::function<void()> guarded(Function function);

  lsp::Host& host_;
  const ServerAddress& address_;
  RequestThreads& threads_;
  ServerWatch& server_;
  const Estimates& estimates_;
  const lsp::TokenCounts& token_counts_;
  const Answered answered_;
  Entries entries_;
  lsp::GenerationId last_id_ = 0;
  std::uint64_t last_request_ = 0;
  Counts counts_;
  bool held_ = false;
};

}  // namespace hearth::daemon
