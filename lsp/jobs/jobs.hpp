// Jobs: actions that were chosen and take long. Process-wide, and durable: each change is written
// down in a JobStore, a job goes on when its session ends, and the next process goes on with what
// was under way. What a job needs is in its Request, which is a value.
//
// Who hears of a job: its owner, the session that shows it and makes its edits, one at a time; and
// any number of watchers. A job whose session goes has no owner until another session of its
// workspace takes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/jobs/job.hpp"
#include "lsp/jobs/store.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/model.hpp"

namespace hearth::lsp {

class Host;

// All methods on the Host's thread. Ids that are unknown, or of jobs that a call does not apply to,
// are ignored, or said by the result.
class Jobs {
 public:
  // All outlive it.
  Jobs(Host& host, Model& model, JobStore& store);
  // Stops what is computed. The store has it as under way: the next process goes on with it.
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  // Goes on with what the store has, once the model is there. Once, before anything else.
  void restore();

  // What changed: the state or progress (empty delta), or text that was added.
  using Listener = std::function<void(const Job&, std::string_view delta)>;
  struct Owner {
    Listener changed;
    std::function<void(JobId)> apply = {};  // a person wants the edits of a waiting job
  };

  JobId start(Request request, Origin origin, Owner owner);
  // A job whose prompt is not made yet, because the model is loading or counts tokens: it can be
  // listed and cancelled already. submit() or fail() goes on with it; both ignore one that ended.
  JobId announce(Request request, Origin origin, GenerationProgress::Phase phase, Owner owner);
  void submit(JobId id, Request request);
  void fail(JobId id, std::string error);
  // `done` is called once all that was said of the job until now is written down, or with the
  // reason why it cannot be. What a person was told of is not lost.
  void when_written(JobId id, JobStore::Done done);

  // A number for a batch, which is no job's.
  JobId next_batch() { return store_.next_id(); }
  // The jobs of a batch, by id; the job itself where that is one's number.
  std::vector<JobId> members(JobId id) const;

  // What a person says. False: the job is in no state for that.
  bool cancel(JobId id);
  bool pause(JobId id);    // keeps what is written
  bool resume(JobId id);   // of a paused one
  bool retry(JobId id);    // a failed or cancelled one begins again
  bool apply(JobId id);    // of a waiting one that has an owner
  bool dismiss(JobId id);  // a waiting one ends without its edits

  // The session is going. The job goes on.
  void disown(JobId id);
  // False: it has an owner, or there is nothing (more) to show of it.
  bool adopt(JobId id, Owner owner);
  std::vector<const Job*> ownerless() const;
  // `told` is called when there may be a job to adopt. `editor`: as in Origin.
  void add_adopter(const void* who, std::string editor, std::function<void()> told);
  bool has_adopter(const std::string& editor) const;
  void remove_adopter(const void* who);

  using WatchId = std::uint64_t;
  WatchId watch(JobId id, Listener listener);
  void unwatch(WatchId watch);

  // Edits are about to be sent: `done` is called once that is written down, or with the reason why
  // it could not be.
  void sending(JobId id, std::vector<SentEdit> edits, JobStore::Done done);
  // They were not sent, or did not arrive.
  void unsent(JobId id);
  // A waiting job's change as a person is to see it before they decide. Nobody is told.
  void offer(JobId id, std::string markdown);
  // What became of a whole answer's edits: the job is done. Nobody is told.
  void settle(JobId id, Settled settled);
  // A session has shown how it ended.
  void shown(JobId id);

  const Job* find(JobId id) const;
  // Whether the tokens of its answer, and of the turns before, are the model's of now.
  bool speaks_in_tokens(const Job& job) const { return identity_ && job.model == *identity_; }
  bool is_paused(JobId id) const;       // or is about to be
  bool is_any_running() const;          // or waits for its turn
  std::vector<const Job*> all() const;  // by id; the last 100 ended ones are kept
  // Removes jobs and what is written of them; those under way are cancelled. How many.
  std::size_t forget(const std::function<bool(const Job&)>& which);

 private:
  struct Entry {
    Job job;
    Owner owner;
    GenerationId generation = 0;  // 0: nothing is computed
    bool held_back = false;       // waits for fewer to be asked at once, or for the model
    // What follows where the computation is stopped.
    enum class Then : std::uint8_t { cancelled, paused, resumed } then = Then::cancelled;
    std::vector<std::int32_t> unwritten = {};  // tokens whose text may follow
    bool thinks_anew = false;                  // its thought is told again from its beginning
  };
  struct Watch {
    JobId job;
    Listener listener;
  };

  Entry* entry(JobId id);
  Entry* running(JobId id);
  void described(const Result<ModelDescription>& description);
  void begin_anew(Entry& entry);
  void forget_tokens(Entry& entry);
  void generate(Entry& entry);
  void go_on_with_held_back();
  void answered(Entry& entry);
  // What the model calls back about a job, as long as the job runs.
  void progressed(JobId id, const GenerationProgress& progress);
  void wrote_tokens(JobId id, std::vector<std::int32_t> tokens);
  void thought(JobId id, std::string text);
  void wrote(JobId id, std::string text);
  void lost(JobId id);
  void finished(JobId id, Result<Answer> result);

  void change_state(Entry& entry, JobState state);
  void end(Entry& entry, JobState state);
  void write_down(const Job& job, JobStore::Done done = {});
  void append(Entry& entry, std::string text);
  JobStore::Done at_once(JobStore::Done done);
  void tell(JobId id, std::string_view delta);
  void tell_adopters();
  void forget_oldest();

  Host& host_;
  Model& model_;
  JobStore& store_;
  std::map<JobId, Entry> entries_;
  std::optional<std::string> identity_;  // of the model, once it is there
  std::size_t asked_ = 0;                // of the model, now
  std::vector<JobId> forgotten_;         // still in the store
  std::map<WatchId, Watch> watches_;
  WatchId last_watch_ = 0;
  struct Adopter {
    std::string editor;
    std::function<void()> told;
  };
  std::map<const void*, Adopter> adopters_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
