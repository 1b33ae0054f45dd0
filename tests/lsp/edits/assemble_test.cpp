// What becomes of answers, case by case: the tables in tests/lsp/edits/cases.
#include "lsp/edits/assemble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/lsp/edits/case_file.hpp"

namespace hearth::lsp::test {
namespace {

std::vector<std::string> case_files() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(HEARTH_SOURCE_DIR "/tests/lsp/edits/cases")) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

Checked<std::vector<FileEdit>> assembled(const EditCase& each) {
  return assemble(each.form, each.answer, each.finished, each.targets, [&](const std::string& uri) {
    const auto found = each.now.find(uri);
    return found == each.now.end() ? nullptr : found->second;
  });
}

// Edits are in order, apart, and change the first and last line that they write.
void check_form(const FileEdit& file, const Text& text) {
  std::size_t end = 0;
  for (const TextEdit& edit : file.edits) {
    CHECK(edit.range.begin <= edit.range.end);
    CHECK(edit.range.begin.value >= end);
    end = edit.range.end.value;
    CHECK(end <= text.str().size());
    CHECK(text.view(edit.range) != edit.text);
  }
}

}  // namespace

TEST_CASE("answers become exactly the edits that they say, or a refusal with a reason") {
  std::size_t count = 0;
  std::map<std::string, std::size_t> by_file;
  for (const std::string& file : case_files()) {
    for (const EditCase& each : read_edit_cases(file)) {
      CAPTURE(each.place);
      CAPTURE(each.name);
      ++by_file[file];
      ++count;
      REQUIRE_MESSAGE(!each.targets.empty(), "a case has a document");
      const auto made = assembled(each);
      if (const auto* refusal = std::get_if<Refusal>(&made)) {
        CHECK_FALSE(refusal->reason.empty());
        CHECK_MESSAGE(!each.refusal.empty(), "refused: " << refusal->reason);
        CHECK_MESSAGE(refusal->reason.find(each.refusal) != std::string::npos, refusal->reason);
        continue;
      }
      CHECK_MESSAGE(each.refusal.empty(), "it is to be refused: " << each.refusal);
      std::map<std::string, std::string> texts;
      for (const auto& [uri, snapshot] : each.now) texts[uri] = snapshot->text->str();
      std::size_t edits = 0;
      for (const FileEdit& edit : std::get<std::vector<FileEdit>>(made)) {
        const Snapshot& snapshot = *each.now.at(edit.uri);
        CHECK(edit.version == snapshot.version);
        check_form(edit, *snapshot.text);
        texts[edit.uri] = edited(snapshot.text->str(), edit.edits);
        edits += edit.edits.size();
      }
      for (const auto& [uri, text] : texts) {
        const auto wanted = each.result.find(uri);
        CHECK(text ==
              (wanted != each.result.end() ? wanted->second : each.now.at(uri)->text->str()));
      }
      if (each.edits > 0) CHECK(edits == each.edits);
    }
  }
  for (const auto& [file, cases] : by_file) MESSAGE(file << ": " << cases);
  CHECK(count >= 200);
}

}  // namespace hearth::lsp::test
