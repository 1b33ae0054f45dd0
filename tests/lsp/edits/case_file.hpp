// Cases of assemble() as people write them: tests/lsp/edits/cases/*.txt, whose form the README.md
// there describes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"

namespace hearth::lsp::test {

struct EditCase {
  std::string place;  // "fences.txt:12"
  std::string name;
  AnswerForm form = AnswerForm::whole_code;
  bool finished = true;
  std::vector<Target> targets;
  std::map<std::string, SnapshotPtr> now;  // by URI
  std::string answer;
  std::map<std::string, std::string> result;  // by URI; without one: as it is now
  std::string refusal;                        // part of the reason; empty: it is not refused
  std::size_t edits = 0;                      // how many; 0: any number
};

// All of a file. Throws where one cannot be read.
std::vector<EditCase> read_edit_cases(const std::string& file_name);

}  // namespace hearth::lsp::test
