// Reads files of cases.
#include "tests/lsp/edits/case_file.hpp"

#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace hearth::lsp::test {
namespace {

constexpr std::string_view first_name = "main";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string uri_of(const std::string& name) {
  return "file:///home/ada/src/" + name;
}

SnapshotPtr snapshot_of(const std::string& name, std::string text, std::int64_t version) {
  return std::make_shared<const Snapshot>(
      Snapshot{uri_of(name), "", version, std::make_shared<const Text>(std::move(text))});
}

class Reader {
 public:
  explicit Reader(std::string file_name)
      : file_name_(std::move(file_name)),
        file_(HEARTH_SOURCE_DIR "/tests/lsp/edits/cases/" + file_name_) {
    if (!file_) fail("there is no such file");
    next();
  }

  std::vector<EditCase> read() {
    std::vector<EditCase> cases;
    while (line_) {
      if (line_->empty() || line_->starts_with('#')) {
        next();
        continue;
      }
      std::istringstream words(*line_);
      std::string word;
      std::string rest;
      words >> word;
      std::getline(words >> std::ws, rest);
      if (word == "case") {
        cases.emplace_back();
        cases.back().place = file_name_ + ":" + std::to_string(number_);
        cases.back().name = rest;
        next();
        continue;
      }
      if (cases.empty()) fail("a case begins with `case NAME`");
      directive(cases.back(), word, rest);
    }
    return cases;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(file_name_ + ":" + std::to_string(number_) + ": " + what);
  }

  void next() {
    std::string line;
    line_ = std::getline(file_, line) ? std::optional(line) : std::nullopt;
    ++number_;
  }

  // The lines behind "  |".
  std::string block() {
    std::string text;
    next();
    bool any = false;
    while (line_ && line_->starts_with("  |")) {
      const bool blank = line_->size() > 3 && (*line_)[3] == ' ';
      text += line_->substr(blank ? 4 : 3) + "\n";
      any = true;
      next();
    }
    if (!any) fail("there are no lines");
    constexpr std::array<std::pair<std::string_view, std::string_view>, 5> symbols{{
        {"\xE2\x90\x8D\n", "\r\n"},        // ␍ at a line's end
        {"\xE2\x90\x8D", "\r"},            // ␍
        {"\xE2\x86\x92", "\t"},            // →
        {"\xE2\x8C\x82", "\xEF\xBB\xBF"},  // ⌂ is a byte order mark
        {"\xE2\x81\x87", "\xFF"},          // ⁇ is no UTF-8
    }};
    for (const auto& [symbol, meaning] : symbols) replace_all(text, symbol, meaning);
    if (text.ends_with("\xC2\xAC\n")) text.resize(text.size() - 3);  // ¬: no line ending
    if (text.ends_with("\xC2\xAC\r\n")) text.resize(text.size() - 4);
    return text;
  }

  void document(EditCase& each, const std::string& name) {
    std::string text = block();
    ByteRange range{{0}, {text.size()}};
    const std::string begin = "\xC2\xAB";  // «
    const std::string end = "\xC2\xBB";    // »
    if (const std::size_t at = text.find(begin); at != text.npos) {
      text.erase(at, begin.size());
      const std::size_t last = text.find(end);
      if (last == text.npos) fail("» is missing");
      text.erase(last, end.size());
      range = {{at}, {last}};
    } else if (text.ends_with("\r\n")) {
      range.end.value -= 2;
    } else if (text.ends_with('\n')) {
      --range.end.value;
    }
    const SnapshotPtr snapshot = snapshot_of(name, std::move(text), 1);
    each.targets.push_back(target_of(*snapshot, range));
    each.now[snapshot->uri] = snapshot;
  }

  static void limit_context(Target& target, std::size_t lines) {
    std::size_t at = target.before.rfind('\n');
    for (std::size_t i = 0; i < lines && at != std::string::npos && at > 0; ++i) {
      at = target.before.rfind('\n', at - 1);
    }
    if (at != std::string::npos) target.before.erase(0, at + 1);
    at = target.after.find('\n');
    for (std::size_t i = 0; i < lines && at != std::string::npos; ++i) {
      at = target.after.find('\n', at + 1);
    }
    if (at != std::string::npos) target.after.resize(at + 1);
  }

  void directive(EditCase& each, const std::string& word, const std::string& rest) {
    const std::string name = rest.empty() ? std::string(first_name) : rest;
    if (word == "document") {
      document(each, name);
    } else if (word == "now") {
      if (rest == "closed") {
        each.now.clear();
        next();
      } else {
        each.now[uri_of(name)] = snapshot_of(name, block(), 7);
      }
    } else if (word == "answer") {
      each.answer = block();
    } else if (word == "result") {
      each.result[uri_of(name)] = block();
    } else {
      if (word == "form") {
        each.form = rest == "hunks" ? AnswerForm::hunks : AnswerForm::whole_code;
      } else if (word == "unfinished") {
        each.finished = false;
      } else if (word == "context") {
        for (Target& target : each.targets) limit_context(target, std::stoul(rest));
      } else if (word == "refused") {
        each.refusal = rest;
      } else if (word == "edits") {
        each.edits = std::stoul(rest);
      } else {
        fail("what is `" + word + "`?");
      }
      next();
    }
  }

  std::string file_name_;
  std::ifstream file_;
  std::optional<std::string> line_;
  std::size_t number_ = 0;
};

}  // namespace

std::vector<EditCase> read_edit_cases(const std::string& file_name) {
  return Reader(file_name).read();
}

}  // namespace hearth::lsp::test
