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

TEST_CASE("model use changes what a link leads to, and leaves the link") {
  Home home;
  const TemporaryDirectory dotfiles;
  const fs::path real = fs::canonical(dotfiles.path());
  fs::create_directories(real / "hearth");
  fs::create_directories(home.paths().config.parent_path());
  fs::remove(home.paths().config);
  std::string before;
  SUBCASE("of one link") {
    fs::create_symlink(real / "hearth/config.toml", home.paths().config);
    before = "# mine\n";
  }
  SUBCASE("of a link to a link, one of them relative") {
    fs::create_symlink("hearth/config.toml", real / "link.toml");
    fs::create_symlink(real / "link.toml", home.paths().config);
    before = "# mine\n";
  }
  SUBCASE("that is not there yet") {
    fs::create_symlink(real / "hearth/config.toml", home.paths().config);
  }
  if (!before.empty()) write_file(real / "hearth/config.toml", before);
  const fs::path link = fs::read_symlink(home.paths().config);
  const std::string model = fs::canonical(HEARTH_SOURCE_DIR "/engine/ember").string();

  const Finished used = home.hearth("model use '" + model + "'");
  CAPTURE(used.err);
  CHECK(used.code == 0);
  CHECK(contains(used.out, "a link to " + (real / "hearth/config.toml").string()));
  REQUIRE(fs::is_symlink(home.paths().config));
  CHECK(fs::read_symlink(home.paths().config) == link);
  CHECK_FALSE(fs::is_symlink(real / "hearth/config.toml"));
  const std::string after = read_file(real / "hearth/config.toml", 1000);
  CHECK(after == before + (before.empty() ? "" : "\n") + "[model]\npath = \"" + model + "\"\n");
  CHECK(read_file(home.paths().config, 1000) == after);
  CHECK(contains(home.hearth("daemon --print-config").out, model));
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
