// Reads every #include of the tree and fails on one against the design's direction; and holds the
// top level to what the design names.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const std::set<std::string> layers = {"kernels", "engine", "lsp", "daemon", "tests"};

bool starts_with_any(const std::string& text, const std::vector<std::string>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const std::string& beginning) { return text.starts_with(beginning); });
}

// Whether a file of `layer` may include `header`. What is neither one of hearth's layers nor a
// library that a layer has to do without (the standard library, say) is allowed.
bool allowed(const std::string& layer, const std::string& header) {
  const std::string target = header.substr(0, header.find('/'));
  if (layer == "tests") return true;
  if (target == "tests") return false;
  const std::vector<std::string> transport = {"boost/", "spdlog/", "CLI/", "toml++/"};
  const std::vector<std::string> syntax = {"tree_sitter/"};
  const std::vector<std::string> text = {"nlohmann/", "pcre2", "utf8proc"};
  if (layer == "kernels") {
    return (!layers.contains(target) || target == "kernels") &&
           !starts_with_any(header, transport) && !starts_with_any(header, syntax) &&
           !starts_with_any(header, text);
  }
  if (layer == "engine") {
    if (header == "kernels/access.hpp" || header.starts_with("kernels/cpu/")) return false;
    return target != "lsp" && target != "daemon" && !starts_with_any(header, transport) &&
           !starts_with_any(header, syntax);
  }
  if (layer == "lsp") {
    return (!layers.contains(target) || target == "lsp") && !starts_with_any(header, transport);
  }
  // daemon: the engine only by its public faces, the one to use it and the one to measure it.
  const std::set<std::string> faces = {"engine/engine.hpp", "engine/measure.hpp",
                                       "engine/synth.hpp"};
  return target != "kernels" && (target != "engine" || faces.contains(header)) &&
         !starts_with_any(header, syntax);
}

std::vector<std::string> includes(std::istream& source) {
  static const std::regex directive(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<std::string> found;
  std::smatch match;
  for (std::string line; std::getline(source, line);) {
    if (std::regex_search(line, match, directive)) found.push_back(match[1]);
  }
  return found;
}

struct Source {
  std::string layer;
  fs::path path;
};

std::vector<Source> sources() {
  const std::set<std::string> extensions = {".cpp", ".hpp", ".h", ".c", ".cu", ".cuh"};
  std::vector<Source> found;
  for (const std::string& layer : layers) {
    auto entry = fs::recursive_directory_iterator(fs::path(HEARTH_SOURCE_DIR) / layer);
    for (; entry != fs::recursive_directory_iterator(); ++entry) {
      if (entry->path().filename() == "node_modules") entry.disable_recursion_pending();
      if (extensions.contains(entry->path().extension())) found.push_back({layer, entry->path()});
    }
  }
  return found;
}

}  // namespace

TEST_CASE("no #include goes against the direction") {
  std::set<std::string> seen;
  for (const Source& source : sources()) {
    seen.insert(source.layer);
    std::ifstream file(source.path);
    for (const std::string& header : includes(file)) {
      CAPTURE(source.path.string());
      CAPTURE(header);
      CHECK(allowed(source.layer, header));
      CHECK_MESSAGE(!header.starts_with("."), "includes go by path from the root");
    }
  }
  CHECK(seen == layers);
}

TEST_CASE("the rules refuse what the design refuses") {
  CHECK(allowed("engine", "kernels/ops.hpp"));
  CHECK(allowed("daemon", "engine/engine.hpp"));
  CHECK(allowed("kernels", "vector"));
  CHECK(allowed("lsp", "tree_sitter/api.h"));

  CHECK_FALSE(allowed("kernels", "engine/types.hpp"));
  CHECK_FALSE(allowed("kernels", "nlohmann/json.hpp"));
  CHECK_FALSE(allowed("engine", "lsp/text.hpp"));
  CHECK_FALSE(allowed("engine", "daemon/config.hpp"));
  CHECK_FALSE(allowed("engine", "kernels/cpu/vector.hpp"));
  CHECK_FALSE(allowed("engine", "boost/asio.hpp"));
  CHECK_FALSE(allowed("engine", "tree_sitter/api.h"));
  CHECK_FALSE(allowed("lsp", "engine/engine.hpp"));
  CHECK_FALSE(allowed("lsp", "kernels/ops.hpp"));
  CHECK_FALSE(allowed("lsp", "spdlog/spdlog.h"));
  CHECK_FALSE(allowed("daemon", "kernels/ops.hpp"));
  CHECK_FALSE(allowed("daemon", "engine/safetensors.hpp"));
  CHECK_FALSE(allowed("daemon", "tests/lsp/scripted_model.hpp"));
}

TEST_CASE("includes are read however they are written") {
  std::istringstream source("#include <vector>\n  #  include \"lsp/text.hpp\"\n// #include none\n");
  CHECK(includes(source) == std::vector<std::string>{"vector", "lsp/text.hpp"});
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
