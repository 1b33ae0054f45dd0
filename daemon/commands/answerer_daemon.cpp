// Answers of the daemon's model, over a connection for each request.
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/commands/answerer.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/wait_for_model.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/paths.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/transport/generation_json.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/prompt_json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

AnsweringModel describe(Connected& control, bool show_progress) {
  const json status = wait_for_model(control, show_progress);
  if (status["state"] == "failed") {
    throw Error("the daemon cannot use its model: " + status["error"].get<std::string>() +
                " (`hearth restart` tries it again)");
  }
  if (status["state"] == "away") throw Error(status["error"].get<std::string>());
  try {
    const json model = ask(control, name(ControlRequest::describe));
    return {lsp::string_member(model, "name"), lsp::string_member(model, "device"),
            lsp::string_member(model, "systemChat"),
            static_cast<std::size_t>(lsp::integer_member(model, "contextTokens")),
            lsp::flag(model, {"thinking"})};
  } catch (const Error& error) {
    if (control.welcome.build == build()) throw;
    throw Error(std::string(error.what()) + ": the daemon is of another build, " +
                control.welcome.build + " (`hearth restart` starts this one)");
  }
}

class DaemonAnswerer : public Answerer {
 public:
  DaemonAnswerer(Connected control, std::filesystem::path path, bool show_progress)
      : path_(std::move(path)), model_(describe(control, show_progress)) {}

  const AnsweringModel& model() const override { return model_; }

  std::size_t count_tokens(const lsp::Prompt& prompt) override {
    const json request = about(ControlRequest::estimate, prompt);
    Connected control = connect();
    const auto estimate = follow(control, request, [](const json&) {});
    return static_cast<std::size_t>(lsp::integer_member(estimate.value(), "promptTokens"));
  }

  AnswerOutcome answer(const lsp::Prompt& prompt, const lsp::GenerateOptions& options,
                       const Events& events, const std::atomic<bool>& interrupt) override {
    json request = about(ControlRequest::generate, prompt);
    request["options"] = to_json(options);
    AnswerOutcome outcome;
    const auto take = [&](const json& piece) {
      if (const json* progress = lsp::find(piece, "progress")) {
        const lsp::GenerationProgress now = read_progress(*progress);
        outcome.prompt_tokens = static_cast<std::size_t>(now.prompt_tokens);
        outcome.cached_tokens = static_cast<std::size_t>(now.cached_tokens);
        outcome.thought_tokens = static_cast<std::size_t>(now.thought_tokens);
        outcome.answer_tokens = static_cast<std::size_t>(now.answer_tokens);
        events.on_progress(now);
      } else if (lsp::find(piece, "text") != nullptr) {
        const std::string text = lsp::string_member(piece, "text");
        outcome.text += text;
        events.on_text(text);
      }
    };
    Connected control = connect();
    const auto result = follow(control, request, take, &interrupt);
    outcome.interrupted = !result;
    if (result) finish(outcome, read_answer(*result));
    return outcome;
  }

 private:
  static json about(ControlRequest request, const lsp::Prompt& prompt) {
    json message{{"request", name(request)}, {"prompt", prompt}};
    constexpr std::size_t most = lsp::MessageReader::max_unchecked_bytes - 64 * 1024;
    if (message.dump(-1, ' ', false, json::error_handler_t::replace).size() <= most) return message;
    throw Error(
        "the prompt is longer than the daemon takes, 1 MiB: with --local it is read by a "
        "model in this process");
  }

  static void finish(AnswerOutcome& outcome, lsp::Answer answer) {
    outcome.prompt_tokens = static_cast<std::size_t>(answer.prompt_tokens);
    outcome.cached_tokens = static_cast<std::size_t>(answer.cached_tokens);
    outcome.thought_tokens = static_cast<std::size_t>(answer.thought_tokens);
    outcome.thought_cut = answer.thought_cut;
    outcome.thought = std::move(answer.thought);
    outcome.answer_tokens = static_cast<std::size_t>(answer.answer_tokens);
    outcome.prompt_time = answer.prompt_time;
    outcome.answer_time = answer.answer_time;
    outcome.finish = answer.finish;
    outcome.by = std::move(answer.by);
    outcome.generated = std::move(answer.generated);
  }

  // A chat outlives a daemon, if the next one has the same model.
  Connected connect() const {
    auto control = find_daemon(find_paths(), ConnectionKind::control, command_timeout);
    if (!control) throw Error("the daemon has ended: `hearth daemon` starts one");
    if (same_model(control->welcome.model, path_)) return std::move(*control);
    throw Error("the daemon runs another model now, " + control->welcome.model);
  }

  const std::filesystem::path path_;
  const AnsweringModel model_;
};

}  // namespace

std::unique_ptr<Answerer> daemon_answerer(Connected control, std::filesystem::path model,
                                          bool show_progress) {
  return std::make_unique<DaemonAnswerer>(std::move(control), std::move(model), show_progress);
}

}  // namespace hearth::daemon
