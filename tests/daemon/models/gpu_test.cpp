// A GPU's memory beside the daemon's model: given back when it is idle or somebody says so, taken
// again by the next request, with the same answers. The GPU is the emulated one of
// tests/kernels/cuda.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "daemon/models/gpu_rest.hpp"
#include "daemon/status.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/models/local_stage.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"

using namespace hearth;
using namespace hearth::daemon;
using namespace hearth::tests;
using engine::DeviceUse;
using kernels::cuda::EmulatedControl;
using std::chrono::milliseconds;
using std::chrono::minutes;

namespace {

const doctest::skip watched(!kernels::cuda::can_emulate);
constexpr kernels::Device gpu{kernels::Device::Kind::cuda, 0};
constexpr std::int64_t answer_tokens = 8;  // emulated kernels take their time
// Ember with all of its layers, and experts.
constexpr std::uint64_t gpu_memory = std::uint64_t{1} << 30;

// Timers go off where the test says that it is so late.
class TimedHost : public QueueHost {
 public:
  TimerId after(milliseconds delay, std::function<void()> task) override {
    timers_.emplace(++last_, Timer{now_ + delay, std::move(task)});
    return last_;
  }
  void cancel_timer(TimerId id) override { timers_.erase(id); }
  std::chrono::steady_clock::time_point now() const override { return now_; }

  void pass(milliseconds time) {
    const auto until = now_ + time;
    for (;;) {
      const auto next =
          std::ranges::min_element(timers_, {}, [](const auto& timer) { return timer.second.due; });
      if (next == timers_.end() || next->second.due > until) break;
      now_ = next->second.due;
      const auto task = std::move(next->second.task);
      timers_.erase(next);
      task();
    }
    now_ = until;
  }
  std::size_t timers() const { return timers_.size(); }

 private:
  struct Timer {
    std::chrono::steady_clock::time_point due;
    std::function<void()> task;
  };
  std::map<TimerId, Timer> timers_;
  TimerId last_ = 0;
  std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
};

struct GpuStage {
  GpuStage() : model(host, options()) {
    bool described = false;
    model.describe([&](const auto&) { described = true; });
    host.run_until([&] { return described; });
  }
  engine::EngineOptions options() const {
    engine::EngineOptions all = ember();
    all.host().threads = 1;
    all.host().expert_memory = std::uint64_t{8} << 20;
    engine::DeviceOptions device{.device = gpu, .memory = gpu_memory};
    device.open = [mine = control] { return kernels::cuda::emulated_backend(gpu, mine); };
    all.devices.push_back(std::move(device));
    return all;
  }
  std::string answer() {
    std::optional<lsp::Result<lsp::Answer>> result;
    model.generate(explain_prompt(), {lsp::Priority::explicit_request, answer_tokens, {}},
                   {{}, {}, [&](lsp::Result<lsp::Answer> given) { result = std::move(given); }});
    host.run_until([&] { return result.has_value(); });
    // Its last step ends behind what it says.
    while (model.status().waiting > 0) std::this_thread::sleep_for(milliseconds(1));
    REQUIRE(std::holds_alternative<lsp::Answer>(*result));
    return std::get<lsp::Answer>(*result).text;
  }
  bool becomes(DeviceUse wanted) {
    for (int i = 0; i < 2000 && model.status().gpu != wanted; ++i)
      std::this_thread::sleep_for(milliseconds(5));
    return model.status().gpu == wanted;
  }
  // What `hearth status` says.
  std::string shown() {
    const nlohmann::json none = nlohmann::json::array();
    return show_status({{"pid", 1},
                        {"build", "test"},
                        {"uptimeSeconds", 1},
                        {"clients", none},
                        {"jobs", none},
                        {"log", ""},
                        {"config", ""},
                        {"model", to_json(model.status())}},
                       1'000);
  }
  // What other threads have posted until now.
  void run_posted() {
    bool run = false;
    host.post([&] { run = true; });
    host.run_until([&] { return run; });
  }

  std::shared_ptr<EmulatedControl> control = std::make_shared<EmulatedControl>();
  TimedHost host;
  LocalModel model;
};

}  // namespace

TEST_CASE("a GPU that is given back holds nothing, and the next request has it again" * watched) {
  GpuStage stage;
  const std::string answer = stage.answer();
  CHECK_FALSE(answer.empty());
  CHECK(stage.model.status().gpu == DeviceUse::in_use);
  CHECK(stage.control->bytes > 0);
  CHECK(contains(stage.shown(), "cuda 0, emulated"));
  CHECK(contains(stage.shown(), "back from page-locked memory"));
  const int layers = stage.model.status().gpu_layers;
  CHECK(layers > 0);
  CHECK(contains(stage.shown(), "layers of the model, and what sequences have of them"));
  for (int i = 0; i < 2; ++i) {
    stage.model.release_gpu();
    REQUIRE(stage.becomes(DeviceUse::released));
    CHECK(stage.control->bytes == 0);
    CHECK(contains(stage.shown(), "released"));
    CHECK(stage.model.status().gpu_layers == 0);
    CHECK(stage.answer() == answer);
    CHECK(stage.model.status().gpu == DeviceUse::in_use);
    CHECK(stage.model.status().gpu_layers == layers);
    CHECK(stage.control->bytes > 0);
  }
  stage.model.release_gpu();
  REQUIRE(stage.becomes(DeviceUse::released));
  stage.model.take_gpu();
  CHECK(stage.becomes(DeviceUse::in_use));
}

TEST_CASE("a GPU that others have filled meanwhile is done without" * watched) {
  GpuStage stage;
  const std::string answer = stage.answer();
  stage.model.release_gpu();
  REQUIRE(stage.becomes(DeviceUse::released));
  stage.control->taken = ~std::uint64_t{0} / 2;
  stage.control->capacity = 1;
  CHECK(stage.answer() == answer);
  CHECK(stage.model.status().gpu == DeviceUse::released);
  CHECK(stage.control->bytes == 0);
}

TEST_CASE("an idle GPU is given back after its time, on a battery after a minute" * watched) {
  GpuStage stage;
  bool battery = false;
  const GpuRest rest(stage.host, stage.model, minutes(10), [&] { return battery; });
  CHECK(stage.host.timers() == 1);
  stage.host.pass(minutes(9));
  CHECK(stage.model.status().gpu == DeviceUse::in_use);
  stage.answer();  // begins the time anew
  stage.host.pass(minutes(9));
  CHECK(stage.model.status().gpu == DeviceUse::in_use);
  stage.host.pass(minutes(3));
  REQUIRE(stage.becomes(DeviceUse::released));
  CHECK(stage.control->bytes == 0);
  CHECK(stage.host.timers() == 0);  // nothing wakes the daemon for it

  battery = true;
  stage.answer();
  stage.run_posted();
  CHECK(stage.host.timers() == 1);
  CHECK(stage.model.status().gpu == DeviceUse::in_use);
  stage.host.pass(minutes(2));
  CHECK(stage.becomes(DeviceUse::released));
}

TEST_CASE("where no GPU is used, there is none to pause") {
  const Home home;
  CHECK(home.hearth("daemon").code == 0);
  for (const char* command : {"pause --gpu", "resume --gpu"}) {
    const Finished finished = home.hearth(command);
    CHECK(finished.code == 1);
    CHECK(contains(finished.err, "memory.vram"));
  }
  CHECK(home.status()["model"]["gpu"]["state"] == "none");
  CHECK(home.hearth("pause").code == 2);
}
