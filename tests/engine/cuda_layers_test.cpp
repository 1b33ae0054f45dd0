// Layers in a GPU's memory: what a token costs there in launches, copies, bytes and waits, the bits
// of the host, and a GPU that is lost at any call of a token. The GPU is the emulated one of
// tests/kernels/cuda, which runs the texts of the kernels and puts off whatever a real one may.
#include <algorithm>
#include <exception>
#include <string>

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

struct Gpus {
  explicit Gpus(std::uint32_t seed = 1) {
    for (auto& each : controls) {
      each = std::make_shared<EmulatedControl>();
      each->seed = seed;
    }
  }
  Open open() const {
    return [all = controls](kernels::Device device) {
      return kernels::cuda::backend_under_test(device, all[static_cast<std::size_t>(device.index)]);
    };
  }
  EmulatedControl& first() const { return *controls.front(); }
  std::array<std::shared_ptr<EmulatedControl>, 2> controls;
};

int layers_of(const std::filesystem::path& model) {
  return read_config(model).num_layers();
}

TEST_CASE("layers in a GPU's memory give the bits of the host" * watched) {
  for (const char* name : {"fp8", "bf16-tied", "fp8-odd-bf16-scales"}) {
    CAPTURE(name);
    const std::filesystem::path model = golden / name;
    const Logits expected = run_on_host(model, 70, 6);
    const int half = layers_of(model) / 2;
    std::uint32_t seed = 0;
    for (const std::vector<Share>& shares : std::vector<std::vector<Share>>{
             {{all, 1000}}, {{all, 6}}, {{half}}, {{half, 5}, {all, 5}}}) {
      CAPTURE(shares.size());
      if (kernels::cuda::gpu_is_real() &&
          kernels::cuda_devices().count < static_cast<int>(shares.size()))
        continue;
      CAPTURE(shares.front().layers);
      CAPTURE(shares.front().slots);
      const Gpus gpus(++seed);
      Placed placed(model, shares, gpus.open());
      placed.load();
      CHECK(placed.run(70, 6) == expected);
    }
  }
}

TEST_CASE("a sequence on a GPU passes the borders of blocks and spans with the host's bits" *
          watched) {
  const std::filesystem::path model = golden / "bf16-tied";
  const Gpus gpus;
  Placed placed(model, {{all, 8}}, gpus.open());
  placed.load();
  CHECK(placed.run(250, 9) == run_on_host(model, 250, 9));
}

TEST_CASE("the embedded checkpoint's layers in a GPU's memory give the bits of the host" *
          watched) {
  const std::filesystem::path model = root / "engine/ember";
  const Gpus gpus;
  Placed placed(model, {{all, 12}}, gpus.open());
  placed.load();
  CHECK(placed.run(20, 3) == run_on_host(model, 20, 3));
}

struct Costs {
  explicit Costs(const EmulatedControl& control)
      : launches(control.launches),
        copies(control.copies),
        bytes(control.copied_bytes),
        waits(control.waits),
        allocations(control.allocations) {}
  std::uint64_t launches, copies, bytes, waits, allocations;
};

TEST_CASE("a token waits once a layer, and nothing is allocated for it" * watched) {
  const std::filesystem::path model = golden / "fp8";
  const ModelConfig config = read_config(model);
  const auto layers = static_cast<std::uint64_t>(config.num_layers());
  const auto attending =
      static_cast<std::uint64_t>(std::ranges::count(config.layers, LayerKind::full_attention));
  const auto hidden = static_cast<std::uint64_t>(config.hidden_size) * sizeof(float);
  const auto k = static_cast<std::uint64_t>(config.num_experts_per_tok);
  for (const std::uint64_t slots : {std::uint64_t{1000}, std::uint64_t{2}}) {
    CAPTURE(slots);
    const bool all_there = slots == 1000;
    const Gpus gpus;
    Placed placed(model, {{all, slots}}, gpus.open());
    placed.options.experts.prefetch = false;
    placed.options.drafts = 0;
    placed.load();
    placed.prefill(70);
    const auto moves = [&] {
      const DeviceExperts device = placed.runtime->experts().devices.front();
      return device.promoted + device.demoted;
    };
    // The same token again and again, until its experts are where they stay.
    Logits ignored;
    for (int i = 0; i < 40; ++i) placed.decode({5}, ignored);
    int seen = 0;
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t moved = moves();
      const Costs before(gpus.first());
      placed.decode({5}, ignored);
      if (moves() != moved) continue;  // experts that change places are copies of their own
      const Costs after(gpus.first());
      ++seen;
      CHECK(after.waits - before.waits == layers + 1);  // and for the last layer's rows
      CHECK(after.allocations == before.allocations);
      const std::uint64_t copies = after.copies - before.copies;
      const std::uint64_t bytes = after.bytes - before.bytes;
      // Picks and the normed rows down, angles up; the rows to the device and back.
      const std::uint64_t least = 2 * layers + attending + 2;
      const std::uint64_t least_bytes =
          layers * (k * 8 + hidden) +
          attending * static_cast<std::uint64_t>(config.rotary_dim) * sizeof(float) + 2 * hidden;
      CHECK(copies >= least);
      if (all_there) {
        CHECK(copies == least);
        CHECK(bytes == least_bytes);
      } else {  // and what the host's experts made of them up
        CHECK(copies > least);
        CHECK(copies <= least + layers);
        CHECK(bytes <= least_bytes + layers * k * hidden);
      }
      if (seen == 1)
        MESSAGE("a token of ", layers, " layers, ", slots,
                " slots: ", after.launches - before.launches, " launches, ", copies, " copies of ",
                bytes, " bytes, ", after.waits - before.waits, " waits");
      CHECK(after.launches - before.launches <= layers * 36);
    }
    CHECK(seen > 0);
  }
}

TEST_CASE(
    "a GPU that is lost at any call of a token: nothing wrong is answered, and the host goes on" *
    watched) {
  const std::filesystem::path model = golden / "fp8";
  // By decoding alone, which the emulator has done in no time.
  const auto begin_again = [](Placed& placed) {
    placed.session->sync(made_up_tokens(1));
    Logits found;
    for (const TokenId token : {9, 0, 4}) placed.decode({token}, found);
    return found;
  };
  Placed host(model, {}, {});
  host.load();
  const Logits expected = begin_again(host);
  const auto ready = [&](const Gpus& gpus) {
    auto placed = std::make_unique<Placed>(model, std::vector<Share>{{all, 6}}, gpus.open());
    placed->load();
    Logits first;
    placed->decode({9}, first);
    CHECK(first.front() == expected.front());
    return placed;
  };
  std::uint64_t calls = 0;
  {
    const Gpus gpus;
    const auto placed = ready(gpus);
    const std::uint64_t before = gpus.first().calls;
    Logits second;
    placed->decode({0}, second);
    CHECK(second.front() == expected[1]);
    calls = gpus.first().calls - before;
  }
  REQUIRE(calls > 50);
  for (std::uint64_t call = 1; call <= calls; ++call) {
    CAPTURE(call);
    const Gpus gpus;
    const auto placed = ready(gpus);
    gpus.first().fail_from = gpus.first().calls + call;
    std::string error;
    try {
      placed->session->decode(TokenId{0}, nullptr);
    } catch (const kernels::LostDevice& lost) {
      error = lost.what();
    }
    CHECK(contains(error, "cuda 0: "));
    // Whoever does not ask again from the beginning hears it again; then all is the host's.
    CHECK_THROWS_AS(placed->session->decode(TokenId{0}, nullptr), std::exception);
    CHECK(begin_again(*placed) == expected);
    CHECK(placed->runtime->experts().devices.empty());
    CHECK(gpus.first().bytes == 0);
  }
}

TEST_CASE("a GPU that is lost while a prompt is read or experts move: the host goes on" * watched) {
  const std::filesystem::path model = golden / "fp8";
  const Logits expected = run_on_host(model, 30, 4);
  const auto loaded = [&](const Gpus& gpus) {
    auto placed = std::make_unique<Placed>(model, std::vector<Share>{{3, 5}}, gpus.open());
    placed->load();
    return placed;
  };
  std::uint64_t calls = 0;
  {
    const Gpus gpus;
    const auto placed = loaded(gpus);
    const std::uint64_t before = gpus.first().calls;
    CHECK(placed->run(30, 4) == expected);
    calls = gpus.first().calls - before;
  }
  constexpr std::uint64_t tries = 12;
  REQUIRE(calls > 10 * tries);
  for (std::uint64_t i = 0; i < tries; ++i) {
    CAPTURE(i);
    const Gpus gpus;
    const auto placed = loaded(gpus);
    // A little before the end at the latest: where experts move, the calls are not always as many.
    gpus.first().fail_from = gpus.first().calls + 1 + i * (calls * 9 / 10) / tries;
    CHECK_THROWS_AS(placed->run(30, 4), kernels::LostDevice);
    CHECK(placed->run(30, 4) == expected);
    CHECK(gpus.first().bytes == 0);
  }
}

TEST_CASE("an answer goes on where its GPU is lost, to the same end" * watched) {
  const std::filesystem::path model = root / "engine/ember";
  Placed host(model, {}, {});
  host.load();
  int steps = 0;
  const std::string expected = host.answer(10, [&](int step) { steps = step; });
  REQUIRE(!expected.empty());
  for (const int lost_at : {0, 3, steps - 4, steps - 1}) {
    CAPTURE(lost_at);
    const Gpus gpus;
    Placed placed(model, {{all, 6}}, gpus.open());
    std::string log;
    placed.options.note = [&](const std::string& note) { log += note; };
    placed.load();
    CHECK(placed.answer(10, [&](int step) {
      if (step == lost_at) gpus.first().fail_from = gpus.first().calls + 20;
    }) == expected);
    CHECK(contains(log, "failed"));
    CHECK(gpus.first().bytes == 0);
  }
}

}  // namespace
}  // namespace hearth::tests::layers
