// `hearth plan`: predicts memory and speed of a checkpoint on this machine or a described one.
#include <fmt/format.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/gpu_tables.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/commands/prediction.hpp"
#include "daemon/model_pair.hpp"
#include "daemon/platform/byte_count.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "engine/dummy/dummy.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

constexpr int does_not_fit = 3;  // exit code

// Of the published checkpoints the one that completes beside the others.
constexpr std::string_view small_published = "Qwen3.5-0.8B";

struct PlanFlags {
  std::string model;
  std::string inline_model;
  DescribedMachine machine;
  std::optional<std::uint64_t> experts;  // bytes
  std::string routing = "text";
  std::string trace;  // a recorded routing; goes before `routing`
  std::int64_t context = 32768;
  DescribedGpu gpu;
  bool sweep = false;
  bool cards = false;
  bool json = false;
  HitRate hit_rate;  // that of `routing` or `trace`
};

// What is known of the machine and where from, in words.
struct Sources {
  std::vector<std::string> described;
  std::vector<std::string> here;
};

struct Prediction {
  bool fits = false;
  std::string text;  // lines behind the subject's name
};

HitRate hit_rate_of(const PlanFlags& flags) {
  if (!flags.trace.empty()) return hits_of_trace(engine::read_trace(flags.trace));
  return flags.routing == "text" ? hits_on_text : hits_if_uniform;
}

// Where the hit rates are from, in words.
std::string origin_of_hits(const PlanFlags& flags) {
  if (!flags.trace.empty()) return "replayed from " + flags.trace;
  return flags.routing == "text" ? "as others measured them on text with the 80B"
                                 : "as uniform routing has them";
}

// A large model with a small one beside it for completions.
struct PairPrediction {
  double decode_speed = 0;  // the large one's
  std::string text;
};

// Throws Error where they do not fit together.
PairPrediction predict_pair(const Subject& large, const Subject& small, const PlanFlags& flags,
                            const engine::EngineOptions& options, const Machine& machine) {
  engine::EngineOptions small_one = as_small(options, small.context);
  small_one.model = small.name;
  const auto wants_mtp = small.mtp && options.mtp != engine::MtpUse::off;
  const std::uint64_t bytes = small_memory(engine::costs_of(small.config, small.form, wants_mtp),
                                           small_one, small.config, machine.memory);
  const engine::MemoryView rest = less(machine.memory, bytes);
  const Division alone(large, flags.hit_rate, options, machine.memory);
  const Division beside(large, flags.hit_rate, options, rest);
  const Division completing(small, flags.hit_rate, small_one, machine.memory);
  const double before = alone.decode_speed(machine, large.form);
  PairPrediction pair;
  pair.decode_speed = beside.decode_speed(machine, large.form);
  pair.text = fmt::format(
      "  with {} for completions: {} for it, {:.0f} % of the experts in memory, decode {:.1f} "
      "tokens/s ({:.0f} % less); completions {:.1f} tokens/s\n",
      small.name, show_bytes(static_cast<double>(bytes)), 100 * beside.resident, pair.decode_speed,
      100 * std::max(0.0, 1 - pair.decode_speed / before),
      completing.decode_speed(machine, small.form));
  return pair;
}

Prediction predict(const Subject& subject, const PlanFlags& flags,
                   const engine::EngineOptions& options, const Machine& machine) {
  std::optional<Division> division;
  try {
    division.emplace(subject, flags.hit_rate, options, machine.memory);
  } catch (const engine::Error& error) {
    return {false,
            wrapped(fmt::format("  does not fit: {}\n", error.what()), terminal_columns(), 2)};
  }
  const engine::Costs& costs = division->costs;
  const engine::KernelSpeed& kernels = machine.kernels.at(subject.form);
  const auto chunk =
      static_cast<double>(engine::chunk_rows(options, subject.config, subject.context));
  const std::string dense = fmt::format("{} always in memory{}", show_bytes(costs.dense_bytes()),
                                        costs.mtp_bytes > 0 ? ", the MTP head included" : "");
  std::string text = subject.config.is_dense()
                         ? fmt::format("  {}; it has no experts\n", dense)
                         : fmt::format(
                               "  {} of experts, {}\n"
                               "  {} of experts in memory ({:.0f} %), hit rate {:.1f} %\n",
                               show_bytes(costs.all_expert_bytes()), dense,
                               show_bytes(static_cast<double>(division->plan.experts)),
                               100 * division->resident, 100 * division->hits);
  text += fmt::format(
      "  kernels: {:.1f} GB/s of weights in decode, {:.0f} GFLOP/s in prefill\n"
      "  decode {:.1f} tokens/s; after 4,096 tokens {:.1f}; without speculation\n",
      kernels.products * 1e-9, kernels.gemm.back().flops * 1e-9,
      division->decode_speed(machine, subject.form),
      division->decode_speed(machine, subject.form, 4096));
  for (const double tokens : {512.0, 2048.0, 8192.0}) {
    const double seconds =
        engine::prefill_seconds(costs, machine.speed, kernels, tokens, division->resident, chunk);
    text += fmt::format("  prefill of {:5.0f} tokens: {:7.1f} s ({:.0f} tokens/s)\n", tokens,
                        seconds, tokens / seconds);
  }
  if (flags.gpu.vram)
    text += gpu_lines(subject, *division, flags.hit_rate, options, machine,
                      {*flags.gpu.vram, flags.gpu.speed()});
  return {true, text};
}

std::vector<Subject> published(std::int64_t context) {
  std::vector<Subject> subjects;
  for (const engine::PublishedModel& model : engine::published_models())
    subjects.push_back(
        {std::string(model.checkpoints), model.config, model.form, model.mtp, context});
  return subjects;
}

// What completes beside the others: the one that is named, of the published ones the smallest.
std::optional<Subject> small_subject(const PlanFlags& flags) {
  if (!flags.inline_model.empty()) {
    const engine::CheckpointShape shape =
        engine::read_shape(configured_options(flags.inline_model));
    return subject_of(flags.inline_model, shape);
  }
  if (!flags.model.empty()) return std::nullopt;
  const std::vector<Subject> all = published(flags.context);
  return *std::ranges::find(all, small_published, &Subject::name);
}

std::vector<Subject> subjects_of(const PlanFlags& flags, const engine::EngineOptions& options) {
  if (flags.model.empty()) return published(flags.context);
  const engine::CheckpointShape shape = engine::read_shape(options);
  return {subject_of(flags.model, shape)};
}

// Which figures of the machine were described, and which are this one's.
Sources sources_of(const DescribedMachine& described, const Machine& machine) {
  Sources sources;
  const auto rate = [&](std::optional<double> given, const char* what, std::string measured) {
    if (given) {
      sources.described.push_back(std::string(what) + " " + show_rate(*given));
    } else {
      sources.here.push_back(std::move(measured));
    }
  };
  if (described.ram) {
    sources.described.push_back("--ram " + show_byte_count(*described.ram));
  } else {
    sources.here.push_back(show_bytes(static_cast<double>(machine.memory.available)) +
                           " of memory free");
  }
  rate(described.memory, "--memory",
       fmt::format("memory {:.1f} GB/s", machine.speed.memory * 1e-9));
  if (described.disk || machine.speed.disk > 0)  // a dense model reads nothing from it
    rate(described.disk, "--disk", fmt::format("disk {:.2f} GB/s", machine.speed.disk * 1e-9));
  rate(described.arithmetic, "--arithmetic",
       fmt::format("arithmetic {:.0f} GFLOP/s", machine.speed.arithmetic * 1e-9));
  if (described.whole()) {
    sources.described.emplace_back("and what the kernels usually make of these");
  } else {
    sources.here.emplace_back("and what the kernels make of these");
  }
  return sources;
}

// "TITLE: one, two, three", or nothing for none.
void print_figures(const char* title, const std::vector<std::string>& figures) {
  if (figures.empty()) return;
  std::fputs(
      wrapped(fmt::format("{} {}", title, fmt::join(figures, ", ")), terminal_columns(), 2).c_str(),
      stdout);
  std::fputs("\n", stdout);
}

// The pairs of `large` and each of them with `small`; and which of the published ones is best.
class Pairs {
 public:
  Pairs(const Subject& small, const PlanFlags& flags, const engine::EngineOptions& options,
        const Machine& machine)
      : small_(small), flags_(flags), options_(options), machine_(machine) {}

  // Lines of what `large` is beside it; none for one that makes no pair with it.
  std::string lines(const Subject& large) {
    if (large.name == small_.name || (flags_.model.empty() && large.config.is_dense())) return "";
    try {
      const PairPrediction pair = predict_pair(large, small_, flags_, options_, machine_);
      if (pair.decode_speed > fastest_) {
        fastest_ = pair.decode_speed;
        best_ = large.name;
      }
      return wrapped(pair.text, terminal_columns(), 4);
    } catch (const engine::Error& error) {
      return wrapped(
          fmt::format("  with {} for completions it does not fit: {}\n", small_.name, error.what()),
          terminal_columns(), 4);
    }
  }
  // Empty where nothing fits.
  std::string recommendation() const {
    if (best_.empty()) return "";
    return wrapped(fmt::format("Recommended here: {} (model.path), with {} for completions "
                               "(inline.model): decode {:.1f} tokens/s.\n",
                               best_, small_.name, fastest_),
                   terminal_columns());
  }

 private:
  const Subject& small_;
  const PlanFlags& flags_;
  const engine::EngineOptions& options_;
  const Machine& machine_;
  double fastest_ = 0;
  std::string best_;
};

int run_plan(PlanFlags& flags) {
  engine::EngineOptions options = configured_options(flags.model);
  if (flags.experts) options.host().expert_memory = *flags.experts;
  flags.hit_rate = hit_rate_of(flags);
  if (flags.cards || flags.sweep)
    return print_gpu_tables({subjects_of(flags, options), flags.hit_rate, origin_of_hits(flags),
                             options, flags.machine, flags.gpu, flags.cards, flags.json});
  const std::vector<Subject> subjects = subjects_of(flags, options);
  const std::optional<Subject> small = small_subject(flags);
  std::vector<Subject> measured = subjects;
  if (small) measured.push_back(*small);
  const Machine machine = described_machine(
      flags.machine, flags.machine.whole() ? Machine() : measure_here(options, measured));
  const Sources sources = sources_of(flags.machine, machine);
  print_figures("Described:", sources.described);
  print_figures("Measured here:", sources.here);
  if (flags.gpu.vram) {
    print_figures("GPU:",
                  {"VRAM " + show_byte_count(*flags.gpu.vram) + ", PCIe " + flags.gpu.pcie,
                   "memory " + show_rate(flags.gpu.bandwidth), "F16 " + show_rate(flags.gpu.tensor),
                   "none has been seen: each figure is a prediction"});
    print_figures("Hit rates:", {origin_of_hits(flags)});
  }
  if (flags.model.empty() && !flags.machine.disk) {
    std::fputs(
        "The disk was measured with the small reads of the embedded checkpoint; an expert of\n"
        "these is 3 MiB and comes faster: name its bandwidth with --disk.\n",
        stdout);
  }

  // Checkpoints with the same prediction share a row.
  bool fits = false;
  std::vector<std::pair<std::string, std::string>> rows;  // names, text
  std::optional<Pairs> pairs;
  if (small) pairs.emplace(*small, flags, options, machine);
  for (const Subject& subject : subjects) {
    Prediction prediction = predict(subject, flags, options, machine);
    fits = fits || prediction.fits;
    if (pairs && prediction.fits) prediction.text += pairs->lines(subject);
    if (!rows.empty() && rows.back().second == prediction.text) {
      rows.back().first += ", " + subject.name;
    } else {
      rows.emplace_back(subject.name, prediction.text);
    }
  }
  for (const auto& [names, text] : rows) {
    std::printf("\n%s\n%s", wrapped(names + ":", terminal_columns()).c_str(), text.c_str());
  }
  if (pairs && flags.model.empty()) std::printf("\n%s", pairs->recommendation().c_str());
  return fits ? 0 : does_not_fit;
}

}  // namespace

void add_plan(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "plan", "Predicts memory and speed of a checkpoint on this machine, or on one described");
  auto flags = std::make_shared<PlanFlags>();
  command->add_option("model", flags->model,
                      "Directory of a checkpoint; without it, the published ones");
  command->add_option("--inline", flags->inline_model,
                      "Directory of a second one, which completes (inline.model): what both take,\n"
                      "and what it costs the first");
  add_machine_options(*command, flags->machine);
  command
      ->add_option("--experts-memory", flags->experts, "Memory for experts (default: worked out)")
      ->transform(CLI::Validator(to_bytes, ""))
      ->type_name("SIZE");
  command
      ->add_option("--context", flags->context,
                   "Tokens of a prompt and its answer, for the published ones")
      ->check(CLI::Range(1, 262144))
      ->capture_default_str();
  command
      ->add_option("--routing", flags->routing,
                   "text: as measured on text; uniform: as in a dummy checkpoint")
      ->check(CLI::IsMember({"text", "uniform"}))
      ->capture_default_str();
  command->add_option("--trace", flags->trace,
                      "Hit rates: replayed from a routing that --trace of `hearth generate`,\n"
                      "`chat` or `bench` recorded");
  add_gpu_options(*command, flags->gpu);
  auto* cards = command->add_flag("--cards", flags->cards,
                                  "Instead: a table of graphics cards, with 32 and 64 GB of RAM");
  auto* sweep =
      command
          ->add_flag("--sweep", flags->sweep,
                     "Instead: a token's time by context, disk and hit rate, beside --vram")
          ->excludes(cards)
          ->needs("--vram");
  command->add_flag("--json", flags->json, "The table of --cards or --sweep as JSON");
  command->footer(
      "What you leave out is measured on this machine, and the output says so.\n"
      "With all four given, nothing is measured and every machine prints the same plan.\n"
      "Exit code 3: the checkpoint does not fit, or none of the published ones does.\n"
      "A GPU is only ever described. The tables measure nothing: what is left out there\n"
      "is --memory 45G/s --disk 3.5G/s --arithmetic 500G/s --ram 28G, a usual desktop.\n"
      "\n"
      "Examples:\n"
      "  hearth plan\n"
      "  hearth plan --ram 32G --memory 50G/s --disk 3.5G/s --arithmetic 500G/s\n"
      "  hearth plan --cards\n"
      "  hearth plan --sweep --vram 8G --pcie 4x16 --gpu-bandwidth 608G/s\n");
  command->callback([&chosen, flags, cards, sweep] {
    if (flags->json && cards->empty() && sweep->empty())
      throw CLI::ValidationError("--json", "is for --cards and --sweep");
    chosen = [flags] { return run_plan(*flags); };
  });
}

}  // namespace hearth::daemon
