// Ten languages, ten cursors each: what the prompt holds of other files, and what it must not. The
// workspaces are the files in tests/lsp/context/workspaces.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lsp/context/context.hpp"
#include "lsp/context/indexer.hpp"
#include "lsp/protocol/uri.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t budget = 2000;  // tokens of four bytes
constexpr std::int64_t small_budget = 1000;

struct Cursor {
  std::string path;
  std::string words;
  std::vector<std::string> wanted;
};

struct Workspace {
  std::map<std::string, std::string> files;
  std::vector<Cursor> cursors;
  std::vector<std::string> forbidden;
};

Workspace read_workspace(const fs::path& path) {
  Workspace workspace;
  std::ifstream file(path, std::ios::binary);
  std::string* text = nullptr;
  for (std::string line; std::getline(file, line);) {
    const auto rest = [&](std::size_t from) { return line.substr(from); };
    if (line.starts_with("=== ")) {
      text = &workspace.files[rest(4)];
    } else if (line.starts_with("@@@ ")) {
      text = nullptr;
      const std::size_t colon = line.find(": ");
      REQUIRE(colon != line.npos);
      workspace.cursors.push_back({line.substr(4, colon - 4), rest(colon + 2), {}});
    } else if (text != nullptr) {
      *text += line + '\n';
    } else if (line.starts_with("+ ")) {
      REQUIRE_FALSE(workspace.cursors.empty());
      workspace.cursors.back().wanted.push_back(rest(2));
    } else if (line.starts_with("! ")) {
      workspace.forbidden.push_back(rest(2));
    } else {
      FAIL(path << ": what is this line? " << line);
    }
  }
  return workspace;
}

// All of the prompt but the code that is asked about.
std::string beside_the_code(const Prompt& prompt) {
  std::string text;
  for (const Message& message : prompt.messages) {
    for (const Segment& segment : message.segments) {
      if (segment.provenance != Provenance::selection) text += segment.text + '\n';
    }
  }
  return text;
}

ModelProfile profile(std::int64_t tokens) {
  ModelProfile profile;
  profile.name = "scripted";
  profile.system_chat = "You are a programming assistant inside an editor.";
  profile.context_tokens = tokens;
  return profile;
}

// What `task` shows within so many tokens.
Prompt prompt_of(const TaskInput& task, std::int64_t tokens) {
  const ContextPlan plan = plan_task(task, profile(tokens), {"explain", "Explain this code."});
  std::vector<std::int64_t> counts;
  for (const std::string& text : plan.texts()) {
    counts.push_back(static_cast<std::int64_t>((text.size() + 3) / 4));
  }
  Prompt prompt = plan.fit(counts);
  CHECK(static_cast<std::int64_t>(bytes_of(prompt) / 4) <= tokens - task.answer_tokens);
  return prompt;
}

bool holds_all(const std::string& text, const std::vector<std::string>& wanted) {
  return std::ranges::all_of(
      wanted, [&](const std::string& each) { return text.find(each) != std::string::npos; });
}

}  // namespace

TEST_CASE("in ten languages prompts hold what the code uses of other files, and nothing hidden") {
  int languages = 0;
  int all_cursors = 0;
  int all_held = 0;
  int all_hidden = 0;
  std::string table =
      "language     cursors held   texts held   hidden shown   tokens   cursors in half of them\n";
  std::vector<fs::path> paths;
  for (const auto& entry :
       fs::directory_iterator(HEARTH_SOURCE_DIR "/tests/lsp/context/workspaces")) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) {
    const std::string language = path.stem().string();
    CAPTURE(language);
    const Workspace workspace = read_workspace(path);
    CHECK(workspace.cursors.size() == 10);
    const hearth::tests::TemporaryDirectory directory;
    const fs::path top = fs::canonical(directory.path());
    const fs::path root = top / "work";
    for (const auto& [name, text] : workspace.files) {
      fs::create_directories((root / name).lexically_normal().parent_path());
      std::ofstream((root / name).lexically_normal(), std::ios::binary) << text;
    }
    VirtualHost host;
    host.files = top.string();
    const auto syntax = std::make_shared<const Syntax>(timeout);
    Indexer indexer(host, syntax,
                    {[] { return false; }, [](const std::string&) { return SnapshotPtr(); }});
    indexer.set_folders({file_uri(root.string())});
    host.run();
    CHECK(indexer.index()->statistics().complete);

    int held = 0;
    int held_small = 0;
    int texts = 0;
    int texts_held = 0;
    int hidden = 0;
    std::int64_t tokens = 0;
    std::string missing;
    for (const Cursor& cursor : workspace.cursors) {
      TaskInput task;
      task.snapshot =
          snapshot(file_uri((root / cursor.path).string()), workspace.files.at(cursor.path));
      const Byte place = place_of(*task.snapshot, cursor.words);
      task.selection = {place, place};
      task.syntax = syntax;
      task.folders = {file_uri(root.string())};
      task.index = indexer.index();
      task.answer_tokens = 256;
      const Prompt prompt = prompt_of(task, budget);
      const Prompt small = prompt_of(task, small_budget);
      tokens = std::max(tokens, static_cast<std::int64_t>(bytes_of(prompt) / 4));
      const std::string beside = beside_the_code(prompt);
      for (const std::string& wanted : cursor.wanted) {
        ++texts;
        if (beside.find(wanted) != std::string::npos) {
          ++texts_held;
        } else {
          missing += "  " + cursor.words + ": " + wanted + "\n";
        }
      }
      held += holds_all(beside, cursor.wanted) ? 1 : 0;
      held_small += holds_all(beside_the_code(small), cursor.wanted) ? 1 : 0;
      const std::string whole =
          text_of(prompt.messages.at(1).segments) + text_of(small.messages.at(1).segments);
      for (const std::string& forbidden : workspace.forbidden) {
        if (whole.find(forbidden) == std::string::npos) continue;
        ++hidden;
        FAIL_CHECK(cursor.words << " shows " << forbidden << ":\n" << whole);
      }
    }
    const auto column = [](std::string text, std::size_t width) {
      text.resize(std::max(text.size(), width), ' ');
      return text;
    };
    table += column(language, 13) +
             column(std::to_string(held) + " of " + std::to_string(workspace.cursors.size()), 15) +
             column(std::to_string(texts_held) + " of " + std::to_string(texts), 13) +
             column(std::to_string(hidden), 15) + column(std::to_string(tokens), 9) +
             std::to_string(held_small) + "\n" + missing;
    ++languages;
    all_cursors += static_cast<int>(workspace.cursors.size());
    all_held += held;
    all_hidden += hidden;
  }
  MESSAGE(table << all_held << " of " << all_cursors << " cursors");
  CHECK(languages >= 10);
  CHECK(all_held * 100 >= all_cursors * 80);
  CHECK(all_hidden == 0);
}
