// Which prompts of repositories were confirmed: kept privately, found again, and never made up.
#include "daemon/prompt_trust_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/platform/error.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::tests::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

struct State {
  TemporaryDirectory directory;
  fs::path file = directory.path() / "hearth" / "trusted_prompts.json";
};

}  // namespace

TEST_CASE("what was confirmed is there after a restart, and can be taken back") {
  State state;
  {
    PromptTrustFile trust(state.file);
    CHECK(trust.confirmed("/home/ada/project").empty());
    trust.confirm("/home/ada/project", "0123");
    trust.confirm("/home/ada/other", "4567");
  }
  {
    PromptTrustFile trust(state.file);
    CHECK(trust.confirmed("/home/ada/project") == "0123");
    CHECK(trust.confirmed("/home/ada").empty());
    trust.confirm("/home/ada/project", "");
  }
  PromptTrustFile trust(state.file);
  CHECK(trust.confirmed("/home/ada/project").empty());
  CHECK(trust.confirmed("/home/ada/other") == "4567");
}

TEST_CASE("folders that are chosen are forgotten, in the file too") {
  State state;
  PromptTrustFile trust(state.file);
  trust.confirm("/home/ada/project", "0123");
  trust.confirm("/home/ada/other", "4567");
  const auto other = [](const std::string& folder) { return folder == "/home/ada/other"; };
  CHECK(trust.count(other) == 1);
  trust.forget(other);
  CHECK(trust.count(other) == 0);
  const PromptTrustFile again(state.file);
  CHECK(again.confirmed("/home/ada/project") == "0123");
  CHECK(again.confirmed("/home/ada/other").empty());
}

TEST_CASE("the file is its user's alone") {
  State state;
  PromptTrustFile(state.file).confirm("/home/ada/project", "0123");
  struct stat info {};
  REQUIRE(::stat(state.file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("of a file that cannot be read nothing counts") {
  for (const char* text : {"{\"/home/ada/project\": ", "[]", "{\"/home/ada/project\": 7}"}) {
    State state;
    fs::create_directories(state.file.parent_path());
    std::ofstream(state.file) << text;
    std::string warning;
    PromptTrustFile trust(state.file, [&](const std::string& what) { warning = what; });
    CHECK(warning.find(state.file.string()) != warning.npos);
    CHECK(trust.confirmed("/home/ada/project").empty());
    trust.confirm("/home/ada/project", "0123");
    CHECK(PromptTrustFile(state.file).confirmed("/home/ada/project") == "0123");
  }
}

TEST_CASE("what cannot be written down is not confirmed") {
  State state;
  PromptTrustFile trust(state.file);
  fs::create_symlink(state.directory.path(), state.file.parent_path());
  CHECK_THROWS_AS(trust.confirm("/home/ada/project", "0123"), Error);
  CHECK(trust.confirmed("/home/ada/project").empty());
}

TEST_CASE("without a state directory, it holds while the process lives") {
  State state;
  PromptTrustFile trust({});
  trust.confirm("/home/ada/project", "0123");
  CHECK(trust.confirmed("/home/ada/project") == "0123");
}
