// Differences of the cache's counts.
#include "daemon/commands/bench_tiers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace hearth::daemon {

std::vector<TierUse> tiers_between(const engine::ExpertStatus& before,
                                   const engine::ExpertStatus& after) {
  const auto misses = static_cast<double>(after.misses - before.misses);
  auto on_host = static_cast<double>(after.hits - before.hits);
  const double asked = on_host + misses;
  if (asked == 0) return {};
  std::vector<TierUse> tiers;
  for (const engine::DeviceExperts& device : after.devices) {
    const auto same =
        std::ranges::find(before.devices, device.device, &engine::DeviceExperts::device);
    const std::uint64_t earlier = same == before.devices.end() ? 0 : same->hits;
    const auto hits = static_cast<double>(device.hits - earlier);
    on_host -= hits;
    tiers.push_back({kernels::name(device.device), hits / asked});
  }
  tiers.insert(tiers.begin(), {kernels::name(kernels::Device{}), on_host / asked});
  tiers.push_back({"disk", misses / asked});
  return tiers;
}

double share_of_devices(const std::vector<TierUse>& tiers) {
  double devices = 0;
  double memory = 0;
  for (std::size_t i = 0; i + 1 < tiers.size(); ++i) {  // the disk is last
    memory += tiers[i].share;
    if (i > 0) devices += tiers[i].share;
  }
  return memory > 0 ? devices / memory : 0;
}

std::string show(const std::vector<TierUse>& tiers) {
  std::string text;
  for (const TierUse& tier : tiers)
    text += fmt::format("{}{} {:.1f} %", text.empty() ? "" : ", ", tier.where, 100 * tier.share);
  return text;
}

nlohmann::json to_json(const std::vector<TierUse>& tiers) {
  nlohmann::json shown = nlohmann::json::object();
  for (const TierUse& tier : tiers) shown[tier.where] = tier.share;
  return shown;
}

}  // namespace hearth::daemon
