// The cards' published figures, and the table made of them.
#include "daemon/commands/cards.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

namespace hearth::daemon {
namespace {

using engine::GpuUse;
using nlohmann::json;

constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
constexpr std::uint64_t ram_of_others = 4 * gibibyte;  // the system, an editor, a browser

// As the vendor's specifications have them: memory and its bandwidth, multiprocessors and their
// boost clock, PCIe generation and lanes. These are as others reprint them, or as they are known;
// the vendor's own sheets were not at hand.
Card card(std::string_view name, std::uint64_t gigabytes, double bandwidth, int multiprocessors,
          double clock, int generation, int lanes) {
  // F16 operations with F32 sums, dense, of one at a clock; on the 4090 that makes the 165.2
  // TFLOP/s that are published for it.
  constexpr double operations = 512;
  return {
      name,
      gigabytes * gibibyte,
      {bandwidth, multiprocessors * clock * operations, engine::link_bandwidth(generation, lanes)}};
}

double per_second(const engine::TokenTime& time, double tokens = 1) {
  return tokens / time.total;
}

json to_json(const GpuPrediction& of) {
  return {{"vramShare", of.resident.vram},
          {"ramShare", of.resident.ram},
          {"vramHits", of.hits.vram},
          {"ramHits", of.hits.ram},
          {"layersOnGpu", of.memory.layers},
          {"decodeTokensPerSecond", per_second(of.token)},
          {"prefillTokensPerSecond", per_second(of.prompt, predicted_prompt)}};
}

}  // namespace

std::span<const Card> cards() {
  static const std::array all{
      card("RTX 3070 Ti 8 GB", 8, 608e9, 48, 1.770e9, 4, 16),
      card("RTX 4060 Ti 8 GB", 8, 288e9, 34, 2.535e9, 4, 8),
      card("RTX 4060 Ti 16 GB", 16, 288e9, 34, 2.535e9, 4, 8),
      card("RTX 3090 24 GB", 24, 936e9, 82, 1.695e9, 4, 16),
      card("RTX 4090 24 GB", 24, 1008e9, 128, 2.520e9, 4, 16),
      card("RTX 5090 32 GB", 32, 1792e9, 170, 2.407e9, 5, 16),
  };
  return all;
}

std::vector<CardRow> card_rows(const Subject& subject, const HitRate& hit_rate,
                               const engine::EngineOptions& options, Machine host) {
  std::vector<CardRow> rows;
  for (const Card& card : cards()) {
    for (const std::uint64_t ram : {32 * gibibyte, 64 * gibibyte}) {
      CardRow row{&card, ram, {}, {}, {}};
      host.memory = {.available = ram - ram_of_others};
      try {
        const Division division(subject, hit_rate, options, host.memory);
        const auto predict = [&](GpuUse use) {
          return predict_gpu(subject, division, hit_rate, options, host, {card.vram, card.speed},
                             use);
        };
        row.now = predict(GpuUse::layers);
        row.later = predict(GpuUse::prompts);
      } catch (const engine::Error& error) {
        row.refusal = error.what();
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::string show(const std::vector<CardRow>& rows) {
  std::string text = fmt::format("  {:<17} {:>4} {:>6} {:>6} {:>6} {:>7} {:>7} {:>8} {:>8}\n", "",
                                 "RAM", "VRAM", "RAM", "hits", "decode", "*", "prefill", "*");
  for (const CardRow& row : rows) {
    text += fmt::format("  {:<17} {:>4}", row.card->name, row.ram / gibibyte);
    if (!row.refusal.empty()) {
      text += "  does not fit\n";
      continue;
    }
    const GpuPrediction& now = row.now;
    text += fmt::format(" {:>5.1f}% {:>5.1f}% {:>5.1f}% {:>7.1f} {:>7.1f} {:>8.0f} {:>8.0f}\n",
                        100 * now.resident.vram, 100 * now.resident.ram,
                        100 * (now.hits.vram + now.hits.ram), per_second(now.token),
                        per_second(row.later.token), per_second(now.prompt, predicted_prompt),
                        per_second(row.later.prompt, predicted_prompt));
  }
  return text;
}

json to_json(const std::vector<CardRow>& rows) {
  json all = json::array();
  for (const CardRow& row : rows) {
    json shown{{"card", row.card->name}, {"vramBytes", row.card->vram}, {"ramBytes", row.ram}};
    if (row.refusal.empty()) {
      shown["now"] = to_json(row.now);
      shown["notBuilt"] = to_json(row.later);
    } else {
      shown["refusal"] = row.refusal;
    }
    all.push_back(std::move(shown));
  }
  return all;
}

}  // namespace hearth::daemon
