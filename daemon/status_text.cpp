// The daemon's state in JSON as lines for people.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/platform/format.hpp"
#include "daemon/status.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t label_columns = 11;

std::string line(std::string_view label, std::string_view text) {
  std::string left(label);
  left.resize(label_columns, ' ');
  return left + std::string(text) + "\n";
}

std::string model_line(const json& model) {
  const auto state = model["state"].get<std::string>();
  const auto directory = model["directory"].get<std::string>();
  if (state == "failed")
    return directory + " cannot be loaded: " + model["error"].get<std::string>();
  if (state == "ready" || state == "failing") {
    return model["name"].get<std::string>() + ", " + directory;
  }
  const auto total = model["load"]["bytesTotal"].get<double>();
  const auto done = model["load"]["bytesDone"].get<double>();
  if (total == 0) return "loading " + directory;
  return "loading " + directory + ": " + show_bytes(done) + " of " + show_bytes(total);
}

std::string speed(const json& value) {
  return value.is_null() ? "not measured yet" : show_speed(value.get<double>());
}

std::string number(const json& value) {
  return std::to_string(value.get<std::uint64_t>());
}

// The budgets that bound what the process takes.
std::string memory_lines(const json& memory) {
  constexpr std::pair<const char*, const char*> parts[] = {
      {"denseBytes", "dense weights"}, {"expertBytes", "experts"},
      {"kvBytes", "attention cache"},  {"stateBytes", "states"},
      {"prefixBytes", "checkpoints"},  {"scratchBytes", "scratch"},
      {"shortlistBytes", "shortlist"}};
  std::string text;
  for (const auto& [name, meaning] : parts) {
    const auto bytes = memory[name].get<double>();
    if (bytes > 0) text += (text.empty() ? "" : ", ") + show_bytes(bytes) + " " + meaning;
  }
  return line("memory", "up to " + text);
}

std::string expert_lines(const json& experts) {
  const auto hits = experts["hits"].get<double>();
  const auto asked = hits + experts["misses"].get<double>();
  std::string text = number(experts["resident"]) + " of " + number(experts["total"]) +
                     " in memory, room for " + number(experts["slots"]);
  if (asked > 0) {
    text += "; " + std::to_string(static_cast<int>(100 * hits / asked)) + " % of uses found there";
  }
  text = line("experts", text);
  const json& tiers = experts["tiers"];
  for (const json& tier : tiers) {
    if (tiers.size() == 1) break;  // said above
    std::string own = tier["device"].get<std::string>() + ": " + number(tier["resident"]) + " in " +
                      number(tier["slots"]) + " slots of " +
                      show_bytes(tier["bytes"].get<double>());
    if (asked > 0) {
      const double share = 100 * tier["hits"].get<double>() / asked;
      own += "; " + std::to_string(static_cast<int>(share)) + " % of uses found there";
    }
    text += line("", own);
  }
  text += line("", show_bytes(experts["bytesRead"].get<double>()) + " read, by " +
                       experts["reader"].get<std::string>() + "; policy " +
                       experts["policy"].get<std::string>());
  if (experts["warming"].get<bool>()) {
    text += line(
        "", "warming up: " + number(experts["warmDone"]) + " of " + number(experts["warmTotal"]));
  }
  return text;
}

// The devices beside the host; nothing where none is to be used.
std::string gpu_lines(const json& gpu) {
  if (gpu["state"] == "none") return "";
  if (gpu["state"] == "released")
    return line("GPU", "released: the processor computes everything until the next request");
  std::string text;
  for (const json& device : gpu["devices"]) {
    const auto bus = device["bus"].get<std::string>();
    text += line("GPU", device["description"].get<std::string>() + (bus.empty() ? "" : ", " + bus));
    if (!device.contains("link")) continue;
    const json& link = device["link"];
    text += line("", "copies in GB/s: " + show_link({link["toLocked"], link["fromLocked"],
                                                     link["toPlain"], link["fromPlain"]}));
  }
  if (const int layers = gpu["layers"].get<int>(); layers > 0)
    text += line(text.empty() ? "GPU" : "",
                 show_count(layers, "layer") + " of the model, and what sequences have of them");
  return text;
}

std::string bytes(const json& value) {
  return show_bytes(value.get<double>());
}

std::string prefix_lines(const json& prefixes) {
  std::string text =
      line("prefixes", show_count(prefixes["ramCheckpoints"].get<std::int64_t>(), "checkpoint") +
                           " in memory, " + bytes(prefixes["ramBytes"]) + " of " +
                           bytes(prefixes["ramLimit"]));
  if (prefixes["disk"].get<bool>()) {
    text += line("", show_count(prefixes["diskCheckpoints"].get<std::int64_t>(), "checkpoint") +
                         " on disk, " + bytes(prefixes["diskBytes"]) + " of " +
                         bytes(prefixes["diskLimit"]) + "; written today " +
                         bytes(prefixes["writtenToday"]) + " of " + bytes(prefixes["dailyLimit"]));
  } else {
    text += line("", "none on disk");
  }
  return text +
         line("", number(prefixes["hits"]) + " prompts resumed, " + number(prefixes["misses"]) +
                      " not; " + number(prefixes["restoredTokens"]) + " tokens not recomputed");
}

std::string speculation_lines(const json& speculation) {
  if (speculation["maxDraftTokens"].get<std::int64_t>() == 0) return line("drafts", "off");
  const auto passes = speculation["passes"].get<double>();
  const auto& small = speculation["smallModel"].get_ref<const std::string&>();
  std::string text = !small.empty()                   ? "from the text and " + small
                     : speculation["mtp"].get<bool>() ? "from the text and the MTP head"
                                                      : "from the text";
  if (passes > 0) {
    char per_pass[32];
    std::snprintf(per_pass, sizeof per_pass, "%.2f", speculation["tokens"].get<double>() / passes);
    text += ": " + number(speculation["accepted"]) + " of " + number(speculation["drafted"]) +
            " accepted; " + per_pass + " tokens a pass, of " + number(speculation["passes"]);
  }
  return line("drafts", text);
}

// "2 now: 1 explicit, 1 background"; "0 now".
std::string queue_text(const json& model) {
  std::string text;
  for (const char* priority : {"explicit", "inline", "background"}) {
    const json& count = model["queue"][priority];
    if (count != 0) text += (text.empty() ? ": " : ", ") + number(count) + " " + priority;
  }
  return number(model["waiting"]) + " now" + text;
}

// "3: 1 generating, 2 queued"; "0".
std::string jobs_text(const json& jobs) {
  std::map<std::string, std::size_t> states;
  for (const json& job : jobs) ++states[job["state"].get<std::string>()];
  std::string text = std::to_string(jobs.size());
  const char* before = ": ";
  for (const auto& [state, count] : states) {
    text += std::exchange(before, ", ") + std::to_string(count) + " " + state;
  }
  return text;
}

// "7 shown, 3 accepted, 2 rejected"; empty: none was shown.
std::string completion_counts(const json& counts) {
  if (counts["shown"] == 0) return {};
  return number(counts["shown"]) + " shown, " + number(counts["accepted"]) + " accepted, " +
         number(counts["rejected"]) + " rejected";
}

// What the model can be told of a workspace's other files.
std::string index_text(const json& index) {
  std::string text = "; " + number(index["files"]) + " files known";
  if (index.contains("cutBy")) {
    text += " (not all: the limit of " + index["cutBy"].get<std::string>() + " was reached)";
  } else if (!index["complete"].get<bool>()) {
    text += " so far";
  }
  return text;
}

std::string inline_lines(std::string_view label, const json& completions, const json& model) {
  const std::string counts = completion_counts(completions);
  std::string text = line(label, counts.empty() ? "no completion was shown yet" : counts);
  if (completions["onlyAtPauses"].get<bool>()) {
    const std::chrono::milliseconds max_read(completions["maxReadMs"].get<std::int64_t>());
    text += line("", "completions come at pauses and where a line begins only: at " +
                         speed(model["completionTokensPerSecond"]) +
                         " reading a keystroke takes longer than " + show_time(max_read) +
                         " (inline.max_read)");
  }
  return text;
}

// The second model, below all that is said of the first.
std::string inline_model_lines(const json& model, const json& first) {
  const auto refusal = model["refusal"].get<std::string>();
  if (!refusal.empty()) return line("inline", refusal);
  std::string text = line("inline", model_line(model));
  if (model["state"] != "ready" && model["state"] != "failing") return text;
  const auto fewer = model["expertBytes"].get<double>();
  text += line("", "it takes " + bytes(model["bytes"]) +
                       (fewer > 0 ? ", " + show_bytes(fewer) + " less for the experts above" : ""));
  text += line("", "prefill " + speed(model["prefillTokensPerSecond"]) + ", decode " +
                       speed(model["decodeTokensPerSecond"]));
  text += line("", number(model["requests"]) + " requests" +
                       (first.is_object() ? ", for which the model above was parked " +
                                                number(first["parked"]) + " times"
                                          : ""));
  if (model["state"] == "failing")
    text += line("", "its last request failed: " + model["error"].get<std::string>());
  return text;
}

// All of the engine of this machine but what it has counted.
std::string engine_lines(const json& model) {
  std::string text = line("model", model_line(model));
  if (model["state"] == "failing") {
    text +=
        line("", "it was loaded, but the last " +
                     (model["failedInARow"] == 1 ? std::string("request")
                                                 : number(model["failedInARow"]) + " requests") +
                     " failed: " + model["error"].get<std::string>());
  }
  if (model["state"] != "ready" && model["state"] != "failing") return text;
  text += line("runs on", model["device"].get<std::string>());
  for (const auto& note : model["notes"]) text += line("", note.get<std::string>());
  text += memory_lines(model["memory"]);
  text += line("", "in use: " + show_bytes(model["sessionBytes"].get<double>()) + " in " +
                       show_count(model["sessions"].get<std::int64_t>(), "sequence"));
  text += expert_lines(model["experts"]);
  if (model.contains("gpu")) text += gpu_lines(model["gpu"]);
  text += prefix_lines(model["prefixCache"]);
  text += speculation_lines(model["speculation"]);
  return text + line("speed", "prefill " + speed(model["prefillTokensPerSecond"]) + ", decode " +
                                  speed(model["decodeTokensPerSecond"]));
}

std::string count_lines(const json& model) {
  return line("requests", number(model["requests"]) + " (" + queue_text(model) + "; " +
                              number(model["cancelled"]) + " cancelled, " +
                              number(model["failed"]) + " failed)") +
         line("tokens", number(model["promptTokens"]) + " read, " + number(model["cachedTokens"]) +
                            " of them from cache; " + number(model["answerTokens"]) + " written");
}

// "prompts as tokens, completions by /infill, prefixes kept"; what is not known is not said.
std::string server_abilities(const json& server) {
  std::string text = server["tokenIds"].get<bool>() ? "prompts go as tokens"
                     : server["exactCounts"].get<bool>()
                         ? "prompts go as text, it counts tokens"
                         : "prompts go as text, tokens are estimated";
  const auto& fim = server["completesBy"].get_ref<const std::string&>();
  text += fim.empty() ? "; it does not complete code" : "; completions by " + fim;
  if (server["prefixCaching"].is_boolean())
    text += server["prefixCaching"].get<bool>() ? "; keeps what it has read" : "; reads all anew";
  return text;
}

std::string server_lines(const json& server) {
  const auto& model = server["model"].get_ref<const std::string&>();
  const auto& kind = server["server"].get_ref<const std::string&>();
  const auto& why = server["why"].get_ref<const std::string&>();
  std::string text =
      line("server", (model.empty() ? "" : model + " at ") + server["url"].get<std::string>() +
                         (kind.empty() ? "" : " (" + kind + ")") + ": " +
                         server["state"].get<std::string>() +
                         (server["section"] == "inline" ? ", for completions" : ""));
  if (!why.empty()) text += line("", why);
  if (server["leavesMachine"].get<bool>())
    text += line("", "prompts, with code in them, leave this machine for " +
                         server["host"].get<std::string>());
  if (server["state"] == "ready") text += line("", server_abilities(server));
  if (const auto& no_tokens = server["tokensWhy"].get_ref<const std::string&>(); !no_tokens.empty())
    text += line("", no_tokens);
  if (!server["firstTokenMs"].is_null()) {
    text += line(
        "", "first token after " +
                show_time(std::chrono::milliseconds(server["firstTokenMs"].get<std::int64_t>())) +
                ", decode " + speed(server["decodeTokensPerSecond"]));
  }
  text += line("", number(server["requests"]) + " requests (" + number(server["running"]) +
                       " under way, " + number(server["waiting"]) + " waiting; " +
                       number(server["cancelled"]) + " cancelled, " + number(server["failed"]) +
                       " failed, " + number(server["retried"]) + " sent again)");
  return text + line("", number(server["promptTokens"]) + " tokens read, " +
                             number(server["cachedTokens"]) + " of them from its cache; " +
                             number(server["answerTokens"]) + " written");
}

// What completions come from, where that is an engine of this machine.
std::string completion_lines(const json& status) {
  const json& model = status["model"];
  const bool has_inline_model = status.contains("inlineModel");
  const bool small_serves = has_inline_model && status["inlineModel"]["refusal"] == "";
  std::string text = has_inline_model ? inline_model_lines(status["inlineModel"], model) : "";
  const json& completing = small_serves ? status["inlineModel"] : model;
  const bool serves = completing.is_object() &&
                      (completing["state"] == "ready" || completing["state"] == "failing");
  if (serves && status.contains("inline"))
    text += inline_lines(has_inline_model ? "" : "inline", status["inline"], completing);
  return text;
}

std::string job_line(const json& job) {
  std::string state = job["state"].get<std::string>();
  state.resize(10, ' ');
  std::string text = number(job["id"]) + "  " + state + " " + job["title"].get<std::string>();
  if (job.contains("batch")) {
    text +=
        " (" + number(job["batch"]["id"]) + ": " + job["batch"]["title"].get<std::string>() + ")";
  }
  const auto thought = job["thoughtTokens"].get<std::int64_t>();
  if (thought > 0) text += ", " + show_count(thought, "token") + " thought";
  text += ", " + show_count(job["answerTokens"].get<std::int64_t>(), "token") + " written";
  const auto& message = job["message"].get_ref<const std::string&>();
  if (job.contains("timeLeft")) {
    text += ", " + job["timeLeft"].get<std::string>();
  } else if (message.starts_with("done, ")) {
    text += message.substr(std::string_view("done").size());
  } else if (job["state"] == "waiting") {
    text += ", " + message;
  }
  if (job.contains("error")) text += ": " + job["error"].get<std::string>();
  return text + "\n";
}

}  // namespace

std::string show_link(const kernels::LinkSpeed& link) {
  constexpr double giga = 1e-9;
  return fmt::format(
      "{:.1f} there and {:.1f} back from page-locked memory, {:.1f} and {:.1f} from other",
      giga * link.to_locked, giga * link.from_locked, giga * link.to_plain, giga * link.from_plain);
}

std::string show_status(const json& status, std::size_t columns) {
  const json& model = status["model"];
  const std::chrono::seconds up(status["uptimeSeconds"].get<long>());
  std::string text;
  text += line("daemon", "process " + number(status["pid"]) + ", hearth " +
                             status["build"].get<std::string>() + ", " +
                             (up.count() > 0 ? "up " + show_time(up) : "just started"));
  if (status.contains("servers"))
    for (const json& server : status["servers"]) text += server_lines(server);
  if (model.is_object()) text += engine_lines(model);
  text += completion_lines(status);
  if (model.is_object()) text += count_lines(model);
  text += line("editors", std::to_string(status["clients"].size()));
  for (const auto& client : status["clients"]) {
    const std::string counts =
        client.contains("inline") ? completion_counts(client["inline"]) : std::string();
    text += line("", "process " + number(client["pid"]) + " in " +
                         on_one_line(client["cwd"].get<std::string>()) +
                         (counts.empty() ? "" : "; completions: " + counts) +
                         (client.contains("index") ? index_text(client["index"]) : ""));
  }
  if (status.contains("serve") && status["serve"].is_object()) {
    const json& door = status["serve"];
    text += line("serves", "at " + door["url"].get<std::string>() + ": " +
                               show_count(door["connections"].get<std::int64_t>(), "connection") +
                               ", " + show_count(door["requests"].get<std::int64_t>(), "request"));
  }
  if (const auto notice = on_one_line(status.value("serveNotice", "")); !notice.empty())
    text += line("serves", "not: " + notice);
  text += line("jobs", jobs_text(status["jobs"]));
  if (const auto notice = on_one_line(status.value("jobsNotice", "")); !notice.empty()) {
    text += line("", notice);
  }
  const auto no_log = on_one_line(status.value("logError", ""));
  text += line("log", no_log.empty() ? status["log"].get<std::string>() : "none: " + no_log);
  text += line("config", status["config"].get<std::string>());
  if (const auto notice = on_one_line(status.value("configNotice", "")); !notice.empty()) {
    text += line("", notice);
  }
  return wrapped(printable(text), columns, label_columns);
}

std::string show_jobs(const json& jobs) {
  if (jobs.empty()) return "no jobs\n";
  std::string text;
  for (const auto& job : jobs) text += job_line(job);
  return printable(text);
}

std::string show_prompt(const json& prompt) {
  return printable(prompt["text"].get<std::string>());
}

std::string show_job(const json& job) {
  std::string text = job_line(job);
  if (job.contains("uri")) text += "about " + job["uri"].get<std::string>() + "\n";
  const auto answer = job["text"].get<std::string>();
  if (!answer.empty()) text += "\n" + answer + "\n";
  return printable(text);
}

std::string show_thought(const json& job) {
  const auto thought = job.value("thought", "");
  if (thought.empty()) return "The model has not thought before its answer.\n";
  return printable(thought + (thought.ends_with('\n') ? "" : "\n"));
}

}  // namespace hearth::daemon
