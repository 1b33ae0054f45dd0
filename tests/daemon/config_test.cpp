// The configuration: what is read, and how what is wrong is told.
#include "daemon/config.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/engine_options.hpp"
#include "daemon/platform/byte_count.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using namespace hearth::daemon;
using std::chrono::milliseconds;

namespace {

std::string complaint(std::string_view toml) {
  try {
    parse_config(toml, "config.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("sizes are read as people write them") {
  CHECK(parse_byte_count("4096") == 4096);
  CHECK(parse_byte_count("512M") == std::uint64_t{512} << 20);
  CHECK(parse_byte_count("1.5GiB") == std::uint64_t{3} << 29);
  CHECK(parse_byte_count("2gb") == std::nullopt);
  CHECK(parse_byte_count("2g") == std::uint64_t{2} << 30);
  for (const char* bad : {"", "G", "-1", "1X", "1GG", "1e40", "nan"}) {
    CHECK(parse_byte_count(bad) == std::nullopt);
  }
  CHECK(show_byte_count(std::uint64_t{3} << 29) == "1536M");
  CHECK(parse_byte_count(show_byte_count(12345)) == 12345);
}

TEST_CASE("every key is read") {
  const Config config = parse_config(R"(
[model]
path = "/models/coder"
url = "https://gpu.example.org/v1"
name = "coder"
key_file = "~/key"
threads = 6
isa = "avx2"
kv = "f16"
context = 8192
[memory]
experts = "6G"
scratch = "64M"
vram = "2G"
vram_idle = "5m"
[prefix_cache]
ram = "2G"
disk = "0"
interval = 1024
daily_write_limit = "5G"
min_recompute_time = "10s"
[experts]
reader = "threads"
policy = "lru"
prefetch = true
[decode]
speculate = "copy"
[inline]
hold = "2500ms"
max_tokens = 32
[answer]
max_tokens = 900
[thinking]
mode = "off"
effort = "xhigh"
history = "drop"
[daemon]
idle_exit = "30m"
[log]
level = "debug"
)",
                                     "config.toml");
  CHECK(config.model_path == "/models/coder");
  CHECK(config.model_remote.url == "https://gpu.example.org/v1");
  CHECK(config.model_remote.name == "coder");
  CHECK(config.model_remote.key_file == "~/key");
  CHECK(config.inline_remote.url.empty());
  CHECK(config.model_threads == 6);
  CHECK(config.model_isa == hearth::kernels::Isa::avx2);
  CHECK(config.model_kv == hearth::engine::KvType::f16);
  CHECK(config.model_context == 8192);
  CHECK(config.memory_experts == std::uint64_t{6} << 30);
  CHECK(config.memory_scratch == std::uint64_t{64} << 20);
  CHECK(config.memory_vram == std::uint64_t{2} << 30);
  const auto devices = engine_options(config, "/models/coder", {}).devices;
  REQUIRE(devices.size() == 2);
  CHECK(devices[1].device == hearth::kernels::Device{hearth::kernels::Device::Kind::cuda, 0});
  CHECK(devices[1].memory == std::uint64_t{2} << 30);
  CHECK(config.memory_vram_idle == milliseconds(300'000));
  const Config automatic = parse_config("[memory]\nvram = \"auto\"\n", "config.toml");
  CHECK_FALSE(automatic.memory_vram);
  CHECK(engine_options(automatic, "/models/coder", {}).devices.at(1).memory == 0);
  CHECK(engine_options(Config{}, "/models/coder", {}).devices.size() == 1);
  CHECK(config.prefix_cache_ram == std::uint64_t{2} << 30);
  CHECK(config.prefix_cache_interval == 1024);
  CHECK(config.prefix_cache_disk == 0);
  CHECK(config.prefix_cache_daily_write_limit == std::uint64_t{5} << 30);
  CHECK(config.prefix_cache_min_recompute_time == milliseconds(10'000));
  CHECK(config.experts_reader == hearth::engine::ReaderKind::threads);
  CHECK(config.experts_policy == hearth::engine::PolicyKind::lru);
  CHECK(config.experts_prefetch);
  CHECK(config.decode_speculate == Speculation::copy);
  CHECK(config.inline_hold == milliseconds(2500));
  CHECK(config.inline_max_tokens == 32);
  CHECK(config.answer_max_tokens == 900);
  CHECK(config.thinking_mode == lsp::ThinkingMode::off);
  CHECK(engine_options(config, "/models/coder", {}).thoughts.effort ==
        hearth::engine::Effort::xhigh);
  CHECK_FALSE(engine_options(config, "/models/coder", {}).thoughts.keep);
  CHECK(config.idle_exit == milliseconds(1'800'000));
  CHECK(config.log_level == lsp::LogLevel::debug);
}

namespace {

struct Setting {
  std::string section;
  std::string name;
  std::string value;  // as TOML
  bool operator==(const Setting&) const = default;
};

// Those that a description of the configuration holds.
std::vector<Setting> settings_in(const std::string& described) {
  std::vector<Setting> found;
  std::istringstream lines(described);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.size() - 2);
    const std::size_t is = line.find(" = ");
    if (line.starts_with('#') || is == std::string::npos) continue;
    found.push_back({section, line.substr(0, is), line.substr(is + 3)});
  }
  return found;
}

// The words that a key takes, where it takes some and no others.
std::vector<std::string> choices_of(const Setting& key) {
  const std::string said = complaint("[" + key.section + "]\n" + key.name + " = \"?\"\n");
  const std::size_t list = said.find("must be one of ");
  std::vector<std::string> choices;
  for (std::size_t at = list; (at = said.find('"', at)) != std::string::npos;) {
    const std::size_t end = said.find('"', at + 1);
    choices.push_back(said.substr(at, end + 1 - at));
    at = end + 1;
  }
  return choices;
}

}  // namespace

TEST_CASE("every key that is described sets what it describes, and nothing else") {
  const auto usual = settings_in(describe_config(Config{}));
  REQUIRE(usual.size() > 20);
  for (std::size_t i = 0; i < usual.size(); ++i) {
    const Setting& key = usual[i];
    CAPTURE(key.section);
    CAPTURE(key.name);
    std::vector<std::string> values = choices_of(key);
    for (const char* other :
         {"777", "\"777s\"", "\"777M\"", "true", "false", "\"/other\"", "[\"explain\", \"fix\"]",
          "\"::1\"", "\"https://other.example.org/v1\""}) {
      values.emplace_back(other);
    }
    int taken = 0;
    for (const std::string& value : values) {
      const std::string toml = "[" + key.section + "]\n" + key.name + " = " + value + "\n";
      if (value == key.value || complaint(toml) != "none") continue;
      ++taken;
      auto expected = usual;
      expected[i].value = value;
      CHECK(settings_in(describe_config(parse_config(toml, "config.toml"))) == expected);
    }
    CHECK(taken > 0);
  }
}

TEST_CASE("what is described is what is read back") {
  Config config;
  config.model_threads = 3;
  config.idle_exit = milliseconds(0);
  config.inline_hold = milliseconds(90'000);
  config.model_path = R"(/odd "name" with \ in it)";
  const Config again = parse_config(describe_config(config), "described");
  CHECK(describe_config(again) == describe_config(config));
  CHECK(again.model_threads == 3);
  CHECK(again.model_path == config.model_path);
  CHECK(again.idle_exit == milliseconds(0));
  CHECK(again.inline_hold == milliseconds(90'000));

  CHECK_FALSE(again.prefix_cache_ram);  // "auto", which is not the same as none
  config.prefix_cache_ram = 0;
  CHECK(parse_config(describe_config(config), "described").prefix_cache_ram == std::uint64_t{0});
}

TEST_CASE("a mistake is told with its file, line and key") {
  CHECK(complaint("[model]\npaht = \"x\"\n") ==
        "config.toml:2: unknown key model.paht (`hearth daemon --print-config` lists the known "
        "ones)");
  CHECK(complaint("\n[modle]\n") ==
        "config.toml:2: unknown key modle (`hearth daemon --print-config` lists the known ones)");
  CHECK(complaint("model = 3\n") == "config.toml:1: model must be a table: [model]");
  CHECK(complaint("[model]\nthreads = \"four\"\n") ==
        "config.toml:2: model.threads must be a whole number from 0 to 1024");
  CHECK(complaint("[model]\nthreads = 100000\n") ==
        "config.toml:2: model.threads must be a whole number from 0 to 1024");
  CHECK(complaint("[model]\nkv = \"f64\"\n") ==
        "config.toml:2: model.kv must be one of \"f32\", \"f16\"");
  for (const char* path : {"1", "\"models/coder\""}) {
    CAPTURE(path);
    CHECK(complaint(std::string("[model]\npath = ") + path + "\n") ==
          "config.toml:2: model.path must be a path that begins with / or ~/, or a name that "
          "`hearth models` lists");
  }
  CHECK(tests::contains(complaint("[model]\nurl = \"gpu.example.org\"\n"),
                        "config.toml:2: model.url must be an address such as "));
  CHECK(tests::contains(complaint("[inline]\nurl = \"https://a.example.org/v1?key=1\"\n"),
                        "a key stands in a file of its own"));
  CHECK(complaint("[model]\nkey_file = \"key\"\n") ==
        "config.toml:2: model.key_file must be a path that begins with / or ~/");
  for (const char* time : {"10", "\"ten\"", "\"10 s\"", "\"10w\"", "\"\"", "\"5\"", "\"h\""}) {
    CAPTURE(time);
    CHECK(complaint(std::string("[inline]\nhold = ") + time + "\n") ==
          "config.toml:2: inline.hold must be a time such as \"500ms\", \"10s\", \"5m\", "
          "\"12h\" or \"14d\"");
  }
  for (const char* time : {"87601h", "2562048h", "99999999999999999999h", "999999999999999ms"}) {
    CAPTURE(time);
    CHECK(complaint(std::string("[daemon]\nidle_exit = \"") + time + "\"\n") ==
          "config.toml:2: daemon.idle_exit must be at most \"87600h\" (ten years)");
  }
  CHECK(complaint("[daemon]\nidle_exit = \"87600h\"\n") == "none");
  CHECK(complaint("[prefix_cache]\nram = \"some\"\n") ==
        "config.toml:2: prefix_cache.ram must be a size such as \"512M\" or \"6G\", or \"auto\"");
  CHECK(complaint("[prefix_cache]\ndisk = \"auto\"\n") ==
        "config.toml:2: prefix_cache.disk must be a size such as \"512M\" or \"6G\"");
}

TEST_CASE("a key that was renamed is an error that names the new one") {
  const auto renamed = [](const std::string& section, const std::string& key) {
    return complaint("[" + section + "]\n" + key + " = \"1G\"\n");
  };
  CHECK(renamed("memory", "prefixes") ==
        "config.toml:2: memory.prefixes is now called prefix_cache.ram");
  CHECK(renamed("prefixes", "disk") ==
        "config.toml:2: prefixes.disk is now called prefix_cache.disk");
  CHECK(renamed("prefixes", "distance") ==
        "config.toml:2: prefixes.distance is now called prefix_cache.interval");
  CHECK(renamed("prefixes", "daily") ==
        "config.toml:2: prefixes.daily is now called prefix_cache.daily_write_limit");
  CHECK(renamed("prefixes", "least") ==
        "config.toml:2: prefixes.least is now called prefix_cache.min_recompute_time");
  CHECK(complaint("[prefixes]\n") == "config.toml:1: prefixes is now called prefix_cache");
  CHECK(complaint("prefixes = 1\n") == "config.toml:1: prefixes is now called prefix_cache");
}

TEST_CASE("text that is no TOML is told with its line") {
  CHECK(complaint("[model]\npath = \n").starts_with("config.toml:2: "));
  CHECK(complaint("\xff\xfe").starts_with("config.toml:1: "));
}

TEST_CASE("a missing file means the defaults, an unreadable one is an error") {
  const hearth::tests::TemporaryDirectory directory;
  CHECK(read_config(directory.path() / "none.toml").answer_max_tokens == 512);
  CHECK_THROWS_WITH(read_config(directory.path()), ("cannot read " + directory.path().string() +
                                                    ": it is a directory, not a regular file")
                                                       .c_str());
  const std::filesystem::path pipe = directory.path() / "pipe.toml";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH(
      read_config(pipe),
      ("cannot read " + pipe.string() + ": it is a named pipe, not a regular file").c_str());
}

TEST_CASE("the model is where the command line, the configuration or the environment says") {
  const hearth::tests::TemporaryDirectory directory;
  const auto made = [&](const char* name) {
    std::filesystem::create_directory(directory.path() / name);
    return (directory.path() / name).string();
  };
  Config config;
  ::unsetenv("HEARTH_MODEL");
  CHECK(find_model(config, "").filename() == "ember");
  ::setenv("HEARTH_MODEL", made("environment").c_str(), 1);
  CHECK(find_model(config, "").filename() == "environment");
  config.model_path = made("configured");
  CHECK(find_model(config, "").filename() == "configured");
  ::setenv("HOME", directory.path().c_str(), 1);
  config.model_path = "~/configured";
  CHECK(find_model(config, "") == directory.path() / "configured");
  CHECK(find_model(config, made("given")).filename() == "given");
  ::unsetenv("HEARTH_MODEL");
}

TEST_CASE("a model directory that does not exist is told with who named it and what to do") {
  Config config;
  config.model_path = "/nowhere/model";
  CHECK_THROWS_WITH(find_model(config, ""),
                    "there is no model directory /nowhere/model (from model.path of the "
                    "configuration): name a directory with config.json, tokenizer.json and "
                    "*.safetensors");
}
