// `hearth doctor`: looks at everything that hearth depends on, and says what to do where something
// is wrong. Changes nothing, and needs no daemon.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "daemon/commands/commands.hpp"
#include "daemon/commands/fim_check.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/commands/server_check.hpp"
#include "daemon/commands/wait_for_model.hpp"
#include "daemon/config.hpp"
#include "daemon/model_pair.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/gpus.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/remote_options.hpp"
#include "daemon/status.hpp"
#include "daemon/transport/control_client.hpp"
#include "engine/hardware.hpp"
#include "engine/measure/measurements.hpp"
#include "lsp/support/failure.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;

constexpr double disk_seconds = 1.5;
constexpr double slow_disk = 1e9;  // bytes a second, below which a miss is felt
constexpr std::uint64_t large_enough = std::uint64_t{1} << 30;  // of shards, to tell of the disk
constexpr std::uint64_t little_space = std::uint64_t{1} << 30;
constexpr rlim_t few_descriptors = 256;

struct DoctorFlags {
  std::string model;
  std::vector<std::string> fim;  // files
  bool verify = false;
  bool json = false;
};

// What was seen of one subject.
struct Finding {
  enum class Level : std::uint8_t { good, warning, problem };
  Level level = Level::good;
  std::string subject;
  std::string seen;
  std::string advice;  // what to do; empty: nothing
};

std::string_view name(Finding::Level level) {
  switch (level) {
    case Finding::Level::good:
      return "ok";
    case Finding::Level::warning:
      return "warning";
    case Finding::Level::problem:
      return "problem";
  }
  return "";
}

class Examination {
 public:
  void good(std::string subject, std::string seen) {
    add({Finding::Level::good, std::move(subject), std::move(seen), ""});
  }
  void warning(std::string subject, std::string seen, std::string advice) {
    add({Finding::Level::warning, std::move(subject), std::move(seen), std::move(advice)});
  }
  void problem(std::string subject, std::string seen, std::string advice = "") {
    add({Finding::Level::problem, std::move(subject), std::move(seen), std::move(advice)});
  }
  // Whatever `look` throws is a problem of the subject.
  void attempt(const std::string& subject, const std::function<void()>& look) {
    try {
      look();
    } catch (const std::exception& failed) {
      problem(subject, lsp::failure_text(failed));
    }
  }
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  void add(Finding finding) { findings_.push_back(std::move(finding)); }
  std::vector<Finding> findings_;
};

// --- What is looked at ---------------------------------------------------------------------------

void look_at_program(Examination& found) {
  const std::string seen = fmt::format("hearth {}, {}, {}", build(), build_type(), compiler());
  if (command_name() == "hearth") {
    found.good("program", seen);
  } else {
    found.warning("program", seen + "; `hearth` on the PATH is not this one",
                  "Editors start `hearth` by that name: put " +
                      executable().parent_path().string() +
                      " on the PATH, or give the editor the path.");
  }
}

std::string driver_text(const kernels::CudaDevices& gpus) {
  const std::string driver = nvidia_driver();
  if (gpus.needed_driver.empty() || driver.empty()) return "";
  return fmt::format("; driver {}, this build needs {} or newer", driver, gpus.needed_driver);
}

// What is told of the device without opening it.
std::string gpu_text(const kernels::CudaDevice& gpu) {
  const std::string link = pcie_link(gpu.address);
  return fmt::format("{}, compute capability {}, {}{}", gpu.name, gpu.capability,
                     show_bytes(static_cast<double>(gpu.memory)), link.empty() ? "" : ", " + link);
}

// Those that CUDA has; `seen` is told of each. The first is the one that may be used.
void look_at_cuda_device(Examination& found, const Config& config, const kernels::CudaDevice& gpu,
                         int index, const std::string& driver) {
  std::string seen = gpu_text(gpu) + driver;
  if (gpu.shares_memory) {
    found.good("GPU", seen + "; not used: it shares the host's memory");
  } else if (index > 0) {
    found.good("GPU", seen + "; not used: the first one is");
  } else if (config.memory_vram == 0) {
    found.good("GPU", seen + "; memory.vram is \"0\": the processor computes everything");
  } else {
    found.good("GPU", seen + "; copies in GB/s: " + show_link(engine::measure_link(index)));
  }
}

void look_at_gpus(Examination& found, const Config& config, const kernels::CudaDevices& gpus) {
  const std::string driver = driver_text(gpus);
  if (gpus.count == 0 && config.memory_vram.value_or(0) > 0) {
    found.problem("GPU", gpus.missing + driver, "`memory.vram = \"0\"` does without a GPU.");
  } else if (gpus.count == 0) {
    found.good("GPU", gpus.missing + driver + "; the processor computes everything");
  }
  for (int i = 0; i < gpus.count; ++i) {
    found.attempt("GPU", [&] {
      look_at_cuda_device(found, config, gpus.devices[static_cast<std::size_t>(i)], i, driver);
    });
  }
  for (const UnusedGpu& gpu : unused_gpus()) found.good("GPU", gpu.name + "; not used: " + gpu.why);
}

void look_at_processor(Examination& found, const Config& config) {
  const engine::Hardware hardware = engine::find_hardware(config.model_isa);
  const std::string seen = fmt::format("{}, {}", kernels::name(hardware.isa),
                                       show_count(std::thread::hardware_concurrency(), "core"));
  if (hardware.isa == kernels::Isa::scalar) {
    found.warning("processor", seen, "Without AVX2 answers take several times as long.");
  } else {
    found.good("processor", seen);
  }
  look_at_gpus(found, config, hardware.cuda);
}

// Nothing: it cannot be read.
std::optional<Config> look_at_configuration(Examination& found, const Paths& paths) {
  try {
    Config config = read_config(paths.config);
    const bool there = fs::exists(paths.config);
    found.good("config", there ? paths.config.string() : "defaults: no " + paths.config.string());
    return config;
  } catch (const std::exception& failed) {
    found.problem("config", lsp::failure_text(failed),
                  "`hearth daemon --print-config` shows every key with its meaning.");
    return std::nullopt;
  }
}

void look_at_memory(Examination& found, const engine::EngineOptions& options,
                    const engine::CheckpointShape& shape) {
  const engine::MemoryView view = engine::read_memory();
  const engine::Costs costs = engine::costs_of(shape.config, shape.form);
  const engine::MemoryPlan plan = engine::plan_memory(costs, options, shape.config, shape.context,
                                                      view, options.model.string());
  const double share = engine::resident_share(plan, costs);
  const std::string free = fmt::format("{} free{}", show_bytes(static_cast<double>(view.available)),
                                       view.limited ? ", which a control group allows" : "");
  const std::string seen =
      shape.config.is_dense()
          ? fmt::format("{}; {} of weights fit", free, show_bytes(costs.dense_bytes()))
          : fmt::format("{}; {} of {} of experts fit ({:.0f} %)", free,
                        show_bytes(share * costs.all_expert_bytes()),
                        show_bytes(costs.all_expert_bytes()), 100 * share);
  constexpr double few = 0.2;
  if (share < few) {
    found.warning("memory", seen,
                  "Most experts come from the disk at every token: close what else takes memory, "
                  "or see `hearth plan`.");
  } else {
    found.good("memory", seen);
  }
}

void look_at_disk(Examination& found, const fs::path& model) {
  const engine::ReadSpeed speed = engine::read_speed(model, disk_seconds);
  const std::string seen =
      fmt::format("{:.2f} GB/s from {} of {}{}", speed.bytes_per_second * 1e-9,
                  show_count(static_cast<std::int64_t>(speed.shards), "shard"),
                  show_bytes(static_cast<double>(speed.bytes)),
                  speed.bytes < large_enough ? ", too small to tell what the disk can do" : "");
  if (!speed.direct) {
    found.warning("disk", seen,
                  "The file system reads through the page cache, which takes memory from the "
                  "experts: a local ext4, xfs or btrfs does not.");
  } else if (speed.bytes >= large_enough && speed.bytes_per_second < slow_disk) {
    found.warning("disk", seen, "An NVMe disk gives two to seven times as much.");
  } else {
    found.good("disk", seen);
  }
}

// How the model is shown a conversation.
void look_at_template(Examination& found, const fs::path& model) {
  const std::string text = engine::read_template(model);
  const engine::ChatTemplate which = engine::which_template(text);
  const std::string seen = fmt::format("{}'s chat template", engine::name(which));
  if (engine::is_unknown_variant(text)) {
    found.warning(
        "template", "one with a switch for thinking that is not known",
        "Conversations are shown as plain ChatML, without a thought: is this checkpoint's "
        "chat_template the published one?");
  } else if (!engine::has_thought_switch(which)) {
    const bool tools = which == engine::ChatTemplate::qwen3_coder;
    found.good("template", seen + (tools ? "; calls tools" : "") +
                               (engine::opens_think(text) ? "; always thinks" : ""));
  } else {
    const bool thinks = which != engine::ChatTemplate::qwen3_5_small;
    found.good("template",
               seen +
                   (thinks ? "; thinks unless it is told not to" : "; thinks where it is told to") +
                   (which == engine::ChatTemplate::qwen3_8 ? "; takes an effort" : ""));
  }
}

// Ctrl-C leaves it at what was seen.
void verify(Examination& found, const fs::path& model) {
  const InterruptFlag interrupt;
  const bool show = ::isatty(STDERR_FILENO) == 1;
  const auto report = [&](const engine::ReadProgress& progress) {
    if (!show) return;
    std::fprintf(stderr, "\r\x1b[Kreading %s of %s",
                 show_bytes(static_cast<double>(progress.bytes_done)).c_str(),
                 show_bytes(static_cast<double>(progress.bytes_total)).c_str());
  };
  found.attempt("weights", [&] {
    if (engine::verify_files(model, report, &interrupt.flag())) {
      found.good("weights", "every tensor was read, and every value is a number");
    } else {
      found.warning("weights", "not read to the end", "Run `hearth doctor --verify` again.");
    }
  });
  if (show) std::fputs("\r\x1b[K", stderr);
}

// Completions on a person's own files. Loads the model.
void look_at_fim(Examination& found, const engine::EngineOptions& options,
                 const std::vector<std::string>& files) {
  constexpr std::size_t max_places = 12;
  constexpr std::size_t max_file_bytes = 4 << 20;
  std::vector<std::string> texts;
  for (const std::string& file : files)
    texts.push_back(lsp::valid_utf8(read_file(file, max_file_bytes)));
  const std::vector<FimPlace> places = fim_places(texts, max_places);
  if (places.empty()) {
    found.problem("completion", "there is no line to ask for in these files",
                  "Name files of code, of twenty lines or more.");
    return;
  }
  const InterruptFlag interrupt;
  const bool show = ::isatty(STDERR_FILENO) == 1;
  const auto runtime = load_with_progress(options, show);
  const auto report = [&](std::size_t done, std::size_t all) {
    if (show) std::fprintf(stderr, "\r\x1b[Kcompleting, %zu of %zu", done, all);
  };
  const auto counts = count_fim(runtime, places, report, &interrupt.flag());
  if (show) std::fputs("\r\x1b[K", stderr);
  if (!counts) {
    found.warning("completion", "not tried to the end", "Run `hearth doctor --fim` again.");
    return;
  }
  const engine::FimOrder used = runtime->engine().profile().fim_order;
  const engine::FimOrder best = counts->best(used);
  const std::string seen = fmt::format("{}; {} is used", counts->show(), fim_order_key(used));
  if (best != used) {
    found.warning("completion", seen,
                  fmt::format("Put \"fim_order\": \"{}\" into {}, then `hearth restart`.",
                              fim_order_key(best), (options.model / "hearth.json").string()));
  } else if (counts->of(used) == 0) {
    found.warning("completion", seen,
                  "No line came out right: of this checkpoint expect little inline, or turn it off "
                  "with inline.automatic.");
  } else {
    found.good("completion", seen);
  }
}

void look_at_checkpoint(Examination& found, const Config& config, const DoctorFlags& flags) {
  const fs::path model = find_model(config, flags.model);
  const engine::EngineOptions options = configured_options(flags.model);
  const engine::CheckpointShape shape = engine::read_shape(options);
  require_tokenizer(model);
  found.good("model", fmt::format("{}: {}; fingerprint {:016x}", model.string(),
                                  show_checkpoint(shape), engine::fingerprint(model)));
  found.attempt("template", [&] { look_at_template(found, model); });
  found.attempt("memory", [&] { look_at_memory(found, options, shape); });
  found.attempt("disk", [&] { look_at_disk(found, model); });
  if (flags.verify) verify(found, model);
  if (!flags.fim.empty())
    found.attempt("completion", [&] { look_at_fim(found, options, flags.fim); });
}

// The second one, beside the first.
void look_at_inline_model(Examination& found, const Config& config, const DoctorFlags& flags) {
  const fs::path directory = find_inline_model(config);
  const engine::EngineOptions options = small_options(config, directory, {});
  found.good("inline", fmt::format("{}: {}; fingerprint {:016x}", directory.string(),
                                   show_checkpoint(engine::read_shape(options)),
                                   engine::fingerprint(directory)));
  found.attempt("inline", [&] {
    const ModelPair pair =
        model_pair(config, find_daemon_model(config, flags.model), {}, engine::read_memory());
    if (!pair.refusal.empty()) throw Error(pair.refusal);
    found.good("inline", fmt::format("it takes {}, which leaves {} less to the first one's experts",
                                     show_bytes(static_cast<double>(pair.small_bytes)),
                                     show_bytes(static_cast<double>(pair.expert_bytes))));
  });
  if (flags.verify) verify(found, directory);
}

void look_at_server(Examination& found, const RemoteOptions& options) {
  if (!options.url.is_loopback())
    found.good("server", "prompts, with code in them, leave this machine for " + options.url.host);
  found.good("server", check_server(options));
}

void look_at_servers(Examination& found, const Config& config) {
  if (!config.model_remote.url.empty())
    found.attempt("server", [&] { look_at_server(found, model_remote_options(config)); });
  if (!config.inline_remote.url.empty())
    found.attempt("server", [&] { look_at_server(found, inline_remote_options(config)); });
}

// Why the daemon will not use it, as PrivateDirectory would say; it makes one that is missing.
void require_private(const fs::path& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0 && errno == ENOENT) return;
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) {
    throw Error(directory.string() + " is a link, no directory or another user's: remove it");
  }
}

void look_at_directories(Examination& found, const Paths& paths, const Config& config) {
  require_private(paths.runtime);
  if (paths.state.empty()) {
    found.warning("state", "no directory may be used",
                  "Set XDG_STATE_HOME or HOME to a directory of your own: until then nothing is "
                  "kept over a restart.");
    return;
  }
  require_private(paths.state);
  fs::path there = paths.state;
  while (!fs::exists(there)) there = there.parent_path();
  const fs::space_info space = fs::space(there);
  const std::string seen = fmt::format("{}, {} free on its disk", paths.state.string(),
                                       show_bytes(static_cast<double>(space.available)));
  if (space.available < little_space && config.prefix_cache_disk > 0) {
    found.warning("state", seen,
                  "Checkpoints of prompts are not written to a full disk: free some, or set "
                  "prefix_cache.disk to less.");
  } else {
    found.good("state", seen);
  }
}

void look_at_limits(Examination& found) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::string seen = fmt::format("{} open files", files.rlim_cur);
  if (files.rlim_cur < few_descriptors) {
    found.warning("limits", seen, "`ulimit -n 1024` before the daemon starts allows more editors.");
  } else {
    found.good("limits", seen);
  }
}

void look_at_daemon(Examination& found, const Paths& paths) {
  try {
    auto control = find_daemon(paths, ConnectionKind::control, command_timeout);
    if (!control) {
      // daemon/setup/hearth.service.in, where it was installed.
      const bool service = find_shared("systemd/user/hearth.service") ||
                           find_shared("../lib/systemd/user/hearth.service");
      found.good("daemon", std::string("none runs; an editor starts one") +
                               (service ? ", or `systemctl --user enable --now hearth`" : ""));
      return;
    }
    const nlohmann::json status = ask(*control, name(ControlRequest::status), command_timeout);
    const nlohmann::json model = answering_engine(status);
    const auto state = model["state"].get<std::string>();
    const std::string seen =
        fmt::format("process {}, {}, {}", control->welcome.pid, state,
                    show_count(static_cast<std::int64_t>(status["clients"].size()), "client"));
    if (state == "failed" || state == "failing") {
      found.problem("daemon", seen + ": " + model["error"].get<std::string>(),
                    "Mend what the message names, then `hearth restart`.");
    } else if (control->welcome.build != build()) {
      found.warning("daemon", seen + ", of another build: " + control->welcome.build,
                    "`hearth restart` starts this one.");
    } else {
      found.good("daemon", seen);
    }
    if (const auto notice = status.value("jobsNotice", ""); !notice.empty())
      found.warning("daemon", notice, "`hearth status` no longer says it once it is mended.");
    if (const auto notice = status.value("configNotice", ""); !notice.empty())
      found.warning("daemon", notice, "It goes on with the configuration that it had before.");
  } catch (const Unreachable& unreachable) {
    found.problem("daemon", unreachable.what(), "`hearth stop --force` ends it.");
  }
}

void look_at_editors(Examination& found) {
  struct Editor {
    const char* program;
    const char* name;
  };
  constexpr std::array<Editor, 10> known{{{"nvim", "Neovim"},
                                          {"code", "VS Code"},
                                          {"codium", "VSCodium"},
                                          {"vim", "Vim"},
                                          {"emacs", "Emacs"},
                                          {"hx", "Helix"},
                                          {"kak", "Kakoune"},
                                          {"zed", "Zed"},
                                          {"kate", "Kate"},
                                          {"subl", "Sublime Text"}}};
  std::vector<std::string> there;
  for (const Editor& editor : known) {
    if (on_path(editor.program)) there.emplace_back(editor.name);
  }
  if (there.empty()) {
    found.warning("editors", "none found on the PATH",
                  "Any editor with an LSP client will do: see editors/README.md.");
    return;
  }
  const std::string seen = fmt::format("{}", fmt::join(there, ", "));
  const auto plugin = neovim_plugin();
  if (on_path("nvim") && (!plugin || !neovim_finds(*plugin))) {
    found.warning("editors", seen + "; Neovim does not find hearth's plugin",
                  plugin
                      ? "Add to init.lua: vim.opt.runtimepath:append(\"" + plugin->string() + "\")"
                      : "It was not installed with this program: see editors/README.md.");
  } else {
    found.good("editors", seen);
  }
}

// --- What is said --------------------------------------------------------------------------------

std::string show(const Finding& finding, const Style& style) {
  constexpr std::size_t indent = 20;
  const std::string level = fmt::format("{:<8}", name(finding.level));
  const std::string coloured = finding.level == Finding::Level::good      ? style.green(level)
                               : finding.level == Finding::Level::warning ? style.yellow(level)
                                                                          : style.bold(level);
  // The escape sequences take no room.
  std::string text = wrapped(fmt::format("{:<8}{:<12}{}", "", finding.subject, finding.seen),
                             terminal_columns(), indent);
  text = coloured + text.substr(level.size()) + "\n";
  if (!finding.advice.empty()) {
    text += wrapped(std::string(indent, ' ') + finding.advice, terminal_columns(), indent) + "\n";
  }
  return text;
}

int report(const Examination& found, bool json) {
  std::size_t problems = 0;
  std::size_t warnings = 0;
  nlohmann::json list = nlohmann::json::array();
  std::string text;
  const Style style(STDOUT_FILENO);
  for (const Finding& finding : found.findings()) {
    problems += finding.level == Finding::Level::problem ? 1 : 0;
    warnings += finding.level == Finding::Level::warning ? 1 : 0;
    list.push_back({{"level", name(finding.level)},
                    {"subject", finding.subject},
                    {"seen", finding.seen},
                    {"advice", finding.advice}});
    text += show(finding, style);
  }
  if (problems + warnings == 0) {
    text += "\nEverything is as it should be.\n";
  } else {
    text += fmt::format("\n{}, {}.\n", show_count(static_cast<std::int64_t>(problems), "problem"),
                        show_count(static_cast<std::int64_t>(warnings), "warning"));
  }
  std::fputs(
      (json ? list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : text)
          .c_str(),
      stdout);
  return problems == 0 ? 0 : 1;
}

int run_doctor(const DoctorFlags& flags) {
  const Paths paths = find_paths();
  Examination found;
  look_at_program(found);
  const std::optional<Config> config = look_at_configuration(found, paths);
  const Config usable = config.value_or(Config{});
  found.attempt("processor", [&] { look_at_processor(found, usable); });
  if (config && !find_daemon_model(*config, flags.model).empty())
    found.attempt("model", [&] { look_at_checkpoint(found, *config, flags); });
  if (config) look_at_servers(found, *config);
  if (config && !config->inline_model.empty())
    found.attempt("inline", [&] { look_at_inline_model(found, *config, flags); });
  found.attempt("state", [&] { look_at_directories(found, paths, usable); });
  look_at_limits(found);
  found.attempt("daemon", [&] { look_at_daemon(found, paths); });
  look_at_editors(found);
  return report(found, flags.json);
}

}  // namespace

void add_doctor(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "doctor",
      "Looks at everything that hearth depends on, and says what to do where it is wrong");
  auto flags = std::make_shared<DoctorFlags>();
  command->add_option("--model", flags->model, "Directory of the checkpoint to look at");
  command->add_flag("--verify", flags->verify,
                    "Read every byte of the checkpoint too (minutes for a large one)");
  command
      ->add_option("--fim", flags->fim,
                   "Take lines out of these files of code, have the model complete them in each "
                   "way that there is (fill in the middle with either side first, and as a chat), "
                   "and say which suits it (minutes for a large one)")
      ->check(CLI::ExistingFile);
  command->add_flag("--json", flags->json, "As JSON");
  command->footer(
      "Changes nothing. Exit code 1: there is a problem; warnings are none. What it prints\n"
      "names directories of this machine, and nothing of your texts. --fim loads the model,\n"
      "beside that of a running daemon: `hearth stop` first where memory is short.\n"
      "\n"
      "Examples:\n"
      "  hearth doctor\n"
      "  hearth doctor --verify            # after a download");
  command->callback([&chosen, flags] { chosen = [flags] { return run_doctor(*flags); }; });
}

}  // namespace hearth::daemon
