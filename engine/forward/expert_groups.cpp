// The routed experts of a layer, in groups: each device computes those that are in its memory, all
// at the same time. The rows that they see, and their outputs, go by way of the host where an
// expert is not on the layer's own device.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::Slice;

// Experts of such a group: their slots are free again afterwards, and reading goes on into them.
constexpr std::size_t group_experts = 16;

using Group = std::span<const Lease>;

const std::vector<std::int32_t>& places_of(const Places& places, const Lease& lease) {
  return places[static_cast<std::size_t>(lease.expert.value)];
}

// How many of these are computed together.
std::size_t group_size(Group leases, const Places& places) {
  std::size_t size = 0;
  for (std::size_t rows = 0; size < leases.size() && rows < expert_rows && size < group_experts;
       ++size)
    rows += places_of(places, leases[size]).size();
  return size;
}

// Those of the layer's own device: from the rows where they are, to the outputs where they go.
void compute_here(const MoeStep& step, Group leases, const Places& places) {
  const Block& block = step.block;
  const auto k = block.config.num_experts_per_tok;
  const int hidden = static_cast<int>(block.config.hidden_size);
  const std::size_t width = block.hidden();
  const Slice normed = step.normed(block.device);
  const Slice outputs = step.outputs();

  std::vector<ExpertRows> all;
  for (const Lease& lease : leases) {
    const std::vector<std::int32_t>& mine = places_of(places, lease);
    ExpertRows some{&lease.weights, {}, {}, static_cast<int>(mine.size())};
    if (some.rows == 1) {  // stays where it is
      const auto place = static_cast<std::size_t>(mine.front());
      some.x = normed.sub(place / static_cast<std::size_t>(k) * width, width);
      some.out = outputs.sub(place * width, width);
    } else {
      std::vector<std::int32_t> rows;
      rows.reserve(mine.size());
      for (const std::int32_t place : mine) rows.push_back(place / k);
      some.x = block.space.take(rows.size() * width);
      some.out = block.space.take(rows.size() * width);
      block.backend.gather_rows(normed, hidden, rows, some.x);
    }
    all.push_back(some);
  }
  gated_mlps(block, all);
  for (std::size_t i = 0; i < leases.size(); ++i)
    if (all[i].rows > 1)
      block.backend.scatter_rows(all[i].out, hidden, places_of(places, leases[i]), outputs);
}

// What another device was given to compute, and where its outputs will be once it has finished.
struct Elsewhere {
  Backend* backend = nullptr;
  std::vector<std::int32_t> places;  // of the outputs in [T][k], expert by expert
  Slice outputs;                     // [places][H], the host's
};

Elsewhere elsewhere(Backend& backend, Group leases, const Places& places) {
  Elsewhere group{&backend, {}, {}};
  for (const Lease& lease : leases) {
    const std::vector<std::int32_t>& mine = places_of(places, lease);
    group.places.insert(group.places.end(), mine.begin(), mine.end());
  }
  return group;
}

// Each lease's rows of x, `row_of` a place, through its expert; the outputs expert by expert.
template <class RowOf>
void compute_there(const Block& there, Group leases, const Places& places, Slice x, Slice outputs,
                   const RowOf& row_of) {
  const std::size_t width = there.hidden();
  std::vector<ExpertRows> all;
  std::size_t done = 0;  // outputs
  for (const Lease& lease : leases) {
    std::vector<std::int32_t> mine;  // rows of x
    for (const std::int32_t place : places_of(places, lease)) mine.push_back(row_of(place));
    ExpertRows some{&lease.weights, {}, {}, static_cast<int>(mine.size())};
    some.out = outputs.sub(done * width, mine.size() * width);
    if (some.rows == 1) {
      some.x = x.sub(static_cast<std::size_t>(mine.front()) * width, width);
    } else {
      some.x = there.space.take(mine.size() * width);
      there.backend.gather_rows(x, static_cast<int>(width), mine, some.x);
    }
    done += mine.size();
    all.push_back(some);
  }
  gated_mlps(there, all);
}

Block block_on(const MoeStep& step, std::size_t device) {
  const Block& block = step.block;
  const ComputeDevice& there = step.executor.devices[device];
  return {block.config, *there.backend, *there.workspace, block.form,
          block.rows,   block.position, device,           block.at_once};
}

// Has a device beside the host, which is not the layer's, begin: the rows that its experts see go
// there, their outputs come back.
Elsewhere begin_on_device(const MoeStep& step, std::size_t index, Group leases,
                          const Places& places) {
  const ComputeDevice& device = step.executor.devices[index];
  Backend& backend = *device.backend;
  const Block there = block_on(step, index);
  const auto k = there.config.num_experts_per_tok;
  const std::size_t width = there.hidden();

  Elsewhere group = elsewhere(backend, leases, places);
  std::vector<std::int32_t> rows;  // of the chunk, each once
  for (const std::int32_t place : group.places) rows.push_back(place / k);
  std::ranges::sort(rows);
  rows.erase(std::ranges::unique(rows).begin(), rows.end());

  const Slice here = device.staging->take(rows.size() * width);
  step.executor.host().gather_rows(step.normed(0), static_cast<int>(width), rows, here);
  const Slice x = there.space.take(rows.size() * width);
  const Slice outputs = there.space.take(group.places.size() * width);
  group.outputs = device.staging->take(group.places.size() * width);

  backend.begin(step.interrupt);
  backend.transfer(here, x);
  compute_there(there, leases, places, x, outputs, [&](std::int32_t place) {
    return static_cast<std::int32_t>(std::ranges::lower_bound(rows, place / k) - rows.begin());
  });
  backend.transfer(outputs, group.outputs);
  return group;
}

// Those that the host has, of a layer on a device.
Elsewhere compute_on_host(const MoeStep& step, Group leases, const Places& places) {
  const Block host = block_on(step, 0);
  const auto k = host.config.num_experts_per_tok;
  Elsewhere group = elsewhere(host.backend, leases, places);
  group.outputs =
      step.executor.devices[step.block.device].staging->take(group.places.size() * host.hidden());
  host.backend.begin(step.interrupt);
  compute_there(host, leases, places, step.normed(0), group.outputs,
                [&](std::int32_t place) { return place / k; });
  return group;
}

// Waits for the group, and takes its outputs to the layer's device. False: interrupted.
bool end_elsewhere(const MoeStep& step, const Elsewhere& group) {
  if (!group.backend->finish()) return false;
  const Block& block = step.block;
  Slice outputs = group.outputs;
  if (block.device != 0) {
    outputs = block.space.take(group.outputs.size());
    block.backend.transfer(group.outputs, outputs);
  }
  block.backend.scatter_rows(outputs, static_cast<int>(block.config.hidden_size), group.places,
                             step.outputs());
  return true;
}

// One group of experts of each device, at the same time. False: interrupted.
bool compute_groups(const MoeStep& step, const Places& places, std::span<const Group> groups) {
  const Block& block = step.block;
  for (const ComputeDevice& device : step.executor.devices) {
    device.workspace->reset();
    // A layer's copies are under way until the next layer waits.
    if (device.staging && block.waits()) device.staging->reset();
  }
  block.backend.begin(step.interrupt);
  std::vector<Elsewhere> begun;
  for (std::size_t i = 1; i < groups.size(); ++i) {
    if (i != block.device && !groups[i].empty())
      begun.push_back(begin_on_device(step, i, groups[i], places));
  }
  if (!groups[block.device].empty()) compute_here(step, groups[block.device], places);
  bool complete = true;
  if (block.device != 0 && !groups[0].empty())
    complete = end_elsewhere(step, compute_on_host(step, groups[0], places));
  if (block.device == 0) complete = block.backend.finish();
  for (const Elsewhere& group : begun) complete = end_elsewhere(step, group) && complete;
  return block.settle() && complete;
}

}  // namespace

bool compute_leased_experts(const MoeStep& step, const Places& places, Leases& leases) {
  const std::size_t devices = step.executor.devices.size();
  for (;;) {
    std::vector<Lease> ready = leases.next();
    if (ready.empty()) return true;
    if (devices > 1) std::ranges::stable_sort(ready, {}, &Lease::device);
    std::vector<Group> rest(devices);
    for (Group all = ready; !all.empty();) {
      const auto other = [&](const Lease& lease) { return lease.device != all.front().device; };
      const auto end = std::ranges::find_if(all, other);
      const auto count = static_cast<std::size_t>(end - all.begin());
      rest[all.front().device] = all.first(count);
      all = all.subspan(count);
    }
    const auto is_empty = [](Group some) { return some.empty(); };
    while (!std::ranges::all_of(rest, is_empty)) {
      std::vector<Group> groups = rest;
      for (Group& group : groups) group = group.first(group_size(group, places));
      if (!compute_groups(step, places, groups)) return false;
      for (std::size_t i = 0; i < groups.size(); ++i) {
        for (const Lease& lease : groups[i])
          step.work.done[static_cast<std::size_t>(lease.expert.value)] = true;
        rest[i] = rest[i].subspan(groups[i].size());
        if (!groups[i].empty()) leases.release(groups[i]);
      }
    }
  }
}

}  // namespace hearth::engine
