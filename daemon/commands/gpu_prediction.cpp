// Predictions with a GPU, in words and tables.
#include "daemon/commands/gpu_prediction.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/commands/arguments.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::daemon {
namespace {

using engine::GpuUse;
using nlohmann::json;

constexpr double gpu_chunk = 8192;  // tokens of a pass where prompts are read on the GPU
constexpr const char* as_it_is =
    "hearth as it is: the GPU computes the layers and experts it holds";
constexpr const char* not_built =
    "not built yet: prompts on tensor cores, the shortlist on the GPU";

const char* title(GpuUse use) {
  return use == GpuUse::layers ? as_it_is : not_built;
}

// "4x16" as a generation and lanes.
std::optional<std::pair<int, int>> parse_pcie(std::string_view text) {
  if (text.size() < 3 || text.size() > 4 || text[0] < '1' || text[0] > '6' || text[1] != 'x')
    return {};
  const std::string lanes(text.substr(2));
  for (const int known : {1, 2, 4, 8, 16}) {
    if (lanes == std::to_string(known)) return std::pair{text[0] - '0', known};
  }
  return {};
}

std::string check_pcie(const std::string& text) {
  if (parse_pcie(text)) return "";
  return text + ": a generation from 1 to 6 and 1, 2, 4, 8 or 16 lanes are expected, such as 4x16";
}

// The experts that the host has room for once the GPU holds what it does, as a share of all.
double ram_share(const Subject& subject, const Division& division,
                 const engine::EngineOptions& options, const Machine& machine,
                 const engine::GpuMemory& gpu) {
  engine::MemoryPlan host = division.plan;
  host.dense -= gpu.dense;
  host.kv -= gpu.kv;
  host.states -= gpu.states;
  host.shortlist -= gpu.shortlist;
  const double all = division.costs.all_expert_bytes();
  engine::MemoryWishes wishes;
  wishes.experts = options.host().expert_memory;
  wishes.all_experts = static_cast<std::uint64_t>(all);
  engine::plan_experts(host, machine.memory, wishes, subject.name);
  return static_cast<double>(host.experts) / all;
}

double milliseconds(double seconds) {
  return 1000 * seconds;
}

std::string in_gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) * 1e-9);
}

std::string show(const engine::TokenTime& time) {
  return fmt::format(
      "GPU {:.1f} ms, CPU {:.1f}, PCIe {:.1f}, disk {:.1f}, round trips {:.1f}; in "
      "all {:.1f} ms, as some of it runs at the same time",
      milliseconds(time.gpu), milliseconds(time.cpu), milliseconds(time.link),
      milliseconds(time.disk), milliseconds(time.round_trips), milliseconds(time.total));
}

std::string places(const Subject& subject, const Division& division, const GpuPrediction& of) {
  const engine::GpuMemory& memory = of.memory;
  std::string text =
      fmt::format("VRAM in GB: left to others {}, CUDA {}, scratch {}", in_gigabytes(memory.others),
                  in_gigabytes(memory.driver), in_gigabytes(memory.scratch));
  text += fmt::format(", {} of {} layers {}, KV {}, states {}", memory.layers,
                      subject.config.num_layers(), in_gigabytes(memory.dense),
                      in_gigabytes(memory.kv), in_gigabytes(memory.states));
  if (of.use == GpuUse::prompts)
    text += fmt::format(", shortlist {}", in_gigabytes(memory.shortlist));
  if (subject.config.is_dense()) return text;
  const double experts = division.costs.all_expert_bytes();
  return text + fmt::format(
                    ", experts {} ({:.1f} % of them); RAM: experts {} ({:.1f} %); disk: the "
                    "other {:.1f} %",
                    in_gigabytes(memory.experts), 100 * of.resident.vram,
                    in_gigabytes(static_cast<std::uint64_t>(of.resident.ram * experts)),
                    100 * of.resident.ram,
                    100 * std::max(0.0, 1 - of.resident.vram - of.resident.ram));
}

json to_json(const engine::TokenTime& time) {
  return {{"gpuSeconds", time.gpu},
          {"cpuSeconds", time.cpu},
          {"pcieSeconds", time.link},
          {"diskSeconds", time.disk},
          {"roundTripSeconds", time.round_trips},
          {"seconds", time.total}};
}

}  // namespace

engine::GpuSpeed DescribedGpu::speed() const {
  const auto [generation, lanes] = parse_pcie(pcie).value();
  return {bandwidth, tensor, engine::link_bandwidth(generation, lanes)};
}

void add_gpu_options(CLI::App& command, DescribedGpu& described) {
  command
      .add_option("--vram", described.vram,
                  "Memory of a GPU, such as 8G; the options below describe it further")
      ->transform(CLI::Validator(to_bytes, ""))
      ->type_name("SIZE");
  command.add_option("--pcie", described.pcie, "Its link: PCIe generation and lanes")
      ->check(CLI::Validator(check_pcie, ""))
      ->type_name("GENxLANES")
      ->capture_default_str();
  command
      .add_option("--gpu-bandwidth", described.bandwidth, "Bandwidth of its memory, as published")
      ->transform(CLI::Validator(to_rate, ""))
      ->type_name("SPEED")
      ->default_str(show_rate(described.bandwidth));
  command
      .add_option("--gpu-arithmetic", described.tensor,
                  "F16 products summed in F32 a second, dense, as published")
      ->transform(CLI::Validator(to_rate, ""))
      ->type_name("SPEED")
      ->default_str(show_rate(described.tensor));
}

GpuPrediction predict_gpu(const Subject& subject, const Division& division, const HitRate& hit_rate,
                          const engine::EngineOptions& options, const Machine& machine,
                          const Gpu& gpu, GpuUse use) {
  const engine::Costs& costs = division.costs;
  GpuPrediction result;
  result.use = use;
  result.memory = engine::divide_vram(costs, division.plan, gpu.vram, use);
  const double all = costs.all_expert_bytes();
  result.hits.ram = 1;
  if (all > 0) {
    result.resident.vram = static_cast<double>(result.memory.experts) / all;
    result.resident.ram = std::min(ram_share(subject, division, options, machine, result.memory),
                                   1 - result.resident.vram);
    // A tier above holds what is used most.
    result.hits.vram = hit_rate(result.resident.vram);
    result.hits.ram = hit_rate(result.resident.vram + result.resident.ram) - result.hits.vram;
  }
  const engine::GpuMachine whole{machine.speed, machine.kernels.at(subject.form), gpu.speed};
  result.token =
      engine::decode_time(costs, whole, result.memory, result.hits, division.plan.shortlist > 0, 0);
  const auto host_chunk =
      static_cast<double>(engine::chunk_rows(options, subject.config, subject.context));
  result.prompt =
      engine::prefill_time(costs, whole, result.memory, use, result.resident, predicted_prompt,
                           use == GpuUse::prompts ? gpu_chunk : host_chunk);
  return result;
}

std::string gpu_lines(const Subject& subject, const Division& division, const HitRate& hit_rate,
                      const engine::EngineOptions& options, const Machine& machine,
                      const Gpu& gpu) {
  std::string text;
  for (const GpuUse use : {GpuUse::layers, GpuUse::prompts}) {
    const GpuPrediction of = predict_gpu(subject, division, hit_rate, options, machine, gpu, use);
    const auto line = [&](const std::string& words) {
      text += wrapped("    " + words + "\n", terminal_columns(), 6);
    };
    text += fmt::format("  {}\n", title(use));
    line(places(subject, division, of));
    if (!subject.config.is_dense())
      line(fmt::format("of a token's experts in VRAM {:.1f} %, RAM {:.1f} %, disk {:.1f} %",
                       100 * of.hits.vram, 100 * of.hits.ram, 100 * of.hits.disk()));
    line(fmt::format("decode {:.1f} tokens/s: {}", 1 / of.token.total, show(of.token)));
    line(
        fmt::format("prefill of {:.0f} tokens: {:.1f} s ({:.0f} tokens/s); GPU {:.1f} s, CPU "
                    "{:.1f}, PCIe {:.1f}, disk {:.1f}",
                    predicted_prompt, of.prompt.total, predicted_prompt / of.prompt.total,
                    of.prompt.gpu, of.prompt.cpu, of.prompt.link, of.prompt.disk));
  }
  return text;
}

std::vector<SweepRow> sweep(Subject subject, const HitRate& hit_rate,
                            const engine::EngineOptions& options, const Machine& machine,
                            const Gpu& gpu) {
  std::vector<SweepRow> rows;
  for (const GpuUse use : {GpuUse::layers, GpuUse::prompts}) {
    for (const std::int64_t context : {8'192, 32'768}) {
      subject.context = context;
      const Division division(subject, hit_rate, options, machine.memory);
      const GpuPrediction of = predict_gpu(subject, division, hit_rate, options, machine, gpu, use);
      for (const double disk : {3.5e9, 7e9}) {
        engine::GpuMachine whole{machine.speed, machine.kernels.at(subject.form), gpu.speed};
        whole.host.disk = disk;
        for (const double hits : {0.85, 0.90, 0.95}) {
          const double vram = std::min(hits, of.hits.vram);
          rows.push_back(
              {use, context, disk, hits,
               engine::decode_time(division.costs, whole, of.memory, {vram, hits - vram},
                                   division.plan.shortlist > 0, static_cast<double>(context))});
        }
      }
    }
  }
  return rows;
}

std::string show(const std::vector<SweepRow>& rows) {
  std::string text;
  for (const SweepRow& row : rows) {
    if (&row == &rows.front() || row.use != (&row - 1)->use) {
      text += fmt::format("  {}\n  {:>7} {:>8} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8}\n",
                          title(row.use), "context", "disk", "hits", "GPU", "CPU", "PCIe", "disk",
                          "trips", "in all", "tokens/s");
    }
    const engine::TokenTime& time = row.token;
    text += fmt::format(
        "  {:>7} {:>8} {:>4.0f}% {:>6.1f} {:>6.1f} {:>6.1f} {:>6.1f} {:>6.1f} {:>6.1f} {:>8.1f}\n",
        row.context, show_rate(row.disk), 100 * row.hits, milliseconds(time.gpu),
        milliseconds(time.cpu), milliseconds(time.link), milliseconds(time.disk),
        milliseconds(time.round_trips), milliseconds(time.total), 1 / time.total);
  }
  return text;
}

json to_json(const std::vector<SweepRow>& rows) {
  json all = json::array();
  for (const SweepRow& row : rows) {
    json shown = to_json(row.token);
    shown.update({{"built", row.use == GpuUse::layers},
                  {"context", row.context},
                  {"diskBandwidth", row.disk},
                  {"hitRate", row.hits},
                  {"tokensPerSecond", 1 / row.token.total}});
    all.push_back(std::move(shown));
  }
  return all;
}

}  // namespace hearth::daemon
