// `hearth editors`: what is on the PATH is found, and what is printed is what editors/README.md has
// and the editors' tests read there.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::TemporaryDirectory;

namespace fs = std::filesystem;

namespace {

void add_program(const fs::path& path) {
  std::ofstream(path) << "#!/bin/sh\n";
  fs::permissions(path, fs::perms::owner_all);
}

Finished run(const Home& home, const std::string& arguments, const std::string& path) {
  return home.hearth_of("PATH='" + path + "' " HEARTH_BINARY_DIR "/hearth", "editors " + arguments);
}

}  // namespace

TEST_CASE("editors shows those that are on the PATH, and says so where there is none") {
  const Home home;
  const TemporaryDirectory folder;
  const std::string path = folder.path().string();
  const Finished none = run(home, "", path);
  CHECK(none.code == 0);
  CHECK(contains(none.out, "None of the editors that hearth knows is on the PATH"));

  add_program(folder.path() / "hx");
  std::ofstream(folder.path() / "kate") << "no program";
  const Finished one = run(home, "", path);
  CHECK(contains(one.out, "Helix\n  in ~/.config/helix/languages.toml:\n\n    [language-server."));
  CHECK_FALSE(contains(one.out, "Kate"));
  CHECK(contains(one.out, "`hearth` is not on the PATH"));

  add_program(folder.path() / "hearth");
  const Finished all = run(home, "--all", path);
  CHECK(contains(all.out, "Kate\n"));
  CHECK_FALSE(contains(all.out, "is not on the PATH"));
}

TEST_CASE("editors names the VS Code that is there, and the extension's package") {
  const Home home;
  const TemporaryDirectory folder;
  const std::string path = folder.path().string();
  add_program(folder.path() / "codium");
  const Finished found = run(home, "", path);
  CHECK(contains(found.out, "VS Code, with the extension"));
  const std::string version = home.hearth("--version").out;  // "hearth 0.1.0+…"
  const std::string package =
      "hearth-" + version.substr(7, version.find_first_of("+\n") - 7) + ".vsix\n";
  CHECK(contains(found.out, "    codium --install-extension build/vscode/" + package));
  add_program(folder.path() / "code");
  CHECK(contains(run(home, "", path).out, "    code --install-extension "));
}

TEST_CASE("editors NAME prints what editors/README.md has") {
  const Home home;
  const TemporaryDirectory folder;  // no editor is there
  const std::string readme =
      hearth::daemon::read_file(HEARTH_SOURCE_DIR "/editors/README.md", 1 << 20);
  for (const char* const name : {"neovim", "vscode", "eglot", "lsp-mode", "ale", "yegappan", "coc",
                                 "helix", "kakoune", "kate", "sublime", "jetbrains", "zed"}) {
    CAPTURE(name);
    const Finished printed = run(home, name, folder.path().string());
    CHECK(printed.code == 0);
    CHECK(printed.out.size() > 20);
    CHECK(contains(readme, printed.out));
  }
  const Finished unknown = home.hearth("editors ed");
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "hearth knows no editor \"ed\", but: neovim, vscode, eglot, "));
}
