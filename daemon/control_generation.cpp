// Generations for control connections: pieces as they come, cancelled with whoever waits for them.
#include "daemon/control_generation.hpp"

#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "daemon/transport/generation_json.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

// Editors' requests have small numbers for their clients.
constexpr std::uint64_t control_clients = std::uint64_t{1} << 63U;

class Generating : public ControlWork {
 public:
  Generating(lsp::Model& model, lsp::Prompt prompt, lsp::GenerateOptions options,
             std::function<void()> used, const ControlReply& reply)
      : model_(model), used_(std::move(used)) {
    used_();
    lsp::GenerationEvents events;
    events.on_progress = [reply](const lsp::GenerationProgress& progress) {
      reply.piece({{"progress", to_json(progress)}});
    };
    events.on_text = [reply](const std::string& text) { reply.piece({{"text", text}}); };
    events.on_done = [reply](const lsp::Result<lsp::Answer>& result) {
      if (const auto* error = std::get_if<lsp::ModelError>(&result)) {
        reply.error(error->message);
      } else {
        reply.result(to_json(std::get<lsp::Answer>(result)));
      }
    };
    id_ = model.generate(std::move(prompt), std::move(options), std::move(events));
  }
  ~Generating() override {
    model_.cancel(id_);
    used_();
  }

 private:
  lsp::Model& model_;
  const std::function<void()> used_;
  lsp::GenerationId id_ = 0;
};

}  // namespace

void describe(lsp::Model& model, const std::function<std::string()>& device,
              const ControlReply& reply) {
  model.describe([&device, reply](const lsp::Result<lsp::ModelDescription>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply.error(error->message);
    const lsp::ModelProfile& profile = std::get<lsp::ModelDescription>(result).profile;
    reply.result({{"name", profile.name},
                  {"device", device()},
                  {"systemChat", profile.system_chat},
                  {"contextTokens", profile.context_tokens},
                  {"thinking", profile.thinking}});
  });
}

void estimate(lsp::Model& model, const json& message, const ControlReply& reply) {
  model.estimate(read_prompt(message), [reply](const lsp::Result<lsp::Estimate>& result) {
    if (const auto* error = std::get_if<lsp::ModelError>(&result))
      return reply.error(error->message);
    const auto& estimate = std::get<lsp::Estimate>(result);
    reply.result(
        {{"promptTokens", estimate.prompt_tokens}, {"uncachedTokens", estimate.uncached_tokens}});
  });
}

std::unique_ptr<ControlWork> generate(lsp::Model& model, const json& message, std::uint64_t client,
                                      const std::function<void()>& used,
                                      const ControlReply& reply) {
  const json* given = lsp::find(message, "options");
  lsp::GenerateOptions options = read_options(given == nullptr ? json::object() : *given);
  options.priority = lsp::Priority::explicit_request;
  options.client = control_clients + client;
  options.action = "generate";
  return std::make_unique<Generating>(model, read_prompt(message), std::move(options), used, reply);
}

}  // namespace hearth::daemon
