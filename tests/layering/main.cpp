// Reads every #include of the tree and fails on one against the design's direction; and holds the
// top level to what the design names. `layering_test --graph` prints which room includes which.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/layering/ladder.hpp"

namespace fs = std::filesystem;
using namespace hearth::layering;

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--graph") {
    std::fputs(text(graph(sources(HEARTH_SOURCE_DIR))).c_str(), stdout);
    return 0;
  }
  doctest::Context context(argc, argv);
  return context.run();
}

TEST_CASE("no #include goes against the direction") {
  const std::vector<Source> all = sources(HEARTH_SOURCE_DIR);
  std::set<std::string> seen;
  for (const Source& source : all) seen.insert(source.path.substr(0, source.path.find('/')));
  CHECK(seen == std::set<std::string>{"daemon", "engine", "kernels", "lsp", "tests"});
  std::string found;
  for (const std::string& line : refusals(all)) found += line + "\n";
  CHECK(found == "");
}

TEST_CASE("a folder knows only what the design lets it know") {
  const auto allowed = [](const char* file, const char* header) {
    return refusal(file, header).empty();
  };
  CHECK(allowed("engine/engine.cpp", "kernels/ops.hpp"));
  CHECK(allowed("daemon/daemon.cpp", "engine/engine.hpp"));
  CHECK(allowed("daemon/commands/bench.cpp", "engine/measure/measurements.hpp"));
  CHECK(allowed("daemon/models/local.hpp", "lsp/support/model.hpp"));
  CHECK(allowed("kernels/pool.hpp", "vector"));
  CHECK(allowed("lsp/document/syntax.cpp", "tree_sitter/api.h"));
  CHECK(allowed("tests/lsp/server_test.cpp", "daemon/config.hpp"));

  CHECK_FALSE(allowed("kernels/pool.hpp", "engine/support/types.hpp"));
  CHECK_FALSE(allowed("kernels/pool.hpp", "nlohmann/json.hpp"));
  CHECK_FALSE(allowed("kernels/pool.hpp", "tests/lsp/scripted_model.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "lsp/support/text.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "daemon/config.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "kernels/cpu/rows/vector.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "kernels/access.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "boost/asio.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "tree_sitter/api.h"));
  CHECK_FALSE(allowed("lsp/server.cpp", "engine/engine.hpp"));
  CHECK_FALSE(allowed("lsp/server.cpp", "kernels/ops.hpp"));
  CHECK_FALSE(allowed("lsp/server.cpp", "spdlog/spdlog.h"));
  CHECK_FALSE(allowed("daemon/daemon.cpp", "kernels/ops.hpp"));
  CHECK_FALSE(allowed("daemon/daemon.cpp", "engine/checkpoint/safetensors.hpp"));
  CHECK_FALSE(allowed("daemon/daemon.cpp", "tree_sitter/api.h"));
  CHECK_FALSE(allowed("daemon/daemon.cpp", "tests/lsp/scripted_model.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "../lsp/server.hpp"));
}

TEST_CASE("a room includes itself and the rooms below it") {
  const auto allowed = [](const char* file, const char* header) {
    return refusal(file, header).empty();
  };
  CHECK(allowed("engine/forward/model.cpp", "engine/forward/model.hpp"));
  CHECK(allowed("engine/forward/model.cpp", "engine/support/types.hpp"));
  CHECK(allowed("engine/engine.cpp", "engine/dummy/dummy.hpp"));
  CHECK(allowed("engine/measure/cost.hpp", "engine/engine.hpp"));
  CHECK(allowed("lsp/actions/job_view.hpp", "lsp/jobs/jobs.hpp"));
  CHECK(allowed("lsp/server.cpp", "lsp/completion/inline_completion.hpp"));
  CHECK(allowed("daemon/commands/demo.cpp", "daemon/config.hpp"));
  CHECK(allowed("daemon/main.cpp", "daemon/commands/command_line.hpp"));

  CHECK_FALSE(allowed("engine/forward/model.cpp", "engine/engine.hpp"));
  CHECK_FALSE(allowed("engine/support/json.cpp", "engine/tokenizer/bpe.hpp"));
  CHECK_FALSE(allowed("engine/experts/cache.hpp", "engine/prefix/cache.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "engine/measure/cost.hpp"));
  CHECK_FALSE(allowed("lsp/jobs/progress.hpp", "lsp/session.hpp"));
  CHECK_FALSE(allowed("lsp/protocol/rpc.hpp", "lsp/document/documents.hpp"));
  CHECK_FALSE(allowed("lsp/actions/job_view.hpp", "lsp/completion/text.hpp"));
  CHECK_FALSE(allowed("daemon/models/local.hpp", "daemon/config.hpp"));
  CHECK_FALSE(allowed("daemon/daemon.cpp", "daemon/commands/commands.hpp"));
  CHECK_FALSE(allowed("daemon/platform/log.cpp", "daemon/commands/commands.hpp"));
  CHECK_FALSE(allowed("engine/unknown/file.hpp", "engine/support/types.hpp"));
  CHECK_FALSE(allowed("engine/engine.cpp", "engine/unknown/file.hpp"));
}

TEST_CASE("what is refused is named by file and line") {
  const std::vector<Source> two{
      {"engine/forward/model.cpp", {{2, "engine/forward/model.hpp"}, {17, "engine/engine.hpp"}}},
      {"lsp/server.cpp", {{4, "spdlog/spdlog.h"}}}};
  CHECK(
      refusals(two) ==
      std::vector<std::string>{
          "engine/forward/model.cpp:17: #include \"engine/engine.hpp\": the face of engine stands "
          "on engine/forward, not the other way round",
          "lsp/server.cpp:4: #include \"spdlog/spdlog.h\": lsp does without this library"});
}

TEST_CASE("the graph has a line per room, the lowest first") {
  const std::vector<Source> some{
      {"daemon/daemon.cpp", {{1, "daemon/daemon.hpp"}, {2, "lsp/server.hpp"}, {3, "vector"}}},
      {"lsp/completion/text.cpp", {{1, "lsp/jobs/jobs.hpp"}}},
      {"lsp/jobs/jobs.cpp", {{1, "lsp/support/host.hpp"}, {2, "lsp/protocol/json.hpp"}}},
      {"lsp/server.cpp", {{1, "lsp/jobs/jobs.hpp"}}},
      {"lsp/support/host.hpp", {}},
      {"tests/lsp/main.cpp", {{1, "lsp/server.hpp"}}}};
  CHECK(text(graph(some)) ==
        "lsp/support\n"
        "lsp/jobs → lsp/protocol, lsp/support\n"
        "lsp/completion → lsp/jobs\n"
        "lsp → lsp/jobs\n"
        "daemon → lsp\n");
}

TEST_CASE("includes are read however they are written") {
  std::istringstream source(
      "#include <vector>\n  #  include \"lsp/support/text.hpp\"\n// #include none\n");
  const std::vector<Include> found = includes(source);
  REQUIRE(found.size() == 2);
  CHECK(found[0].header == "vector");
  CHECK(found[1].header == "lsp/support/text.hpp");
  CHECK(found[1].line == 2);
}

TEST_CASE("the top level holds what the design names, build folders and dot-files aside") {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(HEARTH_SOURCE_DIR)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(".") && !name.starts_with("build")) names.insert(name);
  }
  std::string found;
  for (const std::string& name : names) found += name + " ";
  CHECK(found == "CMakeLists.txt LICENSE README.md daemon editors engine kernels lsp tests ");
}
