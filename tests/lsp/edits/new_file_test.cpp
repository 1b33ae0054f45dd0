// Files that an answer proposes: which paths are none, and what is written in them.
#include "lsp/edits/new_file.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "lsp/edits/assemble.hpp"

namespace hearth::lsp::test {
namespace {

constexpr const char* folder = "file:///home/me/my%20project";

const SnapshotPtr document = std::make_shared<const Snapshot>(
    Snapshot{"file:///home/me/my%20project/lib/a.py", "python", 1,
             std::make_shared<const Text>("import sys\n\nx = 1\n")});

Checked<std::vector<FileEdit>> assembled(const std::string& answer, const std::string& in = folder,
                                         const SnapshotPtr& now = document) {
  const std::vector<Target> targets{target_of(*now, {Byte{0}, Byte{now->text->str().size()}})};
  return assemble(
      AnswerForm::hunks, answer, true, targets,
      [&](const std::string& uri) { return uri == now->uri ? now : nullptr; }, in);
}

std::string block(const std::string& path, const std::string& search, const std::string& replace) {
  return path + "\n<<<<<<< SEARCH\n" + search + "=======\n" + replace + ">>>>>>> REPLACE\n";
}

std::vector<FileEdit> files_of(const Checked<std::vector<FileEdit>>& made) {
  if (const auto* refusal = std::get_if<Refusal>(&made)) FAIL_CHECK(refusal->reason);
  const auto* files = std::get_if<std::vector<FileEdit>>(&made);
  return files != nullptr ? *files : std::vector<FileEdit>();
}

std::string reason_of(const Checked<std::vector<FileEdit>>& made) {
  const auto* refusal = std::get_if<Refusal>(&made);
  return refusal != nullptr ? refusal->reason : "it was not refused";
}

}  // namespace

TEST_CASE("a block with a path and nothing to search for is a new file, before all other edits") {
  const std::vector<FileEdit> files =
      files_of(assembled(block("lib/a.py", "x = 1\n", "from .b import x\n") +
                         "\nAnd the new one:\n\n" + block("lib/b.py", "", "x = 1\n\n\ny = 2\n")));
  REQUIRE(files.size() == 2);
  CHECK(files[0].creates);
  CHECK(files[0].uri == "file:///home/me/my%20project/lib/b.py");
  CHECK(files[0].edits == std::vector<TextEdit>{{{}, "x = 1\n\n\ny = 2\n"}});
  CHECK_FALSE(files[1].creates);
  CHECK(files[1].uri == document->uri);
}

TEST_CASE("a new file may be all that an answer has, and may be empty") {
  const std::vector<FileEdit> files = files_of(assembled(block("./lib/__init__.py", "\n", "")));
  REQUIRE(files.size() == 1);
  CHECK(files[0].uri == "file:///home/me/my%20project/lib/__init__.py");
  CHECK(files[0].edits.at(0).text.empty());
}

TEST_CASE("the text of a new file is what the block has, with the document's line endings") {
  // Of several lines that look like the divider the first one is it.
  const std::string text = "Title\n=======\n\nText\n";
  CHECK(files_of(assembled(block("doc/a.rst", "", text))).at(0).edits.at(0).text == text);
  const std::string fenced = "```sh\nmake\n```\n";
  CHECK(files_of(assembled(block("b.md", "", fenced))).at(0).edits.at(0).text == fenced);
  CHECK(files_of(assembled(block("b.sh", "", fenced))).at(0).edits.at(0).text == "make\n");
  const auto windows = std::make_shared<const Snapshot>(Snapshot{
      document->uri, "python", 1, std::make_shared<const Text>("import sys\r\n\r\nx = 1\r\n")});
  CHECK(files_of(assembled(block("b.py", "", "y = 2\n"), folder, windows)).at(0).edits.at(0).text ==
        "y = 2\r\n");
}

TEST_CASE("no file is proposed where none may be") {
  CHECK(reason_of(assembled(block("lib/b.py", "", "x = 1\n"), ""))
            .find("lib/b.py, which it was not asked about") != std::string::npos);
  // A block that is to search for something is no new file.
  CHECK(reason_of(assembled(block("lib/b.py", "y = 1\n", "x = 1\n"))).find("not asked about") !=
        std::string::npos);
  // Nor is one of a file that is there, whatever the path leaves out.
  for (const char* path : {"lib/a.py", "a.py"})
    CHECK(reason_of(assembled(block(path, "", "x = 1\n"))).find("no SEARCH lines") !=
          std::string::npos);
}

TEST_CASE("what leaves code out is no file") {
  CHECK(reason_of(assembled(block("lib/b.py", "", "x = 1\n# ... rest of the code ...\n")))
            .find("leaves code out") != std::string::npos);
}

TEST_CASE("two new files have two places") {
  CHECK(reason_of(assembled(block("b.py", "", "1\n") + block("b.py", "", "1\n"))) ==
        "the answer makes b.py twice");
  CHECK(reason_of(assembled(block("b.py", "", "1\n") + block("B.py", "", "2\n"))) ==
        "the answer makes B.py twice");
  CHECK(reason_of(assembled(block("b.py", "", "1\n") + block("b.py/c.py", "", "2\n")))
            .find("one inside of the other") != std::string::npos);
  std::string many;
  for (int i = 0; i < 21; ++i) many += block("f" + std::to_string(i) + ".py", "", "1\n");
  CHECK(reason_of(assembled(many)).find("more than 20 files") != std::string::npos);
}

TEST_CASE("a path that is no plain one below the folder is refused, with a sentence") {
  const std::string long_name(201, 'n');
  std::string long_path = "a";
  while (long_path.size() <= 1000) long_path += "/folder";
  for (const std::string& path : std::vector<std::string>{
           "",
           "/etc/cron.d/x",
           "~/x.py",
           "C:/x.py",
           "file:///etc/x.py",
           "lib\\x.py",
           "../x.py",
           "lib/../../x.py",
           "lib/..",
           "lib//x.py",
           "lib/./x.py",
           "lib/",
           "lib/x.",
           "lib/x%2e.py",
           "two words.py",
           std::string("lib/a\x01.py"),
           std::string("lib/a\x7F.py"),
           std::string("lib/a\0.py", 9),
           "lib/a\n.py",
           "lib/a\xC2\x85.py",
           "lib/a\xE2\x80\xAE.py",
           ".g\xE2\x80\x8Cit/config",
           "\xEF\xBB\xBF.git/config",
           long_name + ".py",
           long_path,
           ".git/config",
           ".GIT/hooks/pre-commit",
           ".git",
           "lib/.Git./config",
           "git~1/config",
           ".gitmodules",
           ".gitattributes",
           ".vscode/tasks.json",
           "lib/.idea/workspace.xml",
           ".editorconfig",
           ".nvim.lua",
           "a.code-workspace",
           ".envrc",
           ".env",
           "lib/id_rsa",
           "credentials.json",
       }) {
    CAPTURE(path);
    CHECK_FALSE(new_path_refusal(path).empty());
  }
  for (const char* path :
       {"x.py", "lib/x.py", "a/b/c/d.txt", ".gitignore", ".github/labels.yml", "Makefile",
        "lib/gr\xC3\xBC\xC3\x9F"
        "e.py",
        "lib/a-b_c+d@e.py"}) {
    CAPTURE(path);
    CHECK(new_path_refusal(path).empty());
  }
}

TEST_CASE("an answer with such a path becomes no edit at all") {
  for (const char* path : {"/etc/x.py", "../x.py", ".git/hooks/x.sh", "lib/.env", "C:\\x.py"}) {
    CAPTURE(path);
    const std::string answer = block("lib/a.py", "x = 1\n", "x = 2\n") + block(path, "", "x = 1\n");
    CHECK(std::holds_alternative<Refusal>(assembled(answer)));
  }
}

}  // namespace hearth::lsp::test
