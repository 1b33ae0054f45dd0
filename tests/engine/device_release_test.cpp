// Layers on a GPU that is given back in the middle of what is computed, and taken again: nothing of
// it is left there, sequences go on with the bits of an unbroken run, and a GPU without the room
// that it was said to have is used for less. The GPU is the emulated one of tests/kernels/cuda.
#include <algorithm>
#include <fstream>
#include <string>

#include "engine/forward/model.hpp"
#include "engine/support/memory.hpp"
#include "tests/engine/device_layers.hpp"
#include "tests/engine/files.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"

namespace hearth::tests::layers {
namespace {

using namespace engine;
using kernels::cuda::EmulatedControl;

const std::filesystem::path root = HEARTH_SOURCE_DIR;
const std::filesystem::path golden = root / "tests/golden";
const doctest::skip watched(!kernels::cuda::can_emulate);

struct OnGpu {
  OnGpu(const std::filesystem::path& model, const std::vector<Share>& shares)
      : placed(model, shares, [mine = control](kernels::Device device) {
          return kernels::cuda::emulated_backend(device, mine);
        }) {
    placed.options.note = [this](const std::string& note) { notes += note + "\n"; };
  }
  int layers_there() const {
    const auto& layers = placed.runtime->engine().model().layers;
    return static_cast<int>(
        std::ranges::count_if(layers, [](const Layer& layer) { return layer.device > 0; }));
  }
  void release() {
    CHECK(placed.runtime->release_devices());
    CHECK(control->bytes == 0);
    CHECK(placed.runtime->device_use() == DeviceUse::released);
    CHECK(layers_there() == 0);
  }
  void take() {
    CHECK(placed.runtime->take_devices());
    CHECK(control->bytes > 0);
    CHECK(placed.runtime->device_use() == DeviceUse::in_use);
  }

  std::shared_ptr<EmulatedControl> control = std::make_shared<EmulatedControl>();
  std::string notes;
  Placed placed;
};

TEST_CASE("a GPU goes and comes between tokens, and no bit changes" * watched) {
  for (const char* name : {"fp8", "bf16-mtp-single", "q35-fp8"}) {
    CAPTURE(name);
    const std::filesystem::path model = golden / name;
    const Logits expected = run_on_host(model, 30, 9);
    const int half = read_config(model).num_layers() / 2;
    for (const std::vector<Share>& shares : std::vector<std::vector<Share>>{{{all, 6}}, {{half}}}) {
      OnGpu on(model, shares);
      on.placed.load();
      const int there = on.layers_there();
      REQUIRE(there > 0);
      const MemoryPlan before = on.placed.runtime->memory();
      Logits found{on.placed.prefill(30)};
      for (int i = 0; i < 9; ++i) {
        const auto token = static_cast<TokenId>(i * 53 % 200);
        if (i % 3 != 2)
          on.placed.decode({token}, found);
        else
          on.placed.decode({token, 7, 11, 5}, found);
        // Between drafts and what is taken back of them, too.
        if (i % 4 == 1) on.release();
        if (i % 4 == 1) CHECK(on.placed.runtime->memory().dense > before.dense);
        if (i % 4 == 2) on.take();
        if (i % 3 == 2) on.placed.session->keep_decoded(2);
        CHECK(on.layers_there() == (i % 4 == 1 ? 0 : there));
      }
      CHECK(found == expected);
      CHECK(on.placed.session->tokens_computed() == 30 + 6 + 3 * 4);
      CHECK(on.placed.runtime->memory().dense == before.dense);
      CHECK(on.placed.runtime->memory().experts == before.experts);
    }
  }
}

TEST_CASE("a prompt goes on from between its layers, wherever they are by then" * watched) {
  const std::filesystem::path model = golden / "fp8";
  const Logits expected = run_on_host(model, 70, 3);
  for (const int every : {1, 3}) {
    CAPTURE(every);
    OnGpu on(model, {{2, 5}});
    on.placed.load();
    const std::vector<TokenId> prompt = made_up_tokens(70);
    on.placed.session->sync(prompt);
    bool there = true;
    for (int piece = 1; on.placed.session->prefill(prompt, {}, nullptr) != Progress::done;
         ++piece) {
      if (piece % every != 0) continue;
      there ? on.release() : on.take();
      there = !there;
    }
    CHECK(on.placed.session->tokens_computed() == 70);
    CHECK(on.placed.logits() == expected.front());
    Session moved(std::move(*on.placed.session));
    if (there) on.release();
    *on.placed.session = std::move(moved);
    CHECK(on.placed.run(70, 3) == expected);
  }
}

TEST_CASE("an answer's GPU is given back and taken again on its way" * watched) {
  const std::filesystem::path model = root / "engine/ember";
  Placed host(model, {}, {});
  host.load();
  int steps = 0;
  const std::string expected = host.answer(8, [&](int step) { steps = step; });
  REQUIRE(steps > 6);
  OnGpu on(model, {{all, 6}});
  on.placed.load();
  CHECK(on.placed.answer(8, [&](int step) {
    if (step == 2 || step == steps - 2) on.release();
    if (step == steps - 4) on.take();
  }) == expected);
  // Nothing began again.
  CHECK(on.placed.session->tokens_computed() == host.session->tokens_computed());

  // A GPU that is lost while it is given back takes its states with it, and the answer begins
  // again.
  OnGpu lost(model, {{all, 6}});
  lost.placed.load();
  CHECK(lost.placed.answer(8, [&](int step) {
    if (step != steps - 3) return;
    lost.control->fail_from = lost.control->calls + 1;
    lost.release();
  }) == expected);
}

TEST_CASE("a GPU whose layers cannot be read again keeps them" * watched) {
  const ScratchDirectory directory;
  std::filesystem::copy(golden / "fp8", directory.path(), std::filesystem::copy_options::recursive);
  OnGpu on(directory.path(), {{all, 6}});
  on.placed.load();
  const int there = on.layers_there();
  std::ofstream(directory.path() / "model-00001-of-00002.safetensors", std::ios::app) << "more";
  CHECK_FALSE(on.placed.runtime->release_devices());
  CHECK(contains(on.notes, "the layers on a device stay there"));
  CHECK(on.layers_there() == there);
  CHECK(on.placed.runtime->device_use() == DeviceUse::in_use);
  CHECK(on.placed.runtime->experts().devices.size() == 1);
}

TEST_CASE("what is free on a GPU pays for layers first, then for experts" * watched) {
  const std::filesystem::path model = golden / "fp8";
  const Logits expected = run_on_host(model, 20, 3);
  const int layers = read_config(model).num_layers();
  constexpr std::uint64_t left_alone = vram_for_others + vram_scratch;
  int before = 0;
  for (const std::uint64_t free : {8ull << 20, 24ull << 20, 64ull << 20}) {
    CAPTURE(free);
    OnGpu on(model, {{0}});
    DeviceOptions& device = on.placed.options.devices[1];
    device.expert_memory = 0;
    device.layers = std::nullopt;
    on.placed.options.context = 512;
    on.control->capacity = left_alone + free;
    on.placed.load();
    CHECK(on.layers_there() >= before);
    before = on.layers_there();
    CHECK(on.placed.run(20, 3) == expected);
    CHECK(on.control->bytes <= free + vram_scratch);
    on.release();
    on.take();
    CHECK(on.layers_there() == before);
    CHECK(on.placed.run(20, 3) == expected);
  }
  CHECK(before == layers);
}

TEST_CASE("a GPU without the room that it was said to have is used for less" * watched) {
  const std::filesystem::path model = golden / "fp8";
  const Logits expected = run_on_host(model, 20, 3);
  int most = 0;
  for (const std::uint64_t capacity :
       {1ull << 10, 200ull << 10, 1ull << 20, 4ull << 20, 1ull << 30}) {
    CAPTURE(capacity);
    OnGpu on(model, {{0}});
    DeviceOptions& device = on.placed.options.devices[1];
    device.expert_memory = 0;
    device.layers = std::nullopt;
    device.memory = std::uint64_t{1} << 30;
    on.placed.options.context = 512;
    on.control->capacity = capacity;
    on.placed.load();
    const int there = on.layers_there();
    most = std::max(most, there);
    CHECK(on.placed.run(20, 3) == expected);
    // Others take all that is left of it: what needs more is done without.
    on.control->taken = std::uint64_t{1} << 40;
    on.placed.session = std::make_unique<Session>(on.placed.runtime);
    CHECK(on.placed.run(20, 3) == expected);
    if (there == 0) continue;  // a sequence takes nothing there
    CHECK(on.placed.runtime->device_use() == DeviceUse::released);
    CHECK(on.control->bytes == 0);
  }
  CHECK(most == read_config(model).num_layers());
}

}  // namespace
}  // namespace hearth::tests::layers
