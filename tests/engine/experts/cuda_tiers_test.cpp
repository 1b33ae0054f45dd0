// A model whose experts are in a GPU's memory alone, and computed there: the bits of a prompt and
// of decoding are those of the host. The GPU is the emulated one of tests/kernels/cuda, which runs
// the texts of the kernels and puts off whatever a real one may.
#include <doctest/doctest.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "tests/engine/files.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using kernels::cuda::EmulatedControl;
using Logits = std::vector<std::vector<float>>;

const std::filesystem::path checkpoints = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";
const doctest::skip watched(!kernels::cuda::can_emulate);
constexpr kernels::Device gpu{kernels::Device::Kind::cuda, 0};

struct OnDevice {
  // slots: of the device; 0: the host computes all.
  OnDevice(const std::filesystem::path& model, std::uint64_t host_slots, std::uint64_t slots,
           std::uint32_t seed = 1,
           std::shared_ptr<EmulatedControl> wanted_control = std::make_shared<EmulatedControl>())
      : control(std::move(wanted_control)) {
    EngineOptions options;
    options.model = model;
    options.host().threads = 1;
    options.chunk = 64;
    if (slots > 0) {
      const ExpertStatus status = Runtime::load(options)->experts();
      const std::uint64_t slot = status.budget_bytes / status.slots;
      options.host().expert_memory = host_slots * slot;
      control->seed = seed;
      DeviceOptions wanted{gpu, slots * slot};
      wanted.open = [mine = control] { return kernels::cuda::backend_under_test(gpu, mine); };
      options.devices.push_back(std::move(wanted));
    }
    runtime = Runtime::load(options);
  }

  Logits run(int prompt_tokens, int tokens) {
    Session session(runtime);
    Logits all;
    const auto keep = [&] { all.emplace_back(session.logits().begin(), session.logits().end()); };
    std::vector<TokenId> prompt(static_cast<std::size_t>(prompt_tokens));
    for (std::size_t i = 0; i < prompt.size(); ++i)
      prompt[i] = static_cast<TokenId>((i * 37 + i / 5) % 200);
    session.sync(prompt);
    while (session.prefill(prompt, {}, nullptr) != Progress::done) {
    }
    keep();
    for (int i = 0; i < tokens; ++i) {
      const Progress progress = session.decode(static_cast<TokenId>(i * 53 % 200), nullptr);
      REQUIRE(progress == Progress::done);
      keep();
    }
    return all;
  }

  std::shared_ptr<EmulatedControl> control;
  std::shared_ptr<Runtime> runtime;
};

TEST_CASE("a model's experts in a GPU's memory give the bits of the host" * watched) {
  for (const char* name : {"fp8", "bf16-tied", "fp8-odd-bf16-scales"}) {
    CAPTURE(name);
    const Logits expected = OnDevice(checkpoints / name, 0, 0).run(70, 12);
    OnDevice all(checkpoints / name, 16, 1000);
    CHECK(all.run(70, 12) == expected);
    CHECK(all.runtime->experts().devices.front().promoted > 0);
    // By now all are there, and the host computes none.
    const ExpertStatus before = all.runtime->experts();
    CHECK(all.run(70, 12) == expected);
    const ExpertStatus after = all.runtime->experts();
    CHECK(after.devices.front().hits > before.devices.front().hits);
    CHECK(after.bytes_read == before.bytes_read);
    // Few slots, so that experts change places while the device works.
    OnDevice few(checkpoints / name, 16, 6, 3);
    CHECK(few.run(70, 12) == expected);
    CHECK(few.runtime->experts().devices.front().promoted > 6);
  }
}

TEST_CASE(
    "a GPU that is lost at any call fails the request by name, and nothing wrong is answered") {
  const std::filesystem::path model = checkpoints / "fp8";
  const Logits expected = OnDevice(model, 0, 0).run(20, 3);
  // Behind a first run, by which experts have come to the device: when they do depends on the disk.
  constexpr std::size_t before = 12;
  std::uint64_t calls = 0;
  {
    OnDevice healthy(model, 16, 12);
    healthy.run(20, before);
    const std::uint64_t begun = healthy.control->calls;
    CHECK(healthy.run(20, 3) == expected);
    calls = healthy.control->calls - begun;
  }
  constexpr std::uint64_t tries = 12;
  REQUIRE(calls > 2 * tries);
  for (std::uint64_t i = 0; i < tries; ++i) {
    CAPTURE(i);
    const auto lost = std::make_shared<EmulatedControl>();
    {
      OnDevice device(model, 16, 12, 1, lost);
      device.run(20, before);
      lost->fail_from = lost->calls + 1 + i * calls / (2 * tries);
      std::string error;
      try {
        const Logits answered = device.run(20, 3);
        CHECK(answered == expected);
      } catch (const std::exception& failed) {
        error = failed.what();
      }
      CHECK(contains(error, "cuda 0: "));
      CHECK(contains(error, "the device is lost"));
    }
    CHECK(lost->bytes == 0);
  }
}

}  // namespace
}  // namespace hearth::tests
