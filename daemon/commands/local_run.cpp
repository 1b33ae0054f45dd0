// Loads an engine in this process.
#include "daemon/commands/local_run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "daemon/config.hpp"
#include "daemon/engine_options.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/paths.hpp"
#include "engine/draft_session.hpp"

namespace hearth::daemon {

std::filesystem::path model_directory(const std::string& override) {
  return find_model(read_config(find_paths().config), override);
}

engine::EngineOptions configured_options(const std::string& model) {
  const Config config = read_config(find_paths().config);
  return engine_options(config, find_model(config, model), {});
}

engine::EngineOptions draft_options(const engine::EngineOptions& large, const std::string& draft) {
  engine::EngineOptions options = large;
  std::error_code failed;
  if (!std::filesystem::is_directory(draft, failed))
    throw Error("there is no model directory " + draft + " (from --draft)");
  options.model = std::filesystem::canonical(draft);
  require_tokenizer(options.model);
  engine::require_same_tokens(options.model, large.model);
  options.context = std::min(engine::read_shape(large).context,
                             engine::read_config(options.model).max_position_embeddings);
  options.host().expert_memory = 0;  // as much as it needs
  options.experts.trace.clear();
  options.mtp = engine::MtpUse::off;
  options.shortlist = engine::ShortlistUse::automatic;
  options.drafts = std::max(options.drafts, engine::EngineOptions{}.drafts);
  options.prefix_ram_bytes = 0;
  options.prefix_directory.clear();
  return options;
}

void require_tokenizer(const std::filesystem::path& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model / "tokenizer.json", ignored)) return;
  throw Error(model.string() +
              " has no tokenizer.json: it can be benchmarked, but cannot process text");
}

std::shared_ptr<engine::Runtime> load_with_progress(const engine::EngineOptions& options,
                                                    bool show_progress) {
  using Clock = std::chrono::steady_clock;
  auto shown = Clock::now();
  bool line_open = false;
  const auto report = [&](const engine::LoadProgress& progress) {
    const auto now = Clock::now();
    if (!show_progress || now - shown < std::chrono::milliseconds(200)) return;
    shown = now;
    line_open = true;
    std::fprintf(stderr, "\r\x1b[Kloading %s of %s",
                 show_bytes(static_cast<double>(progress.bytes_done)).c_str(),
                 show_bytes(static_cast<double>(progress.bytes_total)).c_str());
  };
  auto runtime = engine::Runtime::load(options, report);
  if (line_open) std::fputs("\r\x1b[K", stderr);
  return runtime;
}

std::string show_checkpoint(const engine::CheckpointShape& shape) {
  const std::string experts =
      shape.config.is_dense() ? "" : fmt::format(" of {} experts", shape.config.num_experts);
  return fmt::format("{} layers{}, {}{}, context {}", shape.config.num_layers(), experts,
                     shape.form == engine::WeightForm::bf16 ? "BF16" : "FP8",
                     shape.mtp ? ", MTP head" : "", shape.context);
}

std::string quoted_bytes(std::string_view bytes) {
  std::string text = "\"";
  for (const char c : bytes) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (c == '\r') {
      text += "\\r";
    } else if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else {
      text += c;
    }
  }
  return text + "\"";
}

}  // namespace hearth::daemon
