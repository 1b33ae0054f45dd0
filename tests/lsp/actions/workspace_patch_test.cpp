// The changes of jobs that no editor shows, as a patch: git makes of the files exactly what an
// editor would have made, and a job is in the patch whole or not at all.
#include "lsp/actions/workspace_patch.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "lsp/actions/patch.hpp"
#include "lsp/protocol/uri.hpp"
#include "tests/lsp/virtual_host.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::lsp::test {
namespace {

namespace fs = std::filesystem;

bool runs(const std::string& command) {
  return std::system(("env -u GIT_DIR -u GIT_WORK_TREE GIT_CONFIG_GLOBAL=/dev/null "
                      "GIT_CONFIG_NOSYSTEM=1 " +
                      command + " >/dev/null 2>&1")
                         .c_str()) == 0;
}

std::string block(const std::string& path, const std::string& search, const std::string& replace) {
  return path + "\n<<<<<<< SEARCH\n" + search + "=======\n" + replace + ">>>>>>> REPLACE\n\n";
}

// A folder on the disk, and jobs about its files.
struct Project {
  tests::TemporaryDirectory directory;
  fs::path root = fs::canonical(directory.path()) / "my project";
  VirtualHost host;
  std::vector<Job> jobs;

  Project() {
    host.files = root.parent_path().string();
    fs::create_directories(root);
  }
  void file(const std::string& name, const std::string& text) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary) << text;
  }
  std::string text(const std::string& name) const {
    std::ifstream file(root / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string uri(const std::string& name) const { return file_uri((root / name).string()); }

  // A waiting job about all of these files, which the model answered with hunks.
  Job& job(const std::vector<std::string>& names, const std::string& answer) {
    Job& job = jobs.emplace_back();
    job.id = jobs.size();
    job.origin.workspace = file_uri(root.string());
    job.request.action = "edit";
    job.request.form = AnswerForm::hunks;
    job.request.new_files_in = job.origin.workspace;
    for (const std::string& name : names) {
      const Snapshot snapshot{uri(name), {}, 1, std::make_shared<Text>(text(name))};
      job.request.targets.push_back(
          target_of(snapshot, {snapshot.text->begin(), Byte{snapshot.text->str().size()}}));
    }
    job.state = JobState::waiting;
    job.text = answer;
    return job;
  }
  WorkspacePatch patch() const { return workspace_patch(jobs, host); }
  bool apply(const WorkspacePatch& patch, const std::string& with = "git apply") const {
    const fs::path file = directory.path() / "patch";
    std::ofstream(file, std::ios::binary) << patch.text;
    return runs("sh -c 'cd \"$0\" && " + with + " <\"$1\"' '" + patch.folder + "' '" +
                file.string() + "'");
  }
  std::string left_out() const {
    const WorkspacePatch made = patch();
    CHECK(made.text.empty());
    return made.left_out.size() == 1 ? made.left_out.front().why : "";
  }
};

bool contains_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != text.npos;
}

bool has_git() {
  if (runs("git --version")) return true;
  MESSAGE("skipped: git is not here");
  return false;
}

// Everything that a patch may have to say, in files beside each other.
void change_all(Project& project) {
  project.file("plain.py", "def a(x):\n    return x\n");
  project.file("a folder/with blanks.py", "b = 1\n");
  project.file("windows.py", "one = 1\r\ntwo = 2\r\nthree = 3\r\n");
  project.file("no_end.py", "first = 1\nlast = 2");
  project.file("mark.py", "\xEF\xBB\xBFmark = 1\nnext = 2\n");
  project.file("quo\"te\\d.py", "q = 1\n");
  project.file("grüße.py", "g = 1\n");
  std::string numbers;
  for (int i = 0; i < 40; ++i)
    numbers += "n" + std::to_string(i) + " = " + std::to_string(i) + "\n";
  project.file("far_apart.py", numbers);
  project.job(
      {"plain.py", "a folder/with blanks.py", "windows.py", "no_end.py", "mark.py", "grüße.py",
       "far_apart.py"},
      block("plain.py", "    return x\n", "    return x + 1\n") +
          block("a folder/with blanks.py", "b = 1\n", "b = 2\n") +
          block("windows.py", "two = 2\n", "two = 2\ntwo_more = 22\n") +
          block("no_end.py", "last = 2\n", "last = 3\n") +
          block("mark.py", "next = 2\n", "next = 3\n") + block("grüße.py", "g = 1\n", "g = 2\n") +
          block("far_apart.py", "n1 = 1\n", "n1 = 11\n") +
          block("far_apart.py", "n38 = 38\n", "n38 = 0\n") +
          block("made/new.py", "", "new = 1\nnewer = 2\n") + block("made/__init__.py", "", ""));
  project.job({"quo\"te\\d.py"}, block("", "q = 1\n", "q = 2\n"));  // no model can name it
}

void check_all(const Project& project) {
  CHECK(project.text("plain.py") == "def a(x):\n    return x + 1\n");
  CHECK(project.text("a folder/with blanks.py") == "b = 2\n");
  CHECK(project.text("windows.py") == "one = 1\r\ntwo = 2\r\ntwo_more = 22\r\nthree = 3\r\n");
  CHECK(project.text("no_end.py") == "first = 1\nlast = 3");
  CHECK(project.text("mark.py") == "\xEF\xBB\xBFmark = 1\nnext = 3\n");
  CHECK(project.text("quo\"te\\d.py") == "q = 2\n");
  CHECK(project.text("grüße.py") == "g = 2\n");
  CHECK(project.text("far_apart.py").starts_with("n0 = 0\nn1 = 11\nn2"));
  CHECK(project.text("far_apart.py").ends_with("n38 = 0\nn39 = 39\n"));
  CHECK(project.text("made/new.py") == "new = 1\nnewer = 2\n");
  CHECK(fs::exists(project.root / "made/__init__.py"));
  CHECK(project.text("made/__init__.py").empty());
}

}  // namespace

TEST_CASE("git makes of a workspace's files what its patch says, byte for byte") {
  if (!has_git()) return;
  Project project;
  fs::path folder = project.root;
  SUBCASE("in no repository") {}
  SUBCASE("in a repository") {
    REQUIRE(runs("git init '" + project.root.string() + "'"));
  }
  SUBCASE("in a folder of a repository") {
    folder = project.root.parent_path();
    REQUIRE(runs("git init '" + folder.string() + "'"));
  }
  change_all(project);
  const WorkspacePatch patch = project.patch();
  for (const auto& left : patch.left_out) FAIL_CHECK(left.why);
  CHECK(patch.folder == folder.string());
  CHECK(project.text("plain.py") == "def a(x):\n    return x\n");  // nothing is written
  REQUIRE(project.apply(patch));
  check_all(project);
}

TEST_CASE("the program patch makes the same of it") {
  if (!runs("patch --version")) {
    MESSAGE("skipped: patch is not here");
    return;
  }
  Project project;
  change_all(project);
  REQUIRE(project.apply(project.patch(), "patch -p1"));
  check_all(project);
}

TEST_CASE("a patch is what git itself would print") {
  Project project;
  project.file("a b.py", "x = 1\ny = 2");
  project.job({"a b.py"}, block("a b.py", "y = 2\n", "y = 3\n") + block("c.py", "", "z = 1\n"));
  CHECK(project.patch().text ==
        "diff --git a/a b.py b/a b.py\n"
        "--- a/a b.py\t\n+++ b/a b.py\t\n"
        "@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n\\ No newline at end of file\n"
        "+y = 3\n\\ No newline at end of file\n"
        "diff --git a/c.py b/c.py\n"
        "new file mode 100644\n"
        "--- /dev/null\n+++ b/c.py\n"
        "@@ -0,0 +1,1 @@\n+z = 1\n");
  CHECK(file_patch("a.py", "one\r\n", "one\n") ==
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,1 +1,1 @@\n-one\r\n+one\n");
  CHECK(file_patch("a.py", "one\n", "one\n").empty());
  CHECK(file_patch("a\nb.py", std::nullopt, "") ==
        "diff --git \"a/a\\012b.py\" \"b/a\\012b.py\"\nnew file mode 100644\n");
}

TEST_CASE("what was written to a file since is merged into its patch") {
  Project project;
  project.file("a.py", "one = 1\ntwo = 2\nthree = 3\nfour = 4\nfive = 5\n");
  project.job({"a.py"}, block("a.py", "five = 5\n", "five = 6\n"));
  project.file("a.py", "# new\none = 1\ntwo = 2\nthree = 3\nfour = 4\nfive = 5\n");
  CHECK(contains_line(project.patch().text, "@@ -3,4 +3,4 @@"));
  project.file("a.py", "one = 1\ntwo = 2\nthree = 3\nfour = 4\nfive = 55\n");
  CHECK(project.left_out().starts_with("Nothing was changed: "));
}

TEST_CASE("several jobs are one patch, made one upon the other") {
  if (!has_git()) return;
  Project project;
  project.file("a.py", "one = 1\ntwo = 2\nthree = 3\nfour = 4\n");
  project.file("b.py", "b = 1\n");
  project.job({"a.py"}, block("a.py", "one = 1\n", "one = 11\n"));
  project.job({"b.py"}, "no block at all");
  project.job({"a.py"}, block("a.py", "four = 4\n", "four = 44\n"));
  const WorkspacePatch patch = project.patch();
  REQUIRE(patch.left_out.size() == 1);
  CHECK(patch.left_out.front().job == 2);
  REQUIRE(project.apply(patch));
  CHECK(project.text("a.py") == "one = 11\ntwo = 2\nthree = 3\nfour = 44\n");
  CHECK(project.text("b.py") == "b = 1\n");
}

TEST_CASE("a job that cannot be made whole is left out whole, with the reason") {
  Project project;
  project.file("a.py", "a = 1\n");
  project.file("b.py", "b = 1\n");
  Job& job = project.job({"a.py", "b.py"},
                         block("a.py", "a = 1\n", "a = 2\n") + block("b.py", "b = 1\n", "b = 2\n"));
  SUBCASE("a file is gone") {
    fs::remove(project.root / "b.py");
    CHECK(project.left_out().starts_with("b.py cannot be read"));
  }
  SUBCASE("a file is a link to the outside") {
    fs::remove(project.root / "b.py");
    std::ofstream(project.root.parent_path() / "b.py") << "b = 1\n";
    fs::create_symlink("../b.py", project.root / "b.py");
    CHECK(project.left_out().starts_with("b.py cannot be read"));
  }
  SUBCASE("two of the files are one") {
    fs::remove(project.root / "b.py");
    fs::create_symlink("a.py", project.root / "b.py");
    CHECK(project.left_out().starts_with("b.py cannot be read"));
  }
  SUBCASE("a file is there that it would make") {
    job.text += block("c.py", "", "c = 1\n");
    project.file("c.py", "mine\n");
    CHECK(project.left_out() == "c.py is there already, and is not overwritten");
  }
  SUBCASE("a file is the editor's configuration") {
    project.file(".vscode/tasks.py", "t = 1\n");
    project.jobs.clear();
    project.job({".vscode/tasks.py"}, block(".vscode/tasks.py", "t = 1\n", "t = 2\n"));
    CHECK(project.left_out() == ".vscode/tasks.py is a file that hearth never changes");
  }
  SUBCASE("a file is one that git ignores") {
    project.file(".gitignore", "b.py\n");
    CHECK(project.left_out() == "b.py is a file that git ignores");
  }
  SUBCASE("its workspace is gone") {
    fs::remove_all(project.root);
    CHECK(project.left_out() == "its folder is not there");
  }
  SUBCASE("it is about a document that is no file") {
    job.origin.workspace = "untitled:1";
    CHECK(project.left_out() == "its folder is not there");
  }
}

TEST_CASE("an edit that was sent to an editor which went is in no patch unless it was not made") {
  Project project;
  project.file("a.py", "a = 1\n");
  Job& job = project.job({"a.py"}, block("a.py", "a = 1\n", "a = 2\n"));
  job.sent = {{project.uri("a.py"), "", "a = 1\n", "a = 2\n", "", false}};
  CHECK(contains_line(project.patch().text, "+a = 2"));
  project.file("a.py", "a = 2\n");
  CHECK(project.left_out() == "its change is in the files already");
  project.file("a.py", "a = 3\n");
  CHECK(project.left_out().starts_with("an editor went before it said"));
}

TEST_CASE("a job about one document outside of any folder has a patch too") {
  Project project;
  project.file("loose.py", "a = 1\n");
  Job& job = project.job({"loose.py"}, block("loose.py", "a = 1\n", "a = 2\n"));
  job.origin.workspace = project.uri("loose.py");
  const WorkspacePatch patch = project.patch();
  CHECK(patch.folder == project.root.string());
  CHECK(patch.text.starts_with("diff --git a/loose.py b/loose.py\n"));
}

}  // namespace hearth::lsp::test
