// Keys of servers: where they are read from, and where they may go.
#include "daemon/remote_options.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using daemon::Config;
using daemon::Error;
using daemon::model_remote_options;

namespace {

Config with(const std::string& url, const std::string& key_file = "") {
  Config config;
  config.model_remote.url = url;
  config.model_remote.key_file = key_file;
  return config;
}

std::string refusal(const Config& config) {
  try {
    model_remote_options(config);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a server's key comes from a file of its user alone, or from the environment") {
  const tests::TemporaryDirectory directory;
  const std::string file = (directory.path() / "key").string();
  daemon::write_file(file, "sk-1\r\n");
  const auto options = model_remote_options(with("https://gpu.example.org/v1", file));
  CHECK(options.key == "sk-1");
  CHECK(options.key_source == "model.key_file");
  CHECK(options.url.host == "gpu.example.org");

  std::filesystem::permissions(file, std::filesystem::perms{0640});
  CHECK(refusal(with("https://gpu.example.org/v1", file)) ==
        file + " (model.key_file) can be read by others: chmod 600 " + file);
  daemon::write_file(file, "two words\n");
  CHECK(refusal(with("https://gpu.example.org/v1", file)) ==
        file +
            " (model.key_file) must hold the server's key alone, in one line of plain characters");
  CHECK(refusal(with("https://gpu.example.org/v1", directory.path().string()))
            .ends_with("(model.key_file) is a directory"));
  CHECK(refusal(with("https://gpu.example.org/v1", file + "s")).find("No such file") !=
        std::string::npos);

  ::setenv("HEARTH_API_KEY", "sk-2", 1);
  CHECK(model_remote_options(with("https://gpu.example.org/v1")).key == "sk-2");
  Config completing;
  completing.inline_remote.url = "https://other.example.org/v1";
  CHECK(daemon::inline_remote_options(completing).key.empty());
  ::unsetenv("HEARTH_API_KEY");
  CHECK(model_remote_options(with("https://gpu.example.org/v1")).key.empty());
}

TEST_CASE("a key goes over https, or to this machine") {
  const tests::TemporaryDirectory directory;
  const std::string file = (directory.path() / "key").string();
  daemon::write_file(file, "sk-1");
  CHECK(refusal(with("http://gpu.example.org/v1", file)) ==
        "model.url = \"http://gpu.example.org/v1\" would send the key of model.key_file readable "
        "for everybody on its way: use https");
  CHECK(model_remote_options(with("http://127.0.0.1:8000/v1", file)).key == "sk-1");
  CHECK(refusal(with("http://gpu.example.org/v1")).empty());
}

TEST_CASE("a tokenizer is a directory that is there") {
  Config config = with("http://127.0.0.1:8000/v1");
  config.model_remote.tokenizer = "/nowhere/tokenizer";
  CHECK(refusal(config).find("model.tokenizer of the configuration") != std::string::npos);
  config.model_remote.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
  CHECK(std::filesystem::exists(model_remote_options(config).tokenizer / "tokenizer.json"));
}
