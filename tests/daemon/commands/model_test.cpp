// `hearth model` and `hearth model use`.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::TemporaryDirectory;

namespace fs = std::filesystem;

TEST_CASE("model use checks the checkpoint, sets it and restarts the daemon") {
  Home home;
  const TemporaryDirectory directory;
  const fs::path model = fs::canonical(directory.path()) / "another";
  fs::copy(HEARTH_SOURCE_DIR "/engine/ember", model, fs::copy_options::recursive);
  home.configure("# mine\n[model]\nkv = \"f16\"  # small\n");
  CHECK(contains(home.hearth("model").out, "engine/ember"));
  home.hearth("daemon");
  const pid_t first = home.daemon_pid();

  const Finished used = home.hearth("model use '" + model.string() + "'");
  CAPTURE(used.err);
  CHECK(used.code == 0);
  CHECK(contains(used.out, "begins anew"));
  CHECK(home.daemon_pid() != first);
  CHECK(home.status()["model"]["directory"] == model.string());
  CHECK(read_file(home.paths().config, 1000) ==
        "# mine\n[model]\npath = \"" + model.string() + "\"\nkv = \"f16\"  # small\n");
  CHECK(contains(home.hearth("model").out, model.string()));

  // Once more: nothing changes, and the daemon goes on.
  const pid_t second = home.daemon_pid();
  CHECK(home.hearth("model use '" + model.string() + "'").code == 0);
  CHECK(home.daemon_pid() == second);
}

TEST_CASE("model use refuses what no daemon could run, and changes nothing") {
  Home home;
  const std::string config = "# mine\n";
  home.configure(config);
  const TemporaryDirectory directory;
  const fs::path model = directory.path() / "another";
  fs::copy(HEARTH_SOURCE_DIR "/engine/ember", model, fs::copy_options::recursive);
  const std::string use = "model use '" + model.string() + "'";

  fs::rename(model / "tokenizer.json", model / "elsewhere");
  CHECK(home.hearth(use).code == 1);
  fs::rename(model / "elsewhere", model / "tokenizer.json");
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") fs::resize_file(entry.path(), 1000);
  }
  const Finished cut = home.hearth(use);
  CHECK(cut.code == 1);
  CHECK(contains(cut.err, ".safetensors"));
  CHECK(home.hearth("model use /nowhere").code == 1);
  CHECK(read_file(home.paths().config, 1000) == config);
}
