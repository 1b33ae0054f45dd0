// Where the experts were that a run asked for: in which device's memory, or on the disk.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::daemon {

struct TierUse {
  std::string where;  // "host", "cuda 0", "disk"
  double share = 0;   // of what was asked for
};
// Between two looks; nothing where nothing was asked for.
std::vector<TierUse> tiers_between(const engine::ExpertStatus& before,
                                   const engine::ExpertStatus& after);
// Of those that were in memory, the share that devices beside the host had.
double share_of_devices(const std::vector<TierUse>& tiers);
std::string show(const std::vector<TierUse>& tiers);
nlohmann::json to_json(const std::vector<TierUse>& tiers);

}  // namespace hearth::daemon
