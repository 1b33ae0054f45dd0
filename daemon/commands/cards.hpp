// `hearth plan --cards`: graphics cards that people ask about, and what each would make of the
// published checkpoints.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/gpu_prediction.hpp"

namespace hearth::daemon {

struct Card {
  std::string_view name;
  std::uint64_t vram = 0;  // bytes
  engine::GpuSpeed speed;
};
std::span<const Card> cards();

// A checkpoint on one of them, beside so much RAM.
struct CardRow {
  const Card* card = nullptr;
  std::uint64_t ram = 0;  // of the machine, bytes
  std::string refusal;    // why it does not fit; empty: it does
  GpuPrediction now;      // as hearth is
  GpuPrediction later;    // not built yet
};
// `host` without its memory: each row has its own.
std::vector<CardRow> card_rows(const Subject& subject, const HitRate& hit_rate,
                               const engine::EngineOptions& options, Machine host);
std::string show(const std::vector<CardRow>& rows);
nlohmann::json to_json(const std::vector<CardRow>& rows);

}  // namespace hearth::daemon
