// What is above each table, and the tables as text or JSON.
#include "daemon/commands/gpu_tables.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/commands/arguments.hpp"
#include "daemon/commands/cards.hpp"
#include "daemon/platform/byte_count.hpp"
#include "daemon/platform/format.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

std::string heading(const GpuTables& tables, const Machine& machine) {
  const std::string host = fmt::format("memory {}, arithmetic {}", show_rate(machine.speed.memory),
                                       show_rate(machine.speed.arithmetic));
  const char* const unseen = "No GPU has been seen: each figure is a prediction.";
  if (tables.cards) {
    return wrapped(
        fmt::format(
            "{}, disk {}, 4 GiB of RAM in other use; hit rates {}. {} Shares of the experts "
            "in VRAM and RAM, what is found there, decode and prefill of {:.0f} tokens in "
            "tokens/s; *: with prompts on tensor cores and the shortlist on the GPU, not built "
            "yet.\n",
            host, show_rate(machine.speed.disk), tables.origin_of_hits, unseen, predicted_prompt),
        terminal_columns());
  }
  return wrapped(
      fmt::format("{} of RAM free, {}; VRAM {}, {}, PCIe {}; VRAM's part of the hits {}. "
                  "{} A token behind a full context, in ms; what runs at the same time "
                  "makes \"in all\" less than the sum.\n",
                  show_byte_count(machine.memory.available), host,
                  show_byte_count(*tables.gpu.vram), show_rate(tables.gpu.bandwidth),
                  tables.gpu.pcie, tables.origin_of_hits, unseen),
      terminal_columns());
}

struct Table {
  std::string text;
  json rows;
};

Table table_of(const GpuTables& tables, const Subject& subject, const Machine& machine) try {
  if (tables.cards) {
    const auto rows = card_rows(subject, tables.hit_rate, tables.options, machine);
    return {show(rows), to_json(rows)};
  }
  const auto rows = sweep(subject, tables.hit_rate, tables.options, machine,
                          {*tables.gpu.vram, tables.gpu.speed()});
  return {show(rows), to_json(rows)};
} catch (const engine::Error& error) {
  return {wrapped(fmt::format("  does not fit: {}\n", error.what()), terminal_columns(), 2),
          {{"refusal", error.what()}}};
}

}  // namespace

int print_gpu_tables(GpuTables tables) {
  DescribedMachine& described = tables.described;
  described.ram = described.ram.value_or(std::uint64_t{28} << 30);
  described.memory = described.memory.value_or(45e9);
  described.disk = described.disk.value_or(3.5e9);
  described.arithmetic = described.arithmetic.value_or(500e9);
  const Machine machine = described_machine(described, Machine());
  std::string text = heading(tables, machine);
  json all = json::array();
  for (const Subject& subject : tables.subjects) {
    if (!tables.cards && subject.config.is_dense()) continue;  // it has no hit rate
    Table table = table_of(tables, subject, machine);
    text += "\n" + wrapped(subject.name + ":", terminal_columns()) + "\n" + table.text;
    all.push_back({{"checkpoint", subject.name}, {"rows", std::move(table.rows)}});
  }
  if (tables.json) text = all.dump(2) + "\n";
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace hearth::daemon
