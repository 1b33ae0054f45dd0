// `hearth bench`: the speed of the engine beside the limits of this machine.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/bench.hpp"
#include "daemon/commands/bench_copy.hpp"
#include "daemon/commands/bench_draft.hpp"
#include "daemon/commands/bench_tiers.hpp"
#include "daemon/commands/bench_url.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/commands/local_run.hpp"
#include "daemon/models/gpu_link.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/version.hpp"
#include "daemon/status.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

double giga(double value) {
  return value * 1e-9;
}

class Bench {
 public:
  explicit Bench(const BenchFlags& flags) : flags_(flags) {}

  int run() {
    load();
    wait_until_warm(*runtime_, &interrupted());
    // Before anything is measured, so that the slots' memory is there.
    const engine::WarmUp first = engine::warm_experts(*runtime_, &interrupted());
    measure_machine();
    report("first", first);
    engine::forget_experts(*runtime_);
    report("cold", engine::warm_experts(*runtime_, &interrupted()));
    for (const std::size_t tokens : flags_.prompts) {
      prefill("cold", tokens);
      prefill("warm", tokens);
    }
    interrupt();
    for (const std::size_t depth : flags_.depths) {
      if (depth + 3 * flags_.tokens >= static_cast<std::size_t>(runtime_->engine().context()))
        continue;
      engine::Session session(runtime_);
      if (depth > 0) engine::prefill(session, depth, 3, &interrupted());
      engine::forget_experts(*runtime_);
      decode(session, "cold", depth);
      settle(session);
      decode(session, "warm", depth);
      engine::forget_experts(*runtime_);
      engine::warm_experts(*runtime_, &interrupted());
      decode(session, "again", depth);
    }
    report_memory();
    if (interrupted()) throw Error("interrupted");
    if (flags_.json) std::printf("%s\n", result_.dump(2).c_str());
    return 0;
  }

 private:
  const std::atomic<bool>& interrupted() const { return flag_.flag(); }

  void load() {
    auto options = configured_options(flags_.model);
    options.host().threads = flags_.threads;
    options.context = std::min(std::max<std::int64_t>(16384, options.context),
                               engine::read_config(options.model).max_position_embeddings);
    options.mtp = engine::MtpUse::off;  // no speculation here
    options.prefix_ram_bytes = 0;       // every prompt is computed
    if (flags_.no_shortlist) options.shortlist = engine::ShortlistUse::off;
    if (flags_.memory) options.host().expert_memory = *flags_.memory;
    if (flags_.ram) options.memory = engine::MemoryView{.available = *flags_.ram};
    if (flags_.vram) {
      options.devices.resize(1);
      engine::DeviceOptions gpu{.device = {kernels::Device::Kind::cuda, 0}, .memory = *flags_.vram};
      gpu.open = flags_.open_gpu;
      options.devices.push_back(std::move(gpu));
    }
    if (flags_.scratch) options.scratch = *flags_.scratch;
    if (!flags_.reader.empty()) options.experts.reader = engine::parse_reader(flags_.reader);
    if (!flags_.policy.empty()) options.experts.policy = *engine::parse_policy(flags_.policy);
    if (flags_.no_prefetch) options.experts.prefetch = false;
    options.experts.trace = flags_.trace;
    say("hearth " + build() + ", " + processor());
    say("loading " + options.model.string());
    runtime_ = load_with_progress(options, ::isatty(STDERR_FILENO) == 1);
    costs_ = engine::costs_of(runtime_->engine().config(), engine::weight_form(runtime_->engine()));
  }

  // What goes on, from the first second; as JSON, only the result is printed.
  void say(const std::string& text) const {
    if (flags_.json) return;
    std::printf("%s\n", wrapped(text, terminal_columns(), 2).c_str());
    std::fflush(stdout);
  }

  void measure_machine() {
    say("measuring the machine: memory, disk and arithmetic, about ten seconds");
    machine_ = engine::measure_machine(*runtime_);
    expert_seconds_ = engine::expert_seconds(*runtime_);
    const engine::ExpertStatus experts = runtime_->experts();
    result_ = {{"hearth", build()},
               {"processor", processor()},
               {"engine", runtime_->engine().description()},
               {"numerics", runtime_->engine().numerics()},
               {"notes", runtime_->engine().notes()},
               {"model", runtime_->engine().options().model.string()},
               {"memoryBandwidth", machine_.memory},
               {"diskBandwidth", machine_.disk},
               {"arithmeticPeak", machine_.arithmetic},
               {"expertSeconds", expert_seconds_},
               {"expertSlots", experts.slots},
               {"experts", experts.experts},
               {"reader", experts.reader},
               {"policy", experts.policy},
               {"chunkRows", runtime_->engine().chunk_rows()},
               {"samplingSeconds", runtime_->engine().sampling_seconds()},
               {"runs", json::array()}};
    if (flags_.json) return;
    std::string shown = show_engine(runtime_->engine());
    while (shown.ends_with('\n')) shown.pop_back();
    say(shown);
    const std::string disk =
        machine_.disk > 0 ? fmt::format("disk {:.2f} GB/s, ", giga(machine_.disk)) : "";
    say(fmt::format("memory {:.1f} GB/s, {}arithmetic {:.0f} GFLOP/s", giga(machine_.memory), disk,
                    giga(machine_.arithmetic)));
    const engine::ModelConfig& config = runtime_->engine().config();
    say(config.is_dense()
            ? fmt::format("{} layers, without experts", config.num_layers())
            : fmt::format("{} layers; experts: {}, room for {} ({}), read by {}; policy {}",
                          config.num_layers(), experts.experts, experts.slots,
                          show_bytes(static_cast<double>(experts.budget_bytes)), experts.reader,
                          experts.policy));
    say_gpus(experts);
    say(fmt::format("fingerprint: samples of the experts in {:.0f} ms",
                    1000 * runtime_->engine().sampling_seconds()));
    say(fmt::format("prefill in chunks of {} tokens, {} of scratch",
                    runtime_->engine().chunk_rows(),
                    show_bytes(static_cast<double>(runtime_->memory().scratch))));
    say("measuring prefill and decode: a line as each is there, Ctrl-C stops\n");
    std::printf("%-7s %-5s %6s %6s %9s %8s %7s %8s %9s %5s\n", "", "", "tokens", "depth", "time",
                "tokens/s", "hits", "read", "limit", "share");
    std::fflush(stdout);
  }

  // Each device beside the host, and its link.
  void say_gpus(const engine::ExpertStatus& experts) {
    if (const int layers = runtime_->layers_on_devices(); layers > 0)
      say(fmt::format("on the GPU: {} of {} layers", layers,
                      runtime_->engine().config().num_layers()));
    const auto links = runtime_->measure_links();
    for (std::size_t i = 0; i < experts.devices.size(); ++i) {
      const engine::DeviceExperts& device = experts.devices[i];
      const std::string bus = flags_.open_gpu ? "" : link_of(device.device);
      say(fmt::format("{}: {}{}; room for {} experts ({}){}", kernels::name(device.device),
                      device.description, bus.empty() ? "" : ", " + bus, device.slots,
                      show_bytes(static_cast<double>(device.budget_bytes)),
                      links[i] ? "; copies in GB/s: " + show_link(*links[i]) : ""));
    }
  }

  void prefill(const char* state, std::size_t tokens) {
    if (interrupted() || tokens >= static_cast<std::size_t>(runtime_->engine().context())) return;
    if (state == std::string_view("cold")) engine::forget_experts(*runtime_);
    engine::Session session(runtime_);
    before_ = runtime_->experts();
    const engine::PrefillRun run = engine::prefill(session, tokens, tokens, &interrupted());
    if (interrupted()) return;
    const double read =
        run.bytes_read > 0 ? static_cast<double>(run.bytes_read) / machine_.disk : 0;
    const double experts = static_cast<double>(run.hits + run.misses) * costs_.expert_bytes;
    const double passes = std::ceil(static_cast<double>(tokens) /
                                    static_cast<double>(runtime_->engine().chunk_rows()));
    const double bytes =
        experts + passes * (costs_.dense_bytes() - costs_.embedding_bytes - costs_.head_bytes) +
        costs_.head_bytes;
    const double flops = costs_.prefill_flops(static_cast<double>(tokens));
    const double limit = std::max({read, bytes / machine_.memory, flops / machine_.arithmetic});
    report("prefill", state, tokens, 0, run.seconds, run.hits, run.misses, run.bytes_read, limit,
           {{"limitRead", read},
            {"limitMemory", bytes / machine_.memory},
            {"limitArithmetic", flops / machine_.arithmetic}});
  }

  // How soon a prefill and a decode stop when asked to.
  void interrupt() {
    constexpr std::size_t tokens = 6000;
    constexpr int times = 20;
    if (interrupted() || flags_.prompts.empty() || !flags_.interrupt) return;
    engine::Session session(runtime_);
    report_stops("prefill", engine::interrupt_prefill(session, tokens, times));
    engine::prefill(session, 1, 1, &interrupted());
    if (!interrupted()) report_stops("decode", engine::interrupt_decode(session, times));
  }

  void report_stops(const std::string& what, std::vector<double> seconds) {
    if (seconds.empty()) return;
    std::ranges::sort(seconds);
    const double median = seconds[seconds.size() / 2];
    result_["interrupts"].push_back({{"what", what},
                                     {"times", seconds.size()},
                                     {"medianSeconds", median},
                                     {"worstSeconds", seconds.back()}});
    if (flags_.json) return;
    std::printf("stopping a %s, %zu times: median %.1f ms, worst %.1f ms\n", what.c_str(),
                seconds.size(), 1000 * median, 1000 * seconds.back());
  }

  // Brings the cache to where it stays.
  void settle(engine::Session& session) {
    engine::warm_experts(*runtime_, &interrupted());
    engine::decode(session, flags_.tokens, &interrupted());
  }

  void decode(engine::Session& session, const char* state, std::size_t depth) {
    before_ = runtime_->experts();
    const engine::DecodeRun run = engine::decode(session, flags_.tokens, &interrupted());
    if (interrupted()) return;
    const double elsewhere = share_of_devices(tiers_between(before_, runtime_->experts()));
    const bool all_there = run.misses == 0;
    const double on_gpu = elsewhere * static_cast<double>(costs_.layers.size()) *
                          costs_.experts_per_token * costs_.expert_bytes;
    const double bytes =
        costs_.decode_bytes(runtime_->engine().has_shortlist(), static_cast<double>(depth)) -
        on_gpu;
    const double limit =
        all_there ? static_cast<double>(run.tokens) * bytes / machine_.memory
                  : engine::min_seconds(run, costs_, machine_, (1 - elsewhere) * expert_seconds_);
    report("decode", state, run.tokens, depth, run.seconds, run.hits, run.misses, run.bytes_read,
           limit,
           {{"mixerSeconds", run.mixers},
            {"expertSeconds", run.experts},
            {"headSeconds", run.head},
            {"prefetched", run.prefetched},
            {"prefetchUseful", run.prefetch_useful},
            {"checkSeconds", run.check_seconds},
            {"checkWaitSeconds", run.check_wait_seconds},
            {"bytesPerToken", bytes}});
  }

  // What a warm start reads, beside the disk's bandwidth.
  void report(const char* state, const engine::WarmUp& run) {
    if (interrupted() || run.bytes_read == 0) return;
    const double share = static_cast<double>(run.bytes_read) / run.seconds / machine_.disk;
    result_["warmUps"].push_back({{"state", state},
                                  {"experts", run.experts},
                                  {"bytesRead", run.bytes_read},
                                  {"seconds", run.seconds},
                                  {"shareOfDisk", share}});
    if (flags_.json) return;
    std::printf("warm-up %-5s %6zu experts, %s in %.2f s: %.0f %% of the disk's bandwidth\n", state,
                run.experts, show_bytes(static_cast<double>(run.bytes_read)).c_str(), run.seconds,
                100 * share);
    std::fflush(stdout);
  }

  // What the process had resident at most, beside what it says that it needs.
  void report_memory() {
    const engine::MemoryPlan& plan = runtime_->memory();
    const std::uint64_t stated = plan.dense + plan.shortlist + plan.kv + plan.states +
                                 plan.prefixes + plan.scratch + plan.experts;
    const std::uint64_t peak = engine::peak_resident();
    result_["peakResident"] = peak;
    result_["statedBudgets"] = stated;
    if (flags_.json) return;
    say(fmt::format("resident at most {}; stated: {} of dense weights, {} of experts, {} in all",
                    show_bytes(static_cast<double>(peak)),
                    show_bytes(static_cast<double>(plan.dense + plan.shortlist)),
                    show_bytes(static_cast<double>(plan.experts)),
                    show_bytes(static_cast<double>(stated))));
  }

  void report(const char* what, const char* state, std::size_t tokens, std::size_t depth,
              double seconds, std::uint64_t hits, std::uint64_t misses, std::uint64_t read,
              double limit, json details) {
    const auto asked = static_cast<double>(hits + misses);
    const double rate = asked == 0 ? 1 : static_cast<double>(hits) / asked;
    const double speed = static_cast<double>(tokens) / seconds;
    const std::vector<TierUse> tiers = tiers_between(before_, runtime_->experts());
    details.update({{"what", what},
                    {"state", state},
                    {"tokens", tokens},
                    {"depth", depth},
                    {"seconds", seconds},
                    {"tokensPerSecond", speed},
                    {"hitRate", rate},
                    {"tiers", to_json(tiers)},
                    {"bytesRead", read},
                    {"limitSeconds", limit},
                    {"shareOfLimit", limit / seconds}});
    result_["runs"].push_back(details);
    if (flags_.json) return;
    std::printf("%-7s %-5s %6zu %6zu %7.2f s %8.2f %5.1f %% %8s %7.2f s %3.0f %%\n", what, state,
                tokens, depth, seconds, speed, 100 * rate,
                show_bytes(static_cast<double>(read)).c_str(), limit, 100 * limit / seconds);
    if (tiers.size() > 2) std::printf("        experts in %s\n", show(tiers).c_str());
    if (std::string_view(what) == "decode") {
      const auto per_token = [&](const char* name) {
        return 1000 * details[name].get<double>() / static_cast<double>(tokens);
      };
      std::printf("        a token: %.1f ms attention, %.1f ms experts, %.1f ms head\n",
                  per_token("mixerSeconds"), per_token("expertSeconds"), per_token("headSeconds"));
      const auto prefetched = details["prefetched"].get<double>();
      if (prefetched > 0) {
        std::printf("        %.0f experts prefetched, %.0f %% of them used\n", prefetched,
                    100 * details["prefetchUseful"].get<double>() / prefetched);
      }
      if (read > 0) {
        const auto share = [&](const char* name) {
          return 100 * details[name].get<double>() / seconds;
        };
        std::printf(
            "        checking what was read: waited for %.1f %% of the time, %.1f %% beside\n",
            share("checkWaitSeconds"), share("checkSeconds"));
      }
    }
    std::fflush(stdout);
  }

  const BenchFlags& flags_;
  const InterruptFlag flag_;
  std::shared_ptr<engine::Runtime> runtime_;
  engine::Costs costs_;
  engine::MachineSpeed machine_;
  double expert_seconds_ = 0;
  engine::ExpertStatus before_;  // the run that is being reported
  json result_;
};

}  // namespace

int bench(const BenchFlags& flags) try {
  return Bench(flags).run();
} catch (const kernels::Error& missing) {
  if (!flags.vram) throw;
  throw Error(std::string("--vram needs a GPU: ") + missing.what());
}

void add_bench(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "bench", "Measures this machine and how close to its limits a checkpoint runs");
  auto flags = std::make_shared<BenchFlags>();
  auto* url = command->add_option(
      "--url", flags->url.url,
      "Instead: how fast the server at this address answers, with the key\nof HEARTH_API_KEY");
  url->type_name("URL");
  command
      ->add_option("--name", flags->url.model,
                   "By which name the server's model is asked (default: the first)")
      ->needs(url);
  command->add_option("--rounds", flags->url.rounds, "Of which the server's medians are")
      ->needs(url)
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("model", flags->model, "Directory of the checkpoint")->excludes(url);
  const CLI::Validator size(to_bytes, "");
  command
      ->add_option("--experts-memory", flags->memory,
                   "Memory for experts, such as 2G (default: as configured)")
      ->transform(size)
      ->type_name("SIZE")
      ->excludes(url);
  auto* vram = command
                   ->add_option("--vram", flags->vram,
                                "Memory of the first GPU for layers, then experts, such as 1600M:\n"
                                "a small card on a large one (default: as configured)")
                   ->transform(size)
                   ->type_name("SIZE")
                   ->excludes(url);
  auto* ram = command
                  ->add_option("--ram", flags->ram,
                               "Free memory that is divided, such as 4G (default: this machine's)")
                  ->transform(size)
                  ->type_name("SIZE")
                  ->excludes(url);
  command->add_option("--threads", flags->threads, "Compute threads; 0: one per core")
      ->excludes(url)
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", flags->json, "As JSON");
  auto* copy = command->add_flag(
      "--copy", flags->copy,
      "Instead: the speedup by speculation where a function is copied with one name changed");
  auto* draft = command->add_option(
      "--draft", flags->draft,
      "Instead: whether drafts of the small checkpoint in this directory make\nit faster");
  draft->excludes(copy)->excludes(url);
  copy->excludes(url);
  for (auto* option : {vram, ram}) option->excludes(copy)->excludes(draft);
  for (auto* option :
       {command->add_option("--scratch", flags->scratch, "Memory for prefill, such as 1G")
            ->transform(size)
            ->type_name("SIZE"),
        command->add_option("--prompts", flags->prompts, "Lengths of the prompts, in tokens")
            ->delimiter(',')
            ->capture_default_str(),
        command->add_option("--depths", flags->depths, "Tokens in the context before decode")
            ->delimiter(',')
            ->capture_default_str(),
        command->add_option("--tokens", flags->tokens, "Tokens to decode in each run")
            ->check(CLI::Range(1, 4096))
            ->capture_default_str(),
        command->add_option("--reader", flags->reader, "How experts are read")
            ->check(CLI::IsMember({"io_uring", "threads"})),
        command->add_option("--policy", flags->policy, "Which expert makes room for another")
            ->check(CLI::IsMember({"lru", "lrfu"})),
        command->add_option("--trace", flags->trace,
                            "File to record the routing in (`hearth trace`)"),
        command->add_flag("--no-prefetch", flags->no_prefetch,
                          "Read no expert before the router asks for it"),
        command->add_flag("--interrupt", flags->interrupt,
                          "Also: how soon prefill and decode stop when asked to"),
        command->add_flag("--no-shortlist", flags->no_shortlist, "Compute every logit")}) {
    option->excludes(copy)->excludes(draft);
    if (option->get_name() != "--tokens") option->excludes(url);
  }
  command->footer(
      "Each line compares a run with the shortest time that memory, disk and arithmetic\n"
      "allow; a GPU's part counts as nothing. cold: no expert is in memory; warm: the\n"
      "cache has settled; again: after a warm-up as at a restart. The first warm-up\n"
      "also waits for the system to provide memory.\n"
      "`hearth dummy` makes a checkpoint of the real shapes to run this on.\n"
      "\n"
      "Examples:\n"
      "  hearth bench --prompts 256 --depths 0 --tokens 8\n"
      "  hearth dummy --hidden 128 --layers 4 --tokenizer ember --out small\n"
      "  hearth bench --draft small\n");
  command->callback([&chosen, flags] {
    chosen = [flags] {
      if (!flags->url.url.empty()) {
        flags->url.tokens = static_cast<std::int64_t>(flags->tokens);
        flags->url.json = flags->json;
        return bench_url(flags->url);
      }
      if (!flags->draft.empty()) {
        return bench_draft(
            {flags->model, flags->draft, flags->memory, flags->threads, flags->json});
      }
      if (!flags->copy) return bench(*flags);
      return bench_copy({flags->model, flags->memory, flags->threads, flags->json});
    };
  });
}

}  // namespace hearth::daemon
