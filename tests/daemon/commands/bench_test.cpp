// `hearth bench` with a small GPU played on a large one: the rows of each tier. The GPU is the
// emulated one of tests/kernels/cuda.
#include "daemon/commands/bench.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/commands/bench_tiers.hpp"
#include "tests/daemon/home.hpp"
#include "tests/kernels/cuda/emulated_runtime.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Home;
using hearth::tests::TemporaryDirectory;
using kernels::cuda::EmulatedControl;

namespace {

const doctest::skip watched(!kernels::cuda::can_emulate);

// What `work` prints.
template <class Work>
std::string printed(Work work) {
  const TemporaryDirectory directory;
  const auto file = directory.path() / "out";
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO);
  REQUIRE(std::freopen(file.c_str(), "w", stdout) != nullptr);
  work();
  std::fflush(stdout);
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a bench with a GPU's memory says where the experts were" * watched) {
  BenchFlags flags;
  flags.model = HEARTH_SOURCE_DIR "/engine/ember";
  flags.vram = std::uint64_t{3} << 20;
  flags.ram = std::uint64_t{4} << 30;
  flags.prompts = {};
  flags.depths = {0};
  flags.tokens = 3;
  flags.threads = 1;
  flags.json = true;
  const auto control = std::make_shared<EmulatedControl>();
  constexpr kernels::Device gpu{kernels::Device::Kind::cuda, 0};
  flags.open_gpu = [&] { return kernels::cuda::emulated_backend(gpu, control); };
  const auto result = nlohmann::json::parse(printed([&] { CHECK(bench(flags) == 0); }));
  REQUIRE(result["runs"].size() == 3);  // cold, warm and after a warm-up
  double on_gpu = 0;
  for (const auto& run : result["runs"]) {
    const auto& tiers = run["tiers"];
    CAPTURE(run.dump());
    CHECK(tiers["host"].get<double>() + tiers["cuda 0"].get<double>() +
              tiers["disk"].get<double>() ==
          doctest::Approx(1));
    on_gpu += tiers["cuda 0"].get<double>();
  }
  CHECK(on_gpu > 0);
  CHECK(control->bytes == 0);  // all is given back at the end
}

TEST_CASE("shares of tiers are of what was asked for between two looks") {
  engine::ExpertStatus before;
  before.hits = 10;
  before.misses = 5;
  before.devices = {{.device = {kernels::Device::Kind::cuda, 0}, .description = {}, .hits = 4}};
  engine::ExpertStatus after = before;
  CHECK(tiers_between(before, after).empty());
  after.hits += 8;
  after.misses += 2;
  after.devices.front().hits += 5;
  const auto tiers = tiers_between(before, after);
  CHECK(show(tiers) == "host 30.0 %, cuda 0 50.0 %, disk 20.0 %");
  CHECK(share_of_devices(tiers) == doctest::Approx(5.0 / 8));
}

TEST_CASE("a bench of a GPU's memory where there is no GPU is refused with a sentence") {
  const Home home;
  if (kernels::cuda_devices().count > 0) return;
  const auto finished = home.hearth("bench --vram 1600M --ram 4G");
  CHECK(finished.code == 1);
  CHECK(contains(finished.err, "--vram needs a GPU: CUDA device 0 cannot be used: "));
}
