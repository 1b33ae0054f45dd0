// Layers on devices beside the host: their mixers, routers and shared experts are computed there,
// where the sequence's states are, with the bits of a run on the host alone. The devices are the
// fake ones of tests/kernels, whose memory nobody can reach by mistake and whose queues run only
// when somebody waits.
#include "tests/engine/device_layers.hpp"

#include <algorithm>
#include <atomic>
#include <string>

#include "engine/forward/executor.hpp"
#include "engine/forward/model.hpp"
#include "engine/forward/state.hpp"
#include "engine/session_access.hpp"
#include "tests/engine/files.hpp"
#include "tests/kernels/fake_device.hpp"

namespace hearth::tests::layers {
namespace {

using namespace engine;
using kernels::test::FakeDeviceControl;

const std::filesystem::path golden = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

struct FakeDevices {
  Open open() {
    return
        [this](kernels::Device device) { return kernels::test::make_fake_device(device, control); };
  }
  std::shared_ptr<FakeDeviceControl> control = std::make_shared<FakeDeviceControl>();
};

int layers_of(const std::filesystem::path& model) {
  return read_config(model).num_layers();
}

TEST_CASE("layers give the same bits on the host, on a device and on two, and some on each") {
  for (const char* name : {"fp8", "bf16-tied", "fp8-odd-bf16-scales", "bf16-mtp-single",
                           "q35moe-channel", "q35-fp8"}) {
    CAPTURE(name);
    const std::filesystem::path model = golden / name;
    const Logits expected = run_on_host(model, 200, 9);
    const int half = layers_of(model) / 2;
    for (const std::vector<Share>& shares : std::vector<std::vector<Share>>{{{all}},
                                                                            {{all, 1000}},
                                                                            {{half}},
                                                                            {{half, 6}},
                                                                            {{1, 3}},
                                                                            {{half}, {all}},
                                                                            {{0, 5}, {half, 4}}}) {
      CAPTURE(shares.size());
      CAPTURE(shares.front().layers);
      CAPTURE(shares.front().slots);
      FakeDevices devices;
      Placed placed(model, shares, devices.open());
      placed.load();
      CHECK(placed.run(200, 9) == expected);
      placed.session = std::make_unique<Session>(placed.runtime);
      CHECK(placed.run(200, 9) == expected);
      CHECK(devices.control->products > 0);
    }
  }
}

TEST_CASE("what is on a device is not in the host's memory too") {
  FakeDevices devices;
  Placed placed(golden / "fp8", {{2}}, devices.open());
  placed.load();
  Placed plain(golden / "fp8", {}, {});
  plain.load();
  const Model& model = placed.runtime->engine().model();
  const auto is_there = [&](const Layer& layer) { return layer.device == 1; };
  CHECK(std::ranges::count_if(model.layers, is_there) == 2);
  CHECK(is_there(model.layers.front()));
  std::uint64_t there = 0, plainly = 0, here = 0;
  const auto all_of = [](const Model& some, const auto& add) {
    for (const kernels::Buffer& buffer : some.storage) add(buffer);
    for (const Layer& layer : some.layers)
      for (const kernels::Buffer& buffer : layer.storage) add(buffer);
  };
  all_of(model, [&](const kernels::Buffer& buffer) {
    (buffer.device() == kernels::Device{} ? here : there) += buffer.bytes();
  });
  all_of(plain.runtime->engine().model(),
         [&](const kernels::Buffer& buffer) { plainly += buffer.bytes(); });
  CHECK(here + there == plainly);
  CHECK(there > 0);
  // And what the host is said to need is less by as much, but for how it is rounded.
  const MemoryPlan with = placed.runtime->memory();
  const MemoryPlan without = plain.runtime->memory();
  CHECK(with.dense < without.dense);
  CHECK(with.kv + with.states < without.kv + without.states);
}

TEST_CASE("memory in all is divided: layers first, as many as fit, then experts") {
  const std::filesystem::path model = golden / "fp8";
  const int layers = layers_of(model);
  int before = 0;
  for (const std::uint64_t memory : {8ull << 20, 20ull << 20, 24ull << 20, 64ull << 20}) {
    CAPTURE(memory);
    FakeDevices devices;
    Placed placed(model, {{0}}, devices.open());
    placed.options.devices[1].expert_memory = 0;
    placed.options.devices[1].memory = memory;
    placed.options.devices[1].layers = std::nullopt;
    placed.options.context = 512;
    placed.load();
    const Model& loaded = placed.runtime->engine().model();
    const int there = static_cast<int>(
        std::ranges::count_if(loaded.layers, [](const Layer& layer) { return layer.device == 1; }));
    CHECK(there >= before);
    before = there;
    CHECK(placed.run(200, 6) == run_on_host(model, 200, 6));
    CHECK(devices.control->bytes <= memory);
  }
  CHECK(before == layers);
}

TEST_CASE("a prefix that was kept goes on from either side, with the same bits") {
  for (const char* name : {"fp8", "q35moe-fp8"}) {
    const std::filesystem::path model = golden / name;
    const ScratchDirectory directory;
    const auto run = [&](const std::vector<Share>& shares, std::size_t known) {
      FakeDevices devices;
      Placed placed(model, shares, devices.open());
      placed.options.prefix_directory = directory.path();
      placed.options.disk_min_seconds = 0;
      placed.options.checkpoint_distance = 64;
      placed.load();
      CHECK(placed.runtime->cached_prefix(made_up_tokens(220)) >= known);
      Logits found = placed.run(220, 7);
      // Back to where it was, by what is in memory.
      placed.session->keep();
      placed.session->sync(made_up_tokens(30));
      const Logits again = placed.run(220, 7);
      CHECK(again == found);
      return found;
    };
    const Logits expected = run({}, 0);
    CHECK(run({{all}}, 128) == expected);
    CHECK(run({{2, 5}}, 128) == expected);
    CHECK(run({}, 128) == expected);
  }
}

TEST_CASE(
    "the MTP head drafts the same behind layers on a device, and a halved cache is the same") {
  for (const char* name : {"bf16-mtp-single", "fp8-mtp-f16-scales"}) {
    for (const KvType kv : {KvType::f32, KvType::f16}) {
      CAPTURE(name);
      const auto run = [&](const std::vector<Share>& shares) {
        FakeDevices devices;
        Placed placed(golden / name, shares, devices.open());
        placed.options.mtp = MtpUse::always;
        placed.options.kv = kv;
        placed.load();
        Logits found = placed.run(100, 4);
        const std::vector<TokenId> drafted = placed.session->draft(5, 3);
        REQUIRE(drafted.size() == 3);
        found.emplace_back(drafted.begin(), drafted.end());
        return found;
      };
      const Logits expected = run({});
      CHECK(run({{all, 1000}}) == expected);
      CHECK(run({{1, 4}}) == expected);
    }
  }
}

TEST_CASE("an answer is replayed by layers on a device with the bits of its decoding") {
  const std::filesystem::path model = golden / "fp8";
  const std::vector<TokenId> tokens = made_up_tokens(400);
  const std::size_t prompt = 90;
  const auto decoded = [&](Placed& placed) {
    placed.load();
    placed.prefill(prompt);
    for (std::size_t i = prompt; i + 1 < tokens.size(); ++i)
      REQUIRE(placed.session->decode(tokens[i], nullptr) == Progress::done);
    Logits last;
    placed.decode({tokens.back()}, last);
    return last;
  };
  Placed host(model, {}, {});
  const Logits expected = decoded(host);
  FakeDevices devices;
  Placed placed(model, {{3, 6}}, devices.open());
  CHECK(decoded(placed) == expected);
  placed.session = std::make_unique<Session>(placed.runtime);
  placed.session->sync(tokens, prompt, nullptr);
  while (placed.session->prefill(std::span(tokens).first(prompt), {}, nullptr) != Progress::done) {
  }
  while (placed.session->replay(std::span(tokens).first(399), nullptr) != Progress::done) {
  }
  Logits last;
  placed.decode({tokens.back()}, last);
  CHECK(last == expected);
}

TEST_CASE("a prompt that is parked between layers on a device goes on where others computed") {
  const std::filesystem::path model = golden / "q35moe-fp8";
  const Logits expected = run_on_host(model, 150, 3);
  FakeDevices devices;
  Placed placed(model, {{2, 5}}, devices.open());
  placed.load();
  const std::vector<TokenId> prompt = made_up_tokens(150);
  Session parked(placed.runtime);
  parked.sync(prompt);
  Progress progress = Progress::more;
  for (int piece = 0; progress != Progress::done; ++piece) {
    progress = parked.prefill(prompt, {}, nullptr);
    if (piece % 3 == 1) {
      Logits ignored;
      if (placed.session->tokens().empty()) placed.prefill(10);
      placed.decode({static_cast<TokenId>(piece)}, ignored);
    }
  }
  CHECK(std::vector<float>(parked.logits().begin(), parked.logits().end()) == expected.front());
  *placed.session = std::move(parked);
  CHECK(placed.run(150, 3) == expected);
}

TEST_CASE("where a device has no room for another session, its experts make some") {
  const std::filesystem::path model = std::filesystem::path(HEARTH_SOURCE_DIR) / "engine/ember";
  const Logits expected = run_on_host(model, 100, 3);
  FakeDevices devices;
  Placed placed(model, {{all, 240}}, devices.open());
  placed.load();
  CHECK(placed.run(100, 3) == expected);
  const std::vector<float> last = placed.logits();
  const std::uint64_t before = devices.control->bytes;
  const auto slots = [&] { return placed.runtime->experts().devices.front().slots; };
  REQUIRE(slots() == 240);
  // Less and less room beside the first session, until there is not enough for another one.
  const std::uint64_t step = 16 * slot_bytes(placed.options);
  std::uint64_t room = 16 * step;
  for (; slots() == 240; room -= step) {
    REQUIRE(room > step);
    devices.control->capacity = before + room;
    Session other(placed.runtime);
    std::swap(other, *placed.session);
    CHECK(placed.run(100, 3) == expected);
    CHECK(devices.control->bytes <= devices.control->capacity);
    std::swap(other, *placed.session);  // which has lost nothing by it
    CHECK(placed.logits() == last);
  }
  CHECK(room < 15 * step);
  CHECK(slots() == 120);
  CHECK(placed.run(100, 3) == expected);
}

TEST_CASE("an interrupted step of layers on a device changes nothing") {
  const std::filesystem::path model = golden / "fp8";
  const Logits expected = run_on_host(model, 200, 6);
  FakeDevices devices;
  Placed placed(model, {{all, 5}}, devices.open());
  placed.load();
  const std::atomic<bool> interrupt = true;
  const std::vector<TokenId> prompt = made_up_tokens(200);
  placed.session->sync(prompt);
  for (int i = 0; i < 400; ++i) {  // now and then
    if (i % 2 == 0) {
      placed.session->prefill(prompt, {}, &interrupt);
    } else if (placed.session->prefill(prompt, {}, nullptr) == Progress::done) {
      break;
    }
  }
  CHECK(placed.logits() == expected.front());
  CHECK(placed.session->decode(5, &interrupt) == Progress::interrupted);
  CHECK(placed.run(200, 6) == expected);
}

}  // namespace
}  // namespace hearth::tests::layers
