// Jobs: actions that were chosen and take long. Process-wide: a session holds ids only, so what a
// job needs is in its Request, which is a value that can be written down. A job runs for its
// subscriber, the session that started it, and is cancelled when that goes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/edits/assemble.hpp"
#include "lsp/edits/target.hpp"
#include "lsp/protocol/extension.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/model.hpp"
#include "lsp/support/prompt.hpp"
#include "lsp/support/text.hpp"

namespace hearth::lsp {

class Host;

// What is asked of the model for an action; with the answer it is all that its apply() gets.
struct Request {
  std::string action;  // the action's id: "explain"
  std::string title;   // for people: "Explain average"
  Prompt prompt;
  GenerateOptions options;
  std::vector<Target> targets;
  std::optional<AnswerForm> form = {};  // in which code was asked for; empty: the answer is text
  std::vector<ContextPiece> left_out = {};  // of the prompt, for people who look at it
  bool repairs = false;                     // asks once more, as an answer before could not be used
};
void to_json(nlohmann::json& json, const Request& request);
// Throws a std::exception that says what is wrong on a value of another form.
void from_json(const nlohmann::json& json, Request& request);

// What is left of an ended job's answer for a person to read; no text: its edits were all of it.
struct Settled {
  std::optional<std::string> text;
};

using JobId = std::uint64_t;
struct Job {
  JobId id = 0;
  Request request;
  JobState state = JobState::queued;
  GenerationProgress progress;
  std::string text;                          // the answer so far
  FinishReason finish = FinishReason::stop;  // of a done job
  bool thought_cut = false;                  // as the Answer says
  std::vector<std::int32_t> generated;       // as the Answer says: a question that follows needs it
  std::string error;                         // why it failed
  std::optional<Settled> settled;            // once its edits were applied, or could not be
  std::chrono::milliseconds prompt_time{0};  // of a done job: what the two parts took
  std::chrono::milliseconds answer_time{0};
  std::chrono::steady_clock::time_point started;
  std::optional<std::chrono::steady_clock::time_point> ended;
};

// All methods on the Host's thread.
class Jobs {
 public:
  // `next_id` gives each job its number, greater than all before; without it they count from 1.
  Jobs(Host& host, Model& model, std::function<JobId()> next_id = {});
  ~Jobs();

  // What changed: the state or progress (empty delta), or text that was added.
  using Listener = std::function<void(const Job&, std::string_view delta)>;
  JobId start(Request request, Listener listener);
  // A job whose prompt is not made yet, because the model is loading or counts tokens: it can be
  // listed and cancelled already. submit() or fail() goes on with it; both ignore one that ended.
  JobId announce(Request request, GenerationProgress::Phase phase, Listener listener);
  void submit(JobId id, Request request);
  void fail(JobId id, std::string error);
  // The session is going: its listener is not called any more, and as nobody else waits for the
  // job, it is cancelled.
  void unsubscribe(JobId id);
  void cancel(JobId id);  // unknown or ended ids are ignored
  // What became of an ended job's edits. Its listener is not told.
  void settle(JobId id, Settled settled);
  const Job* find(JobId id) const;
  bool is_any_running() const;          // or waits to
  std::vector<const Job*> all() const;  // by id; the last 100 ended ones are kept

 private:
  struct Entry {
    Job job;
    Listener listener;
    GenerationId generation = 0;  // 0: not submitted
  };
  // What the model calls back about a job, as long as the job runs.
  Entry* running(JobId id);
  void progressed(JobId id, const GenerationProgress& progress);
  void wrote(JobId id, std::string text);
  void finished(JobId id, Result<Answer> result);
  void end(Entry& entry, JobState state);
  void forget_oldest();

  Host& host_;
  Model& model_;
  std::function<JobId()> next_id_;
  std::map<JobId, Entry> entries_;
  Lifetime lifetime_;
};

}  // namespace hearth::lsp
