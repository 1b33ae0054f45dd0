// Experts on devices beside the host: wherever one is, the bits are those of a run with everything
// in the host's memory; a device that fails costs a request and nothing else; and the copies and
// waits of a step are few. The devices are the fake ones of tests/kernels, whose memory nobody can
// reach by mistake and whose queues run only when somebody waits.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/experts/routing_history.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/model.hpp"
#include "tests/engine/files.hpp"
#include "tests/kernels/fake_device.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using kernels::test::FakeDeviceControl;
using Logits = std::vector<std::vector<float>>;

const std::filesystem::path golden = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";
const std::vector<TokenId> decoded{5, 77, 130, 5, 9, 5, 77, 41, 130, 12, 5, 9, 150, 3, 3, 77};

std::uint64_t slot_bytes(const std::filesystem::path& model) {
  EngineOptions options;
  options.model = model;
  options.host().threads = 1;
  const ExpertStatus status = Runtime::load(options)->experts();
  return status.budget_bytes / status.slots;
}

// An engine with devices of so many slots each.
struct Tiers {
  Tiers(const std::filesystem::path& model, std::uint64_t host_slots,
        const std::vector<std::uint64_t>& device_slots, std::uint64_t slot) {
    options.model = model;
    options.host().threads = 2;
    options.chunk = 64;
    options.host().expert_memory = host_slots * slot;
    for (std::size_t i = 0; i < device_slots.size(); ++i) {
      const kernels::Device device{kernels::Device::Kind::cuda, static_cast<int>(i)};
      controls.push_back(std::make_shared<FakeDeviceControl>());
      DeviceOptions wanted{device, device_slots[i] * slot};
      wanted.open = [device, mine = controls.back()] {
        return kernels::test::make_fake_device(device, mine);
      };
      options.devices.push_back(std::move(wanted));
    }
  }
  void load() {
    runtime = Runtime::load(options);
    session = std::make_unique<Session>(runtime);
  }
  std::vector<float> logits() const { return {session->logits().begin(), session->logits().end()}; }
  std::vector<float> prefill() const {
    std::vector<TokenId> prompt(150);
    for (std::size_t i = 0; i < prompt.size(); ++i)
      prompt[i] = static_cast<TokenId>((i * 37 + i / 5) % 200);
    session->sync(prompt);
    while (session->prefill(prompt, {}, nullptr) != Progress::done) {
    }
    return logits();
  }
  std::vector<float> decode(TokenId token) const {
    REQUIRE(session->decode(token, nullptr) == Progress::done);
    return logits();
  }
  Logits run() const {
    Logits all{prefill()};
    for (const TokenId token : decoded) all.push_back(decode(token));
    return all;
  }

  std::vector<std::shared_ptr<FakeDeviceControl>> controls;
  EngineOptions options;
  std::shared_ptr<Runtime> runtime;
  std::unique_ptr<Session> session;
};

Logits run_on_host(const std::filesystem::path& model) {
  Tiers tiers(model, 0, {}, 0);
  tiers.load();
  return tiers.run();
}

TEST_CASE("experts give the same bits on the host, on a device and on two, with tiny budgets") {
  for (const char* name : {"fp8", "bf16-tied", "fp8-odd-bf16-scales"}) {
    const Logits expected = run_on_host(golden / name);
    const std::uint64_t slot = slot_bytes(golden / name);
    struct Budgets {
      std::uint64_t host;
      std::vector<std::uint64_t> devices;
    };
    for (const Budgets& budgets :
         {Budgets{4, {}}, {4, {1000}}, {5, {4}}, {11, {6}}, {40, {2}}, {4, {5, 9}}, {20, {3, 3}}}) {
      for (const PolicyKind policy : {PolicyKind::lru, PolicyKind::lrfu}) {
        CAPTURE(name);
        CAPTURE(budgets.host);
        CAPTURE(budgets.devices.size());
        Tiers tiers(golden / name, budgets.host, budgets.devices, slot);
        tiers.options.experts.policy = policy;
        tiers.options.experts.prefetch = policy == PolicyKind::lru;
        tiers.load();
        CHECK(tiers.run() == expected);
        // Once more, from where the experts are by now: a prompt's too.
        tiers.session = std::make_unique<Session>(tiers.runtime);
        CHECK(tiers.run() == expected);

        const ExpertStatus status = tiers.runtime->experts();
        REQUIRE(status.devices.size() == budgets.devices.size());
        std::size_t resident = status.resident;
        for (std::size_t i = 0; i < status.devices.size(); ++i) {
          const DeviceExperts& device = status.devices[i];
          CHECK(device.device == tiers.options.devices[i + 1].device);
          CHECK(device.promoted > 0);
          CHECK(device.resident > 0);
          CHECK(device.resident < device.slots);  // one is free, for two to change places
          CHECK(tiers.controls[i]->products > 0);
          resident += device.resident;
        }
        CHECK(resident <= status.experts);  // each is in one place
      }
    }
  }
}

TEST_CASE("what a device's experts displace comes back to the host's memory") {
  const std::uint64_t slot = slot_bytes(golden / "fp8");
  Tiers tiers(golden / "fp8", 32, {4}, slot);
  tiers.options.experts.policy = PolicyKind::lru;
  tiers.load();
  tiers.run();
  const ExpertStatus before = tiers.runtime->experts();
  CHECK(before.devices.front().demoted > 0);
  CHECK(before.devices.front().promoted > before.devices.front().demoted);
  // There is room for all: once read, nothing is read again however they move.
  tiers.run();
  const std::uint64_t read = tiers.runtime->experts().bytes_read;
  tiers.session = std::make_unique<Session>(tiers.runtime);
  tiers.run();
  CHECK(tiers.runtime->experts().bytes_read == read);
  CHECK(tiers.runtime->experts().devices.front().demoted > before.devices.front().demoted);
}

// Which device has an expert; brings nothing there that is not.
std::size_t device_of(ExpertCache& cache, const ExpertStore& store, ExpertStore::Key key) {
  const std::vector<ExpertId> wanted{{key % store.experts_per_layer()}};
  std::size_t device = 0;
  cache.lend(LayerId{key / store.experts_per_layer()}, wanted, Pass::prefill, nullptr,
             [&](Leases& leases) { device = leases.next().at(0).device; });
  return device;
}

TEST_CASE("a warm start fills the devices' memory in the order of the experts' worth") {
  const std::uint64_t slot = slot_bytes(golden / "fp8");
  std::uint64_t fingerprint = 0;
  std::size_t experts = 0;
  {
    Tiers plain(golden / "fp8", 8, {}, slot);
    plain.load();
    fingerprint = plain.runtime->engine().fingerprint();
    experts = plain.runtime->experts().experts;
  }
  struct Budgets {
    std::uint64_t host;
    std::vector<std::uint64_t> devices;
  };
  for (const Budgets& budgets : {Budgets{12, {}}, {12, {6}}, {5, {12}}, {10, {5, 4}}}) {
    for (const PolicyKind policy : {PolicyKind::lru, PolicyKind::lrfu}) {
      CAPTURE(budgets.host);
      CAPTURE(budgets.devices.size());
      const ScratchDirectory directory;
      Tiers tiers(golden / "fp8", budgets.host, budgets.devices, slot);
      tiers.options.experts.policy = policy;
      tiers.options.experts.history = directory.path();
      // Each expert has another worth: that in the middle of the keys the most.
      std::vector<ExpertStore::Key> best(experts);
      std::vector<float> uses(experts);
      for (std::size_t i = 0; i < best.size(); ++i) {
        const std::size_t key = (i * 7 + experts / 2) % experts;
        best[i] = static_cast<ExpertStore::Key>(key);
        uses[key] = static_cast<float>(1000 - i);
      }
      std::ostringstream name;
      name << "routing-" << std::hex << std::setw(16) << std::setfill('0') << fingerprint;
      write_history(directory.path() / name.str(), fingerprint, uses);

      tiers.load();
      const ExpertStore& store = *tiers.runtime->engine().model().store;
      ExpertCache& cache = *tiers.runtime->executor().experts;
      const auto wait = [&] {
        while (tiers.runtime->experts().warming)
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
      };
      for (int step = 0; step < 24; ++step) {  // lends, at which experts move on
        wait();
        device_of(cache, store, best[0]);
      }
      wait();
      std::vector<std::size_t> expected;
      for (std::size_t i = 0; i < budgets.devices.size(); ++i)
        expected.insert(expected.end(), budgets.devices[i] - 1, i + 1);
      expected.insert(expected.end(), budgets.host, 0);
      const std::uint64_t misses = tiers.runtime->experts().misses;
      std::vector<std::size_t> found;
      for (std::size_t i = 0; i < expected.size(); ++i)
        found.push_back(device_of(cache, store, best[i]));
      CHECK(found == expected);
      CHECK(tiers.runtime->experts().misses == misses);
      CHECK(tiers.run() == run_on_host(golden / "fp8"));
    }
  }
}

TEST_CASE("a layer's step waits for devices twice at most, and copies a row there and back") {
  const std::uint64_t slot = slot_bytes(golden / "fp8");
  for (const std::vector<std::uint64_t>& devices :
       {std::vector<std::uint64_t>{}, {1000}, {6}, {5, 9}}) {
    CAPTURE(devices.size());
    Tiers tiers(golden / "fp8", 16, devices, slot);
    tiers.load();
    tiers.run();
    const auto sum = [&](auto counter) {
      std::uint64_t total = 0;
      for (const auto& control : tiers.controls) total += (*control).*counter;
      return total;
    };
    const auto moved = [&] {
      std::uint64_t total = 0;
      for (const DeviceExperts& each : tiers.runtime->experts().devices)
        total += each.promoted + each.demoted;
      return total;
    };
    const std::uint64_t waits = sum(&FakeDeviceControl::synchronisations);
    const std::uint64_t copies =
        sum(&FakeDeviceControl::to_device) + sum(&FakeDeviceControl::from_device) - moved();
    for (const TokenId token : decoded) tiers.decode(token);
    const std::uint64_t steps =
        decoded.size() * static_cast<std::uint64_t>(tiers.runtime->engine().config().num_layers());
    const std::uint64_t waited = sum(&FakeDeviceControl::synchronisations) - waits;
    const std::uint64_t copied = sum(&FakeDeviceControl::to_device) +
                                 sum(&FakeDeviceControl::from_device) - moved() - copies;
    CHECK(waited <= 2 * steps);
    CHECK(copied <= 2 * devices.size() * steps);
    if (devices.empty()) {
      CHECK(tiers.runtime->executor().devices.size() == 1);
      CHECK(tiers.runtime->experts().devices.empty());
    } else {
      CHECK(waited > 0);
      CHECK(copied > 0);
    }
  }
}

// What an action's failure says; empty where it does not fail.
template <class Action>
std::string failure_of(Action action) {
  try {
    action();
  } catch (const std::exception& failed) {
    return failed.what();
  }
  return {};
}

TEST_CASE("a device that has no room is done without; one that computes otherwise is refused") {
  const std::uint64_t slot = slot_bytes(golden / "fp8");
  Tiers full(golden / "fp8", 8, {6, 6}, slot);
  full.controls[1]->capacity = 1 << 20;
  std::string no_room;
  full.options.note = [&](const std::string& note) { no_room += note; };
  full.load();
  CHECK(contains(no_room, "cuda 1"));
  CHECK(contains(no_room, "no room"));
  CHECK(full.runtime->experts().devices.size() == 1);
  // The first of two: the second one computes what is in its own memory.
  Tiers second(golden / "fp8", 8, {6, 6}, slot);
  second.controls[0]->capacity = 1 << 20;
  second.load();
  CHECK(second.run() == run_on_host(golden / "fp8"));
  CHECK(second.runtime->experts().devices.front().device == second.options.devices[2].device);
  CHECK(second.controls[1]->products > 0);

  Tiers tiny(golden / "fp8", 8, {1}, slot);
  const std::string too_few = failure_of([&] { tiny.load(); });
  CHECK(contains(too_few, "cuda 0"));
  CHECK(contains(too_few, "at least 2"));

  Tiers twice(golden / "fp8", 8, {6, 6}, slot);
  twice.options.devices[2] = twice.options.devices[1];
  CHECK(contains(failure_of([&] { twice.load(); }), "listed twice"));

  Tiers other(golden / "fp8", 8, {6}, slot);
  other.controls[0]->numerics = "gemm of its own";
  const std::string differs = failure_of([&] { other.load(); });
  CHECK(contains(differs, "cuda 0"));
  CHECK(contains(differs, "gemm of its own"));

  Tiers absent(golden / "fp8", 8, {6}, slot);
  absent.options.devices[1].open = {};
  CHECK(contains(failure_of([&] { absent.load(); }), "CUDA device 0"));
}

TEST_CASE("a device that fails while it works fails the request by name, a full one does not") {
  const Logits expected = run_on_host(golden / "fp8");
  const std::uint64_t slot = slot_bytes(golden / "fp8");
  enum class Fault { copy, lost, scratch };
  for (const Fault fault : {Fault::copy, Fault::lost, Fault::scratch}) {
    for (const std::size_t healthy : {0, 1, 4, 9}) {  // tokens decoded before
      CAPTURE(static_cast<int>(fault));
      CAPTURE(healthy);
      Tiers tiers(golden / "fp8", 9, {5, 8}, slot);
      tiers.load();
      FakeDeviceControl& control = *tiers.controls[1];
      CHECK(tiers.prefill() == expected.front());
      for (std::size_t i = 0; i < healthy; ++i) CHECK(tiers.decode(decoded[i]) == expected[i + 1]);
      if (fault == Fault::copy) control.refuse_transfers = true;
      if (fault == Fault::lost) control.lost = true;
      if (fault == Fault::scratch) control.capacity = 0;
      std::string error;
      std::size_t next = healthy;
      while (next < decoded.size()) {
        error = failure_of([&] { tiers.session->decode(decoded[next], nullptr); });
        if (!error.empty()) break;
        CHECK(tiers.logits() == expected[++next]);
      }
      // Without room for scratch its experts make room, or the host computes them.
      CHECK(contains(error, "cuda 1") == (fault != Fault::scratch));
      control.refuse_transfers = false;
      control.lost = false;
      control.capacity = ~std::uint64_t{0};
      for (; next < decoded.size(); ++next)
        CHECK(tiers.decode(decoded[next]) == expected[next + 1]);
    }
  }
}

TEST_CASE("an interrupted step on devices changes nothing") {
  const Logits expected = run_on_host(golden / "fp8");
  Tiers tiers(golden / "fp8", 6, {8, 8}, slot_bytes(golden / "fp8"));
  tiers.load();
  CHECK(tiers.prefill() == expected.front());
  const std::atomic<bool> interrupt = true;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    CHECK(tiers.session->decode(decoded[i], &interrupt) == Progress::interrupted);
    CHECK(tiers.decode(decoded[i]) == expected[i + 1]);
  }
}

}  // namespace
}  // namespace hearth::tests
