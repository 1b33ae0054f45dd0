// How two engines share a memory, and when the second one is refused.
#include "daemon/model_pair.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "engine/dummy/dummy.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using hearth::tests::contains;

namespace {

constexpr const char* ember = HEARTH_SOURCE_DIR "/engine/ember";
constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr std::uint64_t mib = std::uint64_t{1} << 20;

engine::MemoryView with(std::uint64_t bytes) {
  engine::MemoryView view;
  view.available = bytes;
  return view;
}

Config completing_with(const std::string& directory) {
  Config config;
  config.inline_model = directory;
  return config;
}

// Some MB, of which most are experts; on disk it is a few.
std::filesystem::path hollow(const std::filesystem::path& out, int experts) {
  engine::DummyOptions dummy;
  dummy.out = out;
  dummy.config = engine::tiny_config(1024, 4, experts);
  dummy.tokenizer = ember;
  dummy.sparse = true;
  REQUIRE(engine::write_dummy(dummy));
  return out;
}

}  // namespace

TEST_CASE("without a second model there is one, with all the memory") {
  const ModelPair pair = model_pair({}, ember, {}, with(8 * gib));
  CHECK_FALSE(pair.small);
  CHECK(pair.refusal.empty());
  CHECK_FALSE(pair.large.memory);
}

TEST_CASE("what the second model takes is taken from the first one's memory") {
  const tests::TemporaryDirectory directory;
  const auto large = hollow(directory.path() / "large", 512);
  const auto small = hollow(directory.path() / "small", 16);
  const ModelPair pair =
      model_pair(completing_with(small.string()), large, "/state", with(64 * gib));
  CAPTURE(pair.refusal);
  REQUIRE(pair.small);
  CHECK(pair.refusal.empty());
  CHECK(pair.small->model == std::filesystem::canonical(small));
  CHECK(pair.small->experts.history == "/state/inline");
  CHECK(pair.small->prefix_directory.empty());
  CHECK(pair.small->host().expert_memory > 0);
  CHECK(pair.small_bytes > pair.small->host().expert_memory);
  REQUIRE(pair.large.memory);
  CHECK(pair.large.memory->available == 64 * gib - pair.small_bytes);
  CHECK(pair.expert_bytes == 0);  // all of them fit all the same

  const ModelPair tight =
      model_pair(completing_with(small.string()), large, {}, with(6 * gib + 512 * mib));
  REQUIRE(tight.small);
  CHECK(tight.small_bytes == pair.small_bytes);
  CHECK(tight.expert_bytes > 0);
}

TEST_CASE("a second model that leaves too little for the first is refused in a sentence") {
  const tests::TemporaryDirectory directory;
  const auto small = hollow(directory.path() / "small", 16);
  const ModelPair pair = model_pair(completing_with(small.string()), ember, {}, with(600 * mib));
  CHECK_FALSE(pair.small);
  CHECK_FALSE(pair.large.memory);
  CAPTURE(pair.refusal);
  CHECK(pair.refusal.starts_with("inline.model is not loaded: it would take "));
  CHECK(contains(pair.refusal, " of the 629 MB that are free, and "));
  CHECK(contains(pair.refusal, std::string(ember) + " needs "));
  CHECK(contains(pair.refusal, " at least: choose a smaller one"));
}

TEST_CASE("a second model that cannot be run is refused with what is missing") {
  const auto refusal = [](const std::string& directory) {
    return model_pair(completing_with(directory), ember, {}, with(8 * gib)).refusal;
  };
  CHECK(contains(refusal("/nowhere/at-all"),
                 "there is no model directory /nowhere/at-all (from "
                 "inline.model of the configuration)"));
  CHECK(contains(refusal(HEARTH_SOURCE_DIR "/tests/golden/q35-fp8"), "has no tokenizer.json"));
}

TEST_CASE("what is wrong with the first model is no reason to refuse the second") {
  const ModelPair pair = model_pair(completing_with(ember), "/nowhere", {}, with(8 * gib));
  CHECK(pair.small);
  CHECK(pair.refusal.empty());
}
