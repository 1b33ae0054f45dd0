// The daemon's state as JSON.
#include "daemon/status.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/platform/format.hpp"
#include "lsp/context/reading.hpp"
#include "lsp/jobs/prompt_view.hpp"
#include "lsp/jobs/text.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string_view state_name(ModelStatus::State state) {
  switch (state) {
    case ModelStatus::State::loading:
      return "loading";
    case ModelStatus::State::ready:
      return "ready";
    case ModelStatus::State::failing:
      return "failing";
    case ModelStatus::State::failed:
      return "failed";
  }
  return "";
}

std::string_view state_name(RemoteStatus::State state) {
  switch (state) {
    case RemoteStatus::State::looking:
      return "looking";
    case RemoteStatus::State::ready:
      return "ready";
    case RemoteStatus::State::away:
      return "away";
    case RemoteStatus::State::refused:
      return "refused";
  }
  return "";
}

std::string_view fim_name(RemoteFim fim) {
  switch (fim) {
    case RemoteFim::none:
      return "";
    case RemoteFim::infill:
      return "/infill";
    case RemoteFim::suffix:
      return "suffix";
    case RemoteFim::tokens:
      return "tokens";
  }
  return "";
}

json optional(const std::optional<double>& value) {
  return value ? json(*value) : json();
}

// The memory of each device that computes experts; the host's first.
json tiers_json(const engine::ExpertStatus& experts) {
  std::uint64_t elsewhere = experts.released_hits;
  for (const auto& each : experts.devices) elsewhere += each.hits;
  json tiers = json::array();
  tiers.push_back({{"device", kernels::name(kernels::Device{})},
                   {"slots", experts.slots},
                   {"resident", experts.resident},
                   {"bytes", experts.budget_bytes},
                   {"hits", experts.hits - std::min(experts.hits, elsewhere)}});
  for (const auto& each : experts.devices) {
    tiers.push_back({{"device", kernels::name(each.device)},
                     {"slots", each.slots},
                     {"resident", each.resident},
                     {"bytes", each.budget_bytes},
                     {"hits", each.hits},
                     {"promoted", each.promoted},
                     {"demoted", each.demoted}});
  }
  return tiers;
}

std::string_view name(engine::DeviceUse use) {
  switch (use) {
    case engine::DeviceUse::none:
      return "none";
    case engine::DeviceUse::in_use:
      return "in use";
    case engine::DeviceUse::released:
      return "released";
  }
  return "";
}

json queue_json(const std::array<std::size_t, 3>& queue) {
  using lsp::Priority;
  const auto count = [&](Priority priority) { return queue[static_cast<std::size_t>(priority)]; };
  return {{"explicit", count(Priority::explicit_request)},
          {"inline", count(Priority::inline_completion)},
          {"background", count(Priority::background)}};
}

json to_json(const engine::PrefixStatistics& prefixes) {
  return {{"ramBytes", prefixes.ram_bytes},
          {"ramLimit", prefixes.ram_limit},
          {"ramCheckpoints", prefixes.ram_checkpoints},
          {"disk", prefixes.disk},
          {"diskBytes", prefixes.disk_bytes},
          {"diskLimit", prefixes.disk_limit},
          {"diskCheckpoints", prefixes.disk_checkpoints},
          {"writtenToday", prefixes.written_today},
          {"dailyLimit", prefixes.daily_limit},
          {"hits", prefixes.hits},
          {"misses", prefixes.misses},
          {"restoredTokens", prefixes.restored_tokens}};
}

}  // namespace

json gpu_json(const ModelStatus& status) {
  json devices = json::array();
  for (std::size_t i = 0; i < status.experts.devices.size(); ++i) {
    const engine::DeviceExperts& device = status.experts.devices[i];
    json shown{{"device", kernels::name(device.device)},
               {"description", device.description},
               {"bus", i == 0 ? status.gpu_link : ""}};
    if (i < status.links.size() && status.links[i]) {
      const kernels::LinkSpeed& link = *status.links[i];
      shown["link"] = {{"toLocked", link.to_locked},
                       {"fromLocked", link.from_locked},
                       {"toPlain", link.to_plain},
                       {"fromPlain", link.from_plain}};
    }
    devices.push_back(std::move(shown));
  }
  return {
      {"state", name(status.gpu)}, {"layers", status.gpu_layers}, {"devices", std::move(devices)}};
}

json to_json(const ModelStatus& status) {
  return {
      {"state", state_name(status.state)},
      {"directory", status.directory},
      {"error", status.error},
      {"load", {{"bytesDone", status.load.bytes_done}, {"bytesTotal", status.load.bytes_total}}},
      {"name", status.name},
      {"device", status.device},
      {"notes", status.notes},
      {"memory",
       {{"denseBytes", status.memory.dense},
        {"shortlistBytes", status.memory.shortlist},
        {"kvBytes", status.memory.kv},
        {"stateBytes", status.memory.states},
        {"prefixBytes", status.memory.prefixes},
        {"scratchBytes", status.memory.scratch},
        {"expertBytes", status.experts.budget_bytes}}},
      {"experts",
       {{"total", status.experts.experts},
        {"slots", status.experts.slots},
        {"resident", status.experts.resident},
        {"hits", status.experts.hits},
        {"misses", status.experts.misses},
        {"bytesRead", status.experts.bytes_read},
        {"waitSeconds", status.experts.wait_seconds},
        {"warming", status.experts.warming},
        {"warmDone", status.experts.warm_done},
        {"warmTotal", status.experts.warm_total},
        {"reader", status.experts.reader},
        {"policy", status.experts.policy},
        {"tiers", tiers_json(status.experts)}}},
      {"gpu", gpu_json(status)},
      {"contextTokens", status.context},
      {"speculation",
       {{"maxDraftTokens", status.drafts},
        {"mtp", status.mtp},
        {"smallModel", status.drafting},
        {"passes", status.decoded.passes},
        {"tokens", status.decoded.tokens},
        {"drafted", status.decoded.drafted},
        {"accepted", status.decoded.accepted}}},
      {"requests", status.requests},
      {"cancelled", status.cancelled},
      {"failed", status.failed},
      {"failedInARow", status.failed_in_a_row},
      {"promptTokens", status.prompt_tokens},
      {"cachedTokens", status.cached_tokens},
      {"answerTokens", status.answer_tokens},
      {"tokensComputed", status.tokens_computed},
      {"replayedTokens", status.decoded.replayed},
      {"steps", status.steps},
      {"parked", status.parked},
      {"waiting", status.waiting},
      {"queue", queue_json(status.queue)},
      {"sessions", status.sessions},
      {"sessionBytes", status.session_bytes},
      {"prefixCache", to_json(status.prefixes)},
      {"prefillTokensPerSecond", optional(status.prefill_speed)},
      {"completionTokensPerSecond", optional(status.completion_speed)},
      {"decodeTokensPerSecond", optional(status.decode_speed)}};
}

json to_json(const lsp::InlineCounts& counts) {
  return {{"shown", counts.shown}, {"accepted", counts.accepted}, {"rejected", counts.rejected}};
}

json to_json(const lsp::IndexStatistics& index) {
  json shown{{"files", index.files},
             {"bytes", index.bytes},
             {"ms", index.time.count()},
             {"complete", index.complete}};
  if (index.cut != lsp::IndexStatistics::Cut::none) shown["cutBy"] = lsp::name(index.cut);
  return shown;
}

json inline_status(const ModelStatus& model, std::chrono::milliseconds max_read,
                   const lsp::InlineCounts& counts) {
  json status = to_json(counts);
  status["maxReadMs"] = max_read.count();
  status["onlyAtPauses"] = lsp::reads_too_slowly(model.fim_order, model.completion_speed, max_read);
  return status;
}

json inline_model_status(const ModelStatus& model, const std::string& refusal, std::uint64_t bytes,
                         std::uint64_t expert_bytes) {
  json status = to_json(model);
  status["refusal"] = refusal;
  status["bytes"] = bytes;
  status["expertBytes"] = expert_bytes;
  return status;
}

json inline_model_refused(const std::string& refusal) {
  return {{"state", "refused"}, {"refusal", refusal}};
}

json to_json(const RemoteStatus& status, const std::string& section) {
  json shown{{"section", section},
             {"state", state_name(status.state)},
             {"why", status.why},
             {"url", status.url},
             {"host", status.host},
             {"leavesMachine", status.leaves_machine},
             {"key", status.key},
             {"model", status.model},
             {"server", status.server},
             {"contextTokens", status.context},
             {"exactCounts", status.exact_counts},
             {"tokenIds", status.token_ids},
             {"tokensWhy", status.tokens_why},
             {"completesBy", fim_name(status.fim)},
             {"prefixCaching", status.prefix_caching ? json(*status.prefix_caching) : json()},
             {"requests", status.requests},
             {"cancelled", status.cancelled},
             {"failed", status.failed},
             {"retried", status.retried},
             {"promptTokens", status.prompt_tokens},
             {"cachedTokens", status.cached_tokens},
             {"answerTokens", status.answer_tokens},
             {"running", status.running},
             {"waiting", status.waiting},
             {"decodeTokensPerSecond", optional(status.decode_speed)}};
  shown["firstTokenMs"] = status.first_token ? json(status.first_token->count()) : json();
  return shown;
}

json to_json(const lsp::Job& job) {
  json value = {{"id", job.id},
                {"action", job.request.action},
                {"title", job.request.title},
                {"state", lsp::name(job.state)},
                {"promptTokens", job.progress.prompt_tokens},
                {"cachedTokens", job.progress.cached_tokens},
                {"promptDone", job.progress.prompt_done},
                {"thoughtTokens", job.progress.thought_tokens},
                {"answerTokens", job.progress.answer_tokens},
                {"message", lsp::message_of(job)}};
  const lsp::GenerationProgress& progress = job.progress;
  if (progress.eta) value["etaMs"] = progress.eta->count();
  if (lsp::runs(job.state)) {
    if (progress.ahead > 0) value["ahead"] = progress.ahead;
    if (progress.first_token) value["firstTokenMs"] = progress.first_token->count();
    if (progress.end) value["endMs"] = {progress.end->from.count(), progress.end->to.count()};
    if (auto left = lsp::time_left(job); !left.empty()) value["timeLeft"] = std::move(left);
  }
  if (!job.error.empty()) value["error"] = job.error;
  if (!job.by.empty()) value["by"] = job.by;
  if (lsp::ended(job.state)) value["ended"] = true;
  if (job.waits_for_editor) value["waitsForEditor"] = true;
  if (const auto& batch = job.request.batch)
    value["batch"] = {{"id", batch->id}, {"title", batch->title}, {"size", batch->size}};
  if (!job.origin.workspace.empty()) value["workspace"] = job.origin.workspace;
  if (!job.request.targets.empty()) value["uri"] = job.request.targets.front().uri;
  return value;
}

json jobs_json(const lsp::Jobs& jobs) {
  json all = json::array();
  for (const auto* job : jobs.all()) all.push_back(to_json(*job));
  return all;
}

std::string jobs_notice(const std::string& failure) {
  if (failure.empty()) return {};
  return failure +
         "; until this is mended (room on that disk, or the right to write there), jobs go on but "
         "are lost with the daemon, and no change is sent to an editor";
}

json prompt_json(const lsp::Job& job, std::span<const lsp::PromptPiece> pieces) {
  json all = json::array();
  std::int64_t tokens = 0;
  for (const lsp::PromptPiece& piece : pieces) {
    const auto from = piece.provenance ? lsp::name(*piece.provenance) : "template";
    all.push_back({{"from", from}, {"tokens", piece.tokens}, {"text", piece.text}});
    tokens += piece.tokens;
  }
  return {{"job", job.id},
          {"title", job.request.title},
          {"tokens", tokens},
          {"cachedTokens", job.progress.cached_tokens},
          {"text", lsp::prompt_text(job, pieces)},
          {"pieces", std::move(all)}};
}

}  // namespace hearth::daemon
