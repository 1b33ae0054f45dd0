// How much of a GPU's memory is taken: what is free there less what others need; and what becomes
// of a request where others took it. Bits are those of the host. The GPU is the emulated one of
// tests/kernels/cuda, whose free memory the test says.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "engine/support/memory.hpp"
#include "tests/engine/files.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using kernels::cuda::EmulatedControl;
using Logits = std::vector<std::vector<float>>;

const std::filesystem::path model = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden/fp8";
const doctest::skip watched(!kernels::cuda::can_emulate);
constexpr kernels::Device gpu{kernels::Device::Kind::cuda, 0};
constexpr std::uint64_t left_alone = vram_for_others + vram_scratch;
constexpr std::uint64_t everything = ~std::uint64_t{0} / 2;

EngineOptions host_options() {
  EngineOptions options;
  options.model = model;
  options.host().threads = 1;
  options.chunk = 64;
  return options;
}

std::uint64_t slot_bytes() {
  const ExpertStatus status = Runtime::load(host_options())->experts();
  return status.budget_bytes / status.slots;
}

Logits run(const std::shared_ptr<Runtime>& runtime) {
  Session session(runtime);
  const std::vector<TokenId> prompt{3, 77, 12, 5, 130, 9};
  session.sync(prompt);
  while (session.prefill(prompt, {}, nullptr) != Progress::done) {
  }
  Logits all{{session.logits().begin(), session.logits().end()}};
  for (const TokenId token : {5, 77, 130, 5}) {
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    all.emplace_back(session.logits().begin(), session.logits().end());
  }
  return all;
}

struct OnGpu {
  // `budget`: as the options have it.
  explicit OnGpu(std::uint64_t budget, std::uint64_t capacity) {
    control->capacity = capacity;
    EngineOptions options = host_options();
    options.host().expert_memory = 16 * slot_bytes();
    options.note = [this](const std::string& note) { notes += note + "\n"; };
    DeviceOptions device{gpu, budget};
    device.open = [mine = control] { return kernels::cuda::emulated_backend(gpu, mine); };
    options.devices.push_back(std::move(device));
    runtime = Runtime::load(options);
  }
  std::size_t slots() const {
    const ExpertStatus status = runtime->experts();
    return status.devices.empty() ? 0 : status.devices.front().slots;
  }

  std::shared_ptr<EmulatedControl> control = std::make_shared<EmulatedControl>();
  std::string notes;
  std::shared_ptr<Runtime> runtime;
};

TEST_CASE("without a budget of its own a GPU gives what is free, less what others need" * watched) {
  const Logits expected = run(Runtime::load(host_options()));
  const std::uint64_t slot = slot_bytes();
  for (const std::uint64_t slots : {0, 1, 3, 9, 100'000}) {
    CAPTURE(slots);
    // A quarter of a slot more: what has been opened takes a little, too.
    OnGpu on_gpu(0, left_alone + slots * slot + slot / 4);
    const std::size_t all = on_gpu.runtime->experts().experts;
    const std::size_t usable = slots < 2 ? 0 : std::min<std::size_t>(slots, all);
    CHECK(on_gpu.slots() == usable);
    CHECK(on_gpu.runtime->device_use() == (usable > 0 ? DeviceUse::in_use : DeviceUse::released));
    CHECK(contains(on_gpu.notes, "no room for experts now") == (usable == 0));
    CHECK(run(on_gpu.runtime) == expected);
  }
}

TEST_CASE("a budget that a GPU has no room for becomes smaller, down to none" * watched) {
  const Logits expected = run(Runtime::load(host_options()));
  const std::uint64_t slot = slot_bytes();
  // Arenas have 4 MiB at least.
  const std::uint64_t arena = std::max<std::uint64_t>(8 * slot, std::uint64_t{4} << 20);
  OnGpu some(std::uint64_t{1} << 40, arena + (std::uint64_t{1} << 20));
  CHECK(some.slots() > 2);
  CHECK(run(some.runtime) == expected);
  OnGpu none(8 * slot, std::uint64_t{1} << 20);
  CHECK(none.slots() == 0);
  CHECK(contains(none.notes, "no room for experts now"));
  CHECK(run(none.runtime) == expected);
}

TEST_CASE("a GPU that others fill while it works costs no request, and comes back with fewer" *
          watched) {
  const Logits expected = run(Runtime::load(host_options()));
  const std::uint64_t slot = slot_bytes();
  OnGpu on_gpu(12 * slot, everything);
  REQUIRE(on_gpu.slots() == 12);
  // Some experts go there first: those of the prompt's last token, which begins no prompt.
  const std::vector<TokenId> other{9};
  Session session(on_gpu.runtime);
  session.sync(other);
  while (session.prefill(other, {}, nullptr) != Progress::done) {
  }
  on_gpu.control->taken = everything;
  CHECK(run(on_gpu.runtime) == expected);
  CHECK(run(on_gpu.runtime) == expected);
  CHECK(on_gpu.runtime->device_use() == DeviceUse::released);
  CHECK(contains(on_gpu.notes, "no room for"));
  on_gpu.control->taken = 0;
  on_gpu.runtime->take_devices();
  CHECK(on_gpu.slots() == 9);
  CHECK(run(on_gpu.runtime) == expected);
}

TEST_CASE("released devices hold nothing, and have what was used most when they are taken again" *
          watched) {
  const Logits expected = run(Runtime::load(host_options()));
  OnGpu on_gpu(10 * slot_bytes(), everything);
  CHECK(run(on_gpu.runtime) == expected);
  for (int i = 0; i < 3; ++i) {
    on_gpu.runtime->release_devices();
    CHECK(on_gpu.control->bytes == 0);
    CHECK(on_gpu.runtime->device_use() == DeviceUse::released);
    if (i > 0) CHECK(run(on_gpu.runtime) == expected);
    on_gpu.runtime->take_devices();
    CHECK(on_gpu.runtime->device_use() == DeviceUse::in_use);
    CHECK(run(on_gpu.runtime) == expected);
    CHECK(on_gpu.runtime->experts().devices.front().promoted > 0);
    CHECK(on_gpu.control->bytes > 0);
  }
}

TEST_CASE("a GPU that is lost can be given back, and its link is measured while it works" *
          watched) {
  const Logits expected = run(Runtime::load(host_options()));
  OnGpu on_gpu(10 * slot_bytes(), everything);
  const auto links = on_gpu.runtime->measure_links();
  REQUIRE(links.size() == 1);
  REQUIRE(links.front());
  for (const double rate : {links.front()->to_locked, links.front()->from_locked,
                            links.front()->to_plain, links.front()->from_plain})
    CHECK(rate > 0);
  CHECK(run(on_gpu.runtime) == expected);
  on_gpu.control->fail_from = 1;
  on_gpu.runtime->release_devices();
  CHECK(on_gpu.control->bytes == 0);
  CHECK(run(on_gpu.runtime) == expected);
  on_gpu.runtime->take_devices();
  CHECK(contains(on_gpu.notes, "the device is lost"));
  CHECK(run(on_gpu.runtime) == expected);
}

}  // namespace
}  // namespace hearth::tests
