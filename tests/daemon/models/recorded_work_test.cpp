// A recording of an hour's work, made from a seed: files that are edited here and there, undone,
// asked about, with one restart of the daemon. How much of the prompts is not read again.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "engine/dummy/dummy.hpp"
#include "tests/daemon/models/typing.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using tests::Tokens;
using tests::Typing;

namespace {

constexpr const char* paths[] = {"lsp/completion/text.cpp", "lsp/document/outline.cpp",
                                 "daemon/config.cpp", "engine/experts/cache.cpp",
                                 "lsp/jobs/jobs.cpp"};

std::string ascii(const std::string& path) {
  std::ifstream file(std::string(HEARTH_SOURCE_DIR "/") + path, std::ios::binary);
  REQUIRE(file);
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  return text;
}

std::string uri_of(const std::string& path) {
  return "file:///home/ada/hearth/" + path;
}

struct Counted {
  Tokens completions;
  Tokens actions;
  int edits = 0;
  int above = 0;  // of them above the cursor before
  int jumps = 0;
  int undone = 0;

  Tokens all() const {
    return {completions.prompt + actions.prompt, completions.cached + actions.cached};
  }
};

double share(const Tokens& tokens) {
  return static_cast<double>(tokens.cached) / static_cast<double>(tokens.prompt);
}

// A person: goes to a place, types a few lines there, and goes on from it or elsewhere.
class Person {
 public:
  Person(engine::EngineOptions options, unsigned seed)
      : options_(std::move(options)), random_(seed) {
    for (const char* path : paths) texts_.emplace_back(uri_of(path), ascii(path));
    for (const auto& [uri, text] : texts_) cursors_.push_back(text.size() / 2);
    start();
  }

  void work(int visits) {
    for (int visit = 0; visit < visits; ++visit) {
      if (visit == visits / 2) start();  // the daemon is another one now; the editor goes on
      if (chance(30)) file_ = static_cast<std::size_t>(pick(static_cast<int>(texts_.size())));
      go_somewhere(visit % 5 < 2);
      const std::size_t before = cursor();
      for (int line = 1 + pick(3); line > 0; --line) type_line();
      if (visit % 4 == 3) undo(before);
      if (visit % 5 == 4) act();
    }
  }
  const Counted& counted() const { return counted_; }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  bool chance(int percent) { return pick(100) < percent; }
  std::size_t& cursor() { return cursors_[file_]; }
  const std::string& uri() const { return texts_[file_].first; }
  const std::string& text() { return editor_->text(uri()); }

  void start() {
    if (editor_) {
      for (auto& [uri, text] : texts_) text = editor_->text(uri);
    }
    editor_.reset();
    editor_.emplace(options_, 200.0);
    for (const auto& [uri, text] : texts_) editor_->open(uri, "cpp", text);
  }
  // The end of a line: above the place before, or a few lines further down, or much further.
  void go_somewhere(bool above) {
    const auto far = static_cast<std::size_t>(40 + pick(4000));
    const auto near = static_cast<std::size_t>(pick(120));
    std::size_t to = cursor();
    if (above) {
      to -= std::min(to, far);
    } else {
      to += chance(30) ? far : near;
    }
    to = std::min(text().find('\n', std::min(to, text().size() - 1)), text().size() - 1);
    ++counted_.edits;
    counted_.above += to < cursor() ? 1 : 0;
    counted_.jumps += to + 120 < cursor() || to > cursor() + 120 ? 1 : 0;
    cursor() = to;
  }
  // A new line below the cursor's, like one that is elsewhere in the file, as it is typed. An
  // editor asks when nothing was typed for a moment: now and then within the line, and at its end.
  void type_line() {
    const std::string line = "\n" + some_line();
    for (std::size_t i = 0; i < line.size(); ++i) {
      editor_->replace(uri(), cursor()++, 0, line.substr(i, 1));
      if (chance(35) || i + 1 == line.size()) complete();
    }
  }
  std::string some_line() {
    for (;;) {
      const auto at = static_cast<std::size_t>(pick(static_cast<int>(text().size())));
      const std::size_t begin = text().rfind('\n', at) + 1;  // npos + 1 is 0
      const std::string line = text().substr(begin, text().find('\n', begin) - begin);
      if (line.size() > 8) return line;
    }
  }
  void undo(std::size_t to) {
    editor_->replace(uri(), to, cursor() - to, "");
    cursor() = to;
    ++counted_.undone;
    complete();
  }
  void complete() {
    const Tokens before = editor_->tokens();
    editor_->complete(uri(), cursor());
    add(counted_.completions, editor_->tokens() - before);
  }
  void act() {
    const Tokens before = editor_->tokens();
    const std::size_t from = text().rfind('\n', cursor() - 1);
    const std::size_t begin = from == std::string::npos ? 0 : from + 1;
    editor_->run("hearth.server.explain", uri(), begin, cursor() - begin);
    add(counted_.actions, editor_->tokens() - before);
  }
  static void add(Tokens& sum, const Tokens& more) {
    sum.prompt += more.prompt;
    sum.cached += more.cached;
  }

  engine::EngineOptions options_;
  std::minstd_rand random_;
  std::vector<std::pair<std::string, std::string>> texts_;  // by URI
  std::optional<Typing> editor_;
  std::size_t file_ = 0;
  std::vector<std::size_t> cursors_;  // one in each file
  Counted counted_;
};

engine::EngineOptions with_prefixes(engine::EngineOptions options,
                                    const std::filesystem::path& directory) {
  options.host().threads = 2;
  options.prefix_ram_bytes = std::uint64_t{1} << 29;
  options.prefix_directory = directory;
  options.disk_min_seconds = 0;
  return options;
}

void check_reuse(const engine::EngineOptions& options) {
  Person person(options, 11);
  person.work(std::getenv("HEARTH_LONG") != nullptr ? 120 : 10);
  const Counted& counted = person.counted();
  MESSAGE(counted.edits, " places, ", counted.above, " above the one before, ", counted.jumps,
          " jumps, ", counted.undone, " undone");
  MESSAGE("completions: ", 100 * share(counted.completions), " % of ", counted.completions.prompt,
          " tokens not read again; actions: ", 100 * share(counted.actions), " % of ",
          counted.actions.prompt, "; all: ", 100 * share(counted.all()), " %");
  CHECK(counted.above * 10 >= counted.edits * 3);
  CHECK(share(counted.all()) >= 0.9);
}

}  // namespace

// Figures, which sanitizers do not change; what they could find, completion_cost_test goes through.
TEST_CASE("of an hour's prompts the embedded checkpoint reads less than a tenth" *
          doctest::skip(HEARTH_SANITIZED != 0)) {
  const tests::TemporaryDirectory directory;
  engine::EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/engine/ember";
  check_reuse(with_prefixes(options, directory.path() / "prefixes"));
}

TEST_CASE("of an hour's prompts a model of the published order reads less than a tenth" *
          doctest::skip(HEARTH_SANITIZED != 0)) {
  const tests::TemporaryDirectory directory;
  engine::DummyOptions dummy;
  dummy.out = directory.path() / "tiny";
  dummy.config = engine::tiny_config(256, 4, 16);
  dummy.tokenizer = HEARTH_SOURCE_DIR "/engine/ember";
  REQUIRE(engine::write_dummy(dummy));
  engine::EngineOptions options;
  options.model = dummy.out;
  check_reuse(with_prefixes(options, directory.path() / "prefixes"));
}
