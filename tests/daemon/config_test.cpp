// The configuration: what is read, and how what is wrong is told.
#include "daemon/config.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "daemon/byte_count.hpp"
#include "daemon/error.hpp"
#include "daemon/files.hpp"
#include "tests/temporary_directory.hpp"

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
threads = 6
isa = "avx2"
kv = "f16"
context = 8192
[memory]
experts = "6G"
scratch = "64M"
prefixes = "2G"
[prefixes]
distance = 1024
disk = "0"
daily = "5G"
least = "10s"
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
[daemon]
idle_exit = "30m"
[log]
level = "debug"
)",
                                     "config.toml");
  CHECK(config.model_path == "/models/coder");
  CHECK(config.model_threads == 6);
  CHECK(config.model_isa == "avx2");
  CHECK(config.model_kv == "f16");
  CHECK(config.model_context == 8192);
  CHECK(config.memory_experts == std::uint64_t{6} << 30);
  CHECK(config.memory_scratch == std::uint64_t{64} << 20);
  CHECK(config.memory_prefixes == std::uint64_t{2} << 30);
  CHECK(config.prefixes_distance == 1024);
  CHECK(config.prefixes_disk == 0);
  CHECK(config.prefixes_daily == std::uint64_t{5} << 30);
  CHECK(config.prefixes_least == milliseconds(10'000));
  CHECK(config.experts_reader == "threads");
  CHECK(config.experts_policy == "lru");
  CHECK(config.experts_prefetch);
  CHECK(config.decode_speculate == "copy");
  CHECK(config.inline_hold == milliseconds(2500));
  CHECK(config.inline_max_tokens == 32);
  CHECK(config.answer_max_tokens == 900);
  CHECK(config.idle_exit == milliseconds(1'800'000));
  CHECK(config.log_level == "debug");
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

  CHECK_FALSE(again.memory_prefixes);  // "auto", which is not the same as none
  config.memory_prefixes = 0;
  CHECK(parse_config(describe_config(config), "described").memory_prefixes == std::uint64_t{0});
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
          "config.toml:2: model.path must be a path that begins with / or ~/");
  }
  for (const char* time : {"10", "\"ten\"", "\"10 s\"", "\"10d\"", "\"\"", "\"99999999h\""}) {
    CAPTURE(time);
    CHECK(complaint(std::string("[inline]\nhold = ") + time + "\n") ==
          "config.toml:2: inline.hold must be a time such as \"500ms\", \"10s\", \"5m\" or "
          "\"12h\"");
  }
  CHECK(complaint("[memory]\nprefixes = \"some\"\n") ==
        "config.toml:2: memory.prefixes must be a size such as \"512M\" or \"6G\", or \"auto\"");
  CHECK(complaint("[prefixes]\ndisk = \"auto\"\n") ==
        "config.toml:2: prefixes.disk must be a size such as \"512M\" or \"6G\"");
}

TEST_CASE("text that is no TOML is told with its line") {
  CHECK(complaint("[model]\npath = \n").starts_with("config.toml:2: "));
  CHECK(complaint("\xff\xfe").starts_with("config.toml:1: "));
}

TEST_CASE("a missing file means the defaults, an unreadable one is an error") {
  const hearth::tests::TemporaryDirectory directory;
  CHECK(read_config(directory.path() / "none.toml").answer_max_tokens == 512);
  CHECK_THROWS_AS(read_config(directory.path()), Error);
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
