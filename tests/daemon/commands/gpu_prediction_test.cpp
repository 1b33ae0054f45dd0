// What `hearth plan` says of GPUs: sums that must hold whatever the figures are, and the tables.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/commands/cards.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::engine::GpuMemory;
using hearth::engine::GpuUse;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
namespace engine = hearth::engine;

namespace {

constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;

Machine desktop(std::uint64_t ram) {
  return described_machine({ram, 3.5e9, 45e9, 500e9}, Machine());
}

const engine::GpuSpeed some_gpu{600e9, 40e12, engine::link_bandwidth(4, 16)};

GpuPrediction predicted(const char* shape, std::uint64_t vram, GpuUse use) {
  const Subject subject = published_subject(shape, shape, 8192);
  const Machine machine = desktop(28 * gibibyte);
  const engine::EngineOptions options;
  const Division division(subject, hits_on_text, options, machine.memory);
  return predict_gpu(subject, division, hits_on_text, options, machine, {vram, some_gpu}, use);
}

std::uint64_t total(const GpuMemory& memory) {
  return memory.others + memory.driver + memory.dense + memory.shortlist + memory.kv +
         memory.states + memory.scratch + memory.experts;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  return longest;
}

}  // namespace

TEST_CASE("the parts of a GPU's memory are all of it, and layers go before experts") {
  for (const std::uint64_t gigabytes : {1, 2, 4, 8, 24}) {
    CAPTURE(gigabytes);
    const std::uint64_t vram = gigabytes * gibibyte;
    const GpuPrediction now = predicted("qwen3-coder-next", vram, GpuUse::layers);
    const GpuPrediction later = predicted("qwen3-coder-next", vram, GpuUse::prompts);
    CHECK(total(now.memory) == vram);
    CHECK(total(later.memory) == vram);
    CHECK(now.memory.shortlist == 0);
    CHECK(later.memory.layers == now.memory.layers);
    CHECK(later.memory.experts <= now.memory.experts);
    if (gigabytes == 1) CHECK(now.memory.layers == 0);
    if (gigabytes == 2) CHECK((now.memory.layers > 0 && now.memory.layers < 48));
    if (gigabytes >= 8) CHECK(now.memory.layers == 48);
    CHECK((later.memory.shortlist > 0) == (gigabytes >= 8));
  }
  // A card that holds all: the rest of it stays empty.
  const GpuPrediction all = predicted("qwen3.6-35b-a3b", 96 * gibibyte, GpuUse::prompts);
  CHECK(total(all.memory) < 96 * gibibyte);
  CHECK(all.resident.vram == doctest::Approx(1));
  CHECK(all.hits.disk() == doctest::Approx(0));
}

TEST_CASE("a token takes at least as long as each of its terms, and at most their sum") {
  for (const char* shape : {"qwen3-coder-next", "qwen3.6-35b-a3b", "qwen3.5-0.8b"}) {
    for (const GpuUse use : {GpuUse::layers, GpuUse::prompts}) {
      CAPTURE(shape);
      const GpuPrediction of = predicted(shape, 8 * gibibyte, use);
      for (const engine::TokenTime& time : {of.token, of.prompt}) {
        const double sum = time.gpu + time.cpu + time.link + time.disk + time.round_trips;
        CHECK(time.total <= doctest::Approx(sum));
        const double longest = std::max({time.gpu, time.cpu, time.link, time.disk});
        CHECK(time.total >= doctest::Approx(longest).epsilon(0.05));
      }
      CHECK(of.hits.vram + of.hits.ram + of.hits.disk() == doctest::Approx(1));
    }
  }
}

TEST_CASE("more hits, a faster disk and a wider link never make a token slower") {
  const Machine machine = desktop(28 * gibibyte);
  for (const char* shape :
       {"qwen3-coder-next", "qwen3-next-80b-a3b-bf16", "qwen3.6-35b-a3b", "ornith-1.5-35b-a3b"}) {
    CAPTURE(shape);
    const Subject subject = published_subject(shape, shape, 8192);
    const auto rows = sweep(subject, hits_on_text, {}, machine, {8 * gibibyte, some_gpu});
    REQUIRE(rows.size() == 24);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double seconds = rows[i].token.total;
      CAPTURE(i);
      if (i % 3 > 0) CHECK(seconds <= rows[i - 1].token.total);   // by hits
      if (i % 6 >= 3) CHECK(seconds <= rows[i - 3].token.total);  // by disks
      if (i % 12 >= 6) CHECK(seconds > rows[i - 6].token.total);  // by contexts
    }
  }
  CHECK(engine::link_bandwidth(4, 16) == doctest::Approx(2 * engine::link_bandwidth(4, 8)));
  CHECK(engine::link_bandwidth(4, 16) == doctest::Approx(2 * engine::link_bandwidth(3, 16)));
  CHECK(engine::link_bandwidth(3, 16) < 15.8e9);
}

TEST_CASE("hit rates of a recorded routing are those that a replay of it has") {
  engine::Trace trace{.layers = 2, .experts_per_layer = 4, .steps = {}};
  for (int i = 0; i < 40; ++i)
    trace.steps.push_back({engine::Pass::decode,
                           engine::LayerId{i % 2},
                           {engine::ExpertId{i % 3}, engine::ExpertId{3}}});
  const HitRate rate = hits_of_trace(trace);
  for (const std::size_t slots : {2, 4, 8}) {
    const auto replayed =
        engine::replay(trace, engine::PolicyKind::lrfu, engine::default_half_life, slots);
    CHECK(rate(static_cast<double>(slots) / 8) == replayed.hit_rate());
  }
  CHECK(rate(0) == 0);
}

TEST_CASE("a plan with a GPU says where all is, the terms, and what is not built") {
  const Home home;
  const std::string host = "plan --ram 28G --memory 45G/s --disk 3.5G/s --arithmetic 500G/s ";
  const Finished plan = home.hearth(host + "--vram 8G --pcie 4x16 --gpu-bandwidth 608G/s");
  CAPTURE(plan.out);
  CHECK(plan.code == 0);
  CHECK(contains(plan.out, "GPU: VRAM 8G, PCIe 4x16, memory 608G/s"));
  CHECK(contains(plan.out, "hearth as it is: the GPU computes the layers and experts it holds"));
  CHECK(contains(plan.out, "not built yet: prompts on tensor cores, the shortlist on the GPU"));
  CHECK(contains(plan.out, "48 of 48 layers"));
  CHECK(contains(plan.out, "round trips"));
  CHECK(longest_line(plan.out) <= 80);
  CHECK_FALSE(contains(home.hearth(host).out, "GPU"));
}

TEST_CASE("the tables fit a terminal, name every card, and say the same as JSON") {
  const Home home;
  const Finished cards = home.hearth("plan --cards");
  CHECK(cards.code == 0);
  CHECK(longest_line(cards.out) <= 80);
  const auto read = nlohmann::json::parse(home.hearth("plan --cards --json").out);
  CHECK(read.size() == engine::published_models().size());
  for (const auto& checkpoint : read) {
    CHECK(checkpoint["rows"].size() == 2 * hearth::daemon::cards().size());
    for (const auto& row : checkpoint["rows"])
      CHECK(contains(cards.out, row["card"].get<std::string>()));
  }
  const std::string swept = "plan --sweep --vram 8G --gpu-bandwidth 608G/s";
  CHECK(longest_line(home.hearth(swept).out) <= 80);
  const auto rows = nlohmann::json::parse(home.hearth(swept + " --json").out);
  CHECK(rows.at(0)["rows"].size() == 24);
  CHECK(rows.at(0)["rows"][0]["built"] == true);
}

TEST_CASE("a GPU that cannot be meant is refused") {
  const Home home;
  for (const char* arguments : {"--pcie 4x3 --vram 8G", "--pcie 9x16 --vram 8G", "--pcie x16",
                                "--vram 8", "--sweep", "--json", "--cards --sweep --vram 8G",
                                "--gpu-bandwidth 448 --vram 8G", "--trace nowhere --cards"}) {
    CAPTURE(arguments);
    const Finished finished = home.hearth(std::string("plan ") + arguments);
    CHECK(finished.code != 0);
    CHECK(finished.out.empty());
    CHECK(finished.err.starts_with("hearth: "));
  }
}
