// A control connection's peer, and the requests that a line answers.
#include "daemon/control.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/control_generation.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/status.hpp"
#include "daemon/transport/control_protocol.hpp"
#include "daemon/transport/generation_json.hpp"
#include "lsp/actions/workspace_patch.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/support/lifetime.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

class ControlPeer : public Peer {
 public:
  ControlPeer(Control& control, std::uint64_t connection, std::function<void(std::string)> send)
      : control_(control), connection_(connection), send_(std::move(send)) {}

  void receive(std::string body) override {
    give_up();
    const std::uint64_t number = ++received_;
    unanswered_ = true;
    const ControlReply reply(lifetime_.guard([this, number](const json& said, bool last) {
      if (!unanswered_ || number != received_) return;
      unanswered_ = !last;
      send_(said.dump(-1, ' ', false, json::error_handler_t::replace));
    }));
    try {
      work_ = control_.handle(read(std::move(body)), connection_, reply);
    } catch (const Error& error) {
      reply.error(error.what());
    } catch (const lsp::InvalidParams& error) {
      reply.error(std::string("the request is not understood: ") + error.what());
    }
  }

 private:
  static json read(std::string body) {
    json message;
    try {
      message = lsp::parse_json(body);
    } catch (const lsp::BadJson&) {
      // Said below.
    }
    if (message.is_object() && message.contains("request") && message["request"].is_string())
      return message;
    throw Error("a request looks like {\"request\": \"status\"}");
  }

  void give_up() {
    work_.reset();
    if (!std::exchange(unanswered_, false)) return;
    send_(json{{"error", "another request came before this one was answered"}}.dump());
  }

  Control& control_;
  const std::uint64_t connection_;
  std::function<void(std::string)> send_;
  std::uint64_t received_ = 0;
  bool unanswered_ = false;  // the last of them
  std::unique_ptr<ControlWork> work_;
  lsp::Lifetime lifetime_;
};

json show(const lsp::Job& job) {
  json value = to_json(job);
  value["text"] = job.offer.empty() ? job.text : job.offer;
  if (!job.thought.empty()) value["thought"] = job.thought;
  return value;
}

// Throws Error.
lsp::JobId requested_id(const json& message) {
  const auto id = message.find("id");
  if (id == message.end() || !id->is_number_unsigned())
    throw Error("the request names no job: {\"request\": \"job\", \"id\": 7}");
  return id->get<lsp::JobId>();
}

Error no_such_job(lsp::JobId id) {
  return Error("there is no job " + std::to_string(id) + " (any more): `hearth jobs` lists them");
}

json patch_json(lsp::JobId id, const lsp::WorkspacePatch& patch) {
  json value{{"id", id},
             {"state", lsp::name(lsp::JobState::waiting)},
             {"patch", patch.text},
             {"folder", patch.folder},
             {"leftOut", json::array()}};
  for (const auto& [job, why] : patch.left_out)
    value["leftOut"].push_back({{"id", job}, {"why", why}});
  return value;
}

// Tells of a job until it has ended or waits for a person.
class Following : public ControlWork {
 public:
  Following(lsp::Jobs& jobs, const lsp::Job& job, const ControlReply& reply)
      : jobs_(jobs), reply_(reply) {
    if (!job.text.empty()) reply_.piece({{"text", job.text}});
    watch_ = jobs_.watch(job.id,
                         [this](const lsp::Job& now, std::string_view delta) { tell(now, delta); });
    tell(job, {});
  }
  ~Following() override { jobs_.unwatch(watch_); }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

 private:
  void tell(const lsp::Job& job, std::string_view delta) {
    if (!delta.empty()) reply_.piece({{"text", delta}});
    const bool over = lsp::ended(job.state) || job.state == lsp::JobState::waiting;
    if (over) return reply_.result(to_json(job));
    if (std::string message = lsp::message_of(job); message != said_) {
      said_ = std::move(message);
      reply_.piece({{"progress", said_}});
    }
  }

  lsp::Jobs& jobs_;
  const ControlReply reply_;
  lsp::Jobs::WatchId watch_ = 0;
  std::string said_;
};

}  // namespace

void ControlReply::result(json result) const {
  say_({{"result", std::move(result)}}, true);
}

void ControlReply::error(std::string_view sentence) const {
  say_({{"error", sentence}}, true);
}

Control::Control(lsp::Host& host, LocalModel& model, lsp::Jobs& jobs, ControlCalls calls,
                 lsp::Model* completions)
    : host_(host),
      model_(model),
      completions_(completions == nullptr ? model : *completions),
      jobs_(jobs),
      calls_(std::move(calls)) {}

std::unique_ptr<Peer> Control::open(std::function<void(std::string)> send) {
  return std::make_unique<ControlPeer>(*this, ++connections_, std::move(send));
}

std::unique_ptr<ControlWork> Control::handle(const json& message, std::uint64_t connection,
                                             const ControlReply& reply) {
  const auto named = message["request"].get<std::string>();
  const auto request = control_request(named);
  if (!request) throw Error("unknown request: " + named);
  switch (*request) {
    case ControlRequest::status:
      reply.result(calls_.status());
      break;
    case ControlRequest::jobs:
      reply.result(jobs_json(jobs_));
      break;
    case ControlRequest::job:
      reply.result(show(requested_job(message)));
      break;
    case ControlRequest::prompt:
      inspect(requested_job(message), reply);
      break;
    case ControlRequest::follow_job:
      return std::make_unique<Following>(jobs_, requested_job(message), reply);
    case ControlRequest::pause_job:
      change(message, &lsp::Jobs::pause, "does not run", reply);
      break;
    case ControlRequest::resume_job:
      change(message, &lsp::Jobs::resume, "is not paused", reply);
      break;
    case ControlRequest::cancel_job:
      change(message, &lsp::Jobs::cancel, "has ended already", reply);
      break;
    case ControlRequest::apply_job:
      apply(message, reply);
      break;
    case ControlRequest::dismiss_job:
      change(message, &lsp::Jobs::dismiss, "does not wait for you", reply);
      break;
    case ControlRequest::retry_job:
      change(message, &lsp::Jobs::retry, "has neither failed nor been cancelled", reply);
      break;
    case ControlRequest::forget:
      calls_.forget(message, reply);
      break;
    case ControlRequest::stop:
      calls_.stop();
      reply.result({{"stopping", true}});
      break;
    case ControlRequest::open_door:
      reply.result(calls_.door(true));
      break;
    case ControlRequest::close_door:
      reply.result(calls_.door(false));
      break;
    case ControlRequest::release_gpu:
      model_.release_gpu();
      reply.result(gpu_json(model_.status()));
      break;
    case ControlRequest::take_gpu:
      model_.take_gpu();
      reply.result(gpu_json(model_.status()));
      break;
    case ControlRequest::describe:
      describe(model_, reply);
      break;
    case ControlRequest::estimate:
      estimate(model_for(read_prompt(message)), message, reply);
      break;
    case ControlRequest::generate:
      return generate(model_for(read_prompt(message)), message, connection, calls_.used, reply);
  }
  return nullptr;
}

// Throws Error.
const lsp::Job& Control::requested_job(const json& message) const {
  const lsp::JobId id = requested_id(message);
  const lsp::Job* job = jobs_.find(id);
  if (job == nullptr) throw no_such_job(id);
  return *job;
}

// Of a batch, all jobs that it can be done to; the answer is the last of them.
void Control::change(const json& message, bool (lsp::Jobs::*how)(lsp::JobId),
                     const std::string& why_not, const ControlReply& reply) {
  const lsp::JobId id = requested_id(message);
  const std::vector<lsp::JobId> members = jobs_.members(id);
  if (members.empty()) throw no_such_job(id);
  lsp::JobId changed = 0;
  std::string state;
  for (const lsp::JobId member : members) {
    state = lsp::name(jobs_.find(member)->state);
    if ((jobs_.*how)(member)) changed = member;
  }
  if (changed == 0) throw Error("job " + std::to_string(id) + " " + why_not + " (" + state + ")");
  reply.result(to_json(*jobs_.find(changed)));
}

// Through the editor that shows the jobs; where there is none, as a patch. Throws Error.
void Control::apply(const json& message, const ControlReply& reply) {
  const lsp::JobId id = requested_id(message);
  const std::vector<lsp::JobId> members = jobs_.members(id);
  std::vector<lsp::Job> unshown;
  for (const lsp::Job* const job : jobs_.ownerless()) {
    if (job->state == lsp::JobState::waiting && std::ranges::count(members, job->id) > 0)
      unshown.push_back(*job);
  }
  if (unshown.empty()) return change(message, &lsp::Jobs::apply, "does not wait for you", reply);
  const auto patch = std::make_shared<lsp::WorkspacePatch>();
  host_.background([patch, unshown = std::move(unshown),
                    &host = host_] { *patch = lsp::workspace_patch(unshown, host); },
                   [patch, id, reply] { reply.result(patch_json(id, *patch)); });
}

lsp::Model& Control::model_for(const lsp::Prompt& prompt) {
  const bool completes = prompt.kind == lsp::Prompt::Kind::fill_in_the_middle;
  return completes ? completions_ : model_;
}

// Throws Error.
void Control::inspect(const lsp::Job& job, const ControlReply& reply) {
  if (job.request.prompt.messages.empty())
    throw Error("job " + std::to_string(job.id) + " has no prompt (yet)");
  const lsp::Request& request = job.request;
  model_.inspect(
      request.prompt, request.options, [this, id = job.id, reply](const auto& inspected) {
        const lsp::Job* now = jobs_.find(id);
        if (const auto* error = std::get_if<lsp::ModelError>(&inspected)) {
          reply.error(error->message);
        } else if (now == nullptr) {
          reply.error("the job is gone");
        } else {
          reply.result(prompt_json(*now, std::get<std::vector<lsp::PromptPiece>>(inspected)));
        }
      });
}

}  // namespace hearth::daemon
