// `hearth editors`: which editors are installed, and what each needs to start `hearth lsp`. The
// same words stand in editors/README.md, where the editors' limits are, too.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/installation.hpp"

namespace hearth::daemon {
namespace {

struct Recipe {
  std::string_view name;
  std::string_view title;
  std::vector<std::string_view> programs;  // any of them on the PATH means that it is installed
  std::string_view place;                  // where the text goes
  std::string_view text;                   // {program}: the first that is found, else the first
};

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all{
      {"neovim",
       "Neovim, with the plugin that comes with hearth",
       {"nvim"},
       "init.lua",
       R"(require('hearth').setup()
)"},
      {"vscode",
       "VS Code, with the extension that comes with hearth's sources",
       {"code", "codium", "code-insiders", "vscodium", "code-oss", "code-server"},
       "a shell, in the folder of the sources (npm and a package registry are needed)",
       R"(./editors/vscode/build
{program} --install-extension build/vscode/hearth-0.1.0.vsix
)"},
      {"eglot",
       "Emacs with Eglot",
       {"emacs"},
       "init.el, after (require 'eglot)",
       R"((add-to-list 'eglot-server-programs '(python-mode . ("hearth" "lsp")))
)"},
      {"lsp-mode",
       "Emacs with lsp-mode",
       {"emacs"},
       "init.el, after (require 'lsp-mode)",
       R"((lsp-register-client
 (make-lsp-client :new-connection (lsp-stdio-connection '("hearth" "lsp"))
                  :activation-fn (lsp-activate-on "python" "c" "cpp" "rust")
                  :add-on? t
                  :server-id 'hearth))
)"},
      {"ale",
       "Vim with ALE",
       {"vim", "gvim"},
       "vimrc",
       R"(let g:ale_lsp_show_message_severity = 'information'
call ale#linter#Define('python', {
\   'name': 'hearth', 'lsp': 'stdio', 'executable': 'hearth', 'command': '%e lsp',
\   'project_root': {buffer -> getcwd()},
\})
let g:ale_linters = {'python': ['hearth']}
)"},
      {"yegappan",
       "Vim with yegappan/lsp",
       {"vim", "gvim"},
       "vimrc, where the plugin is loaded",
       R"(call LspAddServer([{'name': 'hearth', 'filetype': ['python'], 'path': 'hearth', 'args': ['lsp']}])
)"},
      {"coc",
       "Vim or Neovim with coc.nvim",
       {"vim", "gvim"},
       "coc-settings.json (:CocConfig)",
       R"({
  "languageserver": {
    "hearth": {
      "command": "hearth",
      "args": ["lsp"],
      "filetypes": ["python", "c", "cpp", "rust"],
      "rootPatterns": [".git"]
    }
  }
}
)"},
      {"helix",
       "Helix",
       {"hx", "helix"},
       "~/.config/helix/languages.toml",
       R"([language-server.hearth]
command = "hearth"
args = ["lsp"]

[[language]]
name = "python"
language-servers = ["pylsp", "hearth"]
)"},
      {"kakoune",
       "Kakoune with kakoune-lsp",
       {"kak"},
       "kakrc",
       R"(hook global BufSetOption filetype=(?:python|c|cpp|rust) %{
    set-option -add buffer lsp_servers %{
        [hearth]
        root_globs = [".git"]
        command = "hearth"
        args = ["lsp"]
    }
}
)"},
      {"kate",
       "Kate",
       {"kate"},
       "Settings, LSP Client, User Server Settings",
       R"({
  "servers": {
    "python": {
      "command": ["hearth", "lsp"],
      "rootIndicationFileNames": [".git"],
      "highlightingModeRegex": "^Python$"
    }
  }
}
)"},
      {"sublime",
       "Sublime Text with the package LSP",
       {"subl"},
       "Preferences, Package Settings, LSP, Settings",
       R"({
  "clients": {
    "hearth": {
      "enabled": true,
      "command": ["hearth", "lsp"],
      "selector": "source.python | source.c | source.c++ | source.rust"
    }
  }
}
)"},
      {"jetbrains",
       "An IDE of JetBrains with the plugin LSP4IJ",
       {"idea", "pycharm", "clion", "webstorm", "goland", "rustrover", "rider", "phpstorm"},
       "Settings, Languages & Frameworks, Language Servers, New",
       R"(Name: hearth
Command: hearth lsp
Mappings, File name patterns: *.py, language id python
)"},
      {"zed",
       "Zed",
       {"zed", "zeditor"},
       "nothing yet",
       R"(Zed takes a language server only from an extension, and hearth has none.
)"},
  };
  return all;
}

// The first of its programs that is on the PATH, or the end of them.
auto installed(const Recipe& recipe) {
  return std::ranges::find_if(
      recipe.programs, [](std::string_view program) { return on_path(std::string(program)); });
}

bool is_installed(const Recipe& recipe) {
  return installed(recipe) != recipe.programs.end();
}

std::string text_of(const Recipe& recipe) {
  constexpr std::string_view place = "{program}";
  std::string text(recipe.text);
  const std::size_t at = text.find(place);
  if (at == text.npos) return text;
  const auto found = installed(recipe);
  text.replace(at, place.size(), found != recipe.programs.end() ? *found : recipe.programs.front());
  return text;
}

std::string indented(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) result.append("    ").append(text.substr(0, end));
    result += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::string described(const Recipe& recipe) {
  std::string text(recipe.title);
  return text.append("\n  in ").append(recipe.place).append(":\n\n") + indented(text_of(recipe));
}

std::string names() {
  std::string text;
  for (const Recipe& recipe : recipes()) text.append(text.empty() ? "" : ", ").append(recipe.name);
  return text;
}

// Only what goes into the file, so that it can be appended to it.
int print_one(const std::string& name) {
  const auto found = std::ranges::find(recipes(), name, &Recipe::name);
  if (found == recipes().end())
    throw CallError("hearth knows no editor \"" + printable(name) + "\", but: " + names());
  print(text_of(*found));
  return 0;
}

int print_installed(bool all) {
  std::string text;
  for (const Recipe& recipe : recipes()) {
    if (!all && !is_installed(recipe)) continue;
    if (!text.empty()) text += "\n";
    text += described(recipe);
  }
  if (text.empty()) {
    print(
        "None of the editors that hearth knows is on the PATH. `hearth editors --all` shows all: " +
        names() + ".\n");
    return 0;
  }
  if (!on_path("hearth")) {
    text +=
        "\n`hearth` is not on the PATH: an editor needs the whole path in its place, or a longer "
        "PATH.\n";
  }
  print(text +
        "\nWhat works in each editor, and what not: editors/README.md beside the sources.\n");
  return 0;
}

}  // namespace

void add_editors(CLI::App& app, Command& chosen) {
  struct Flags {
    std::string name;
    bool all = false;
  };
  auto* command = app.add_subcommand(
      "editors", "Finds the installed editors, and shows what each needs to use hearth");
  auto flags = std::make_shared<Flags>();
  command->add_option("name", flags->name,
                      "Only what goes into this one's configuration: " + names());
  command->add_flag("--all", flags->all, "Also editors that are not on the PATH");
  command->footer(
      "It reads the PATH and changes nothing.\n"
      "\n"
      "Examples:\n"
      "  hearth editors\n"
      "  hearth editors helix >>languages.toml");
  command->callback([&chosen, flags] {
    chosen = [flags] {
      return flags->name.empty() ? print_installed(flags->all) : print_one(flags->name);
    };
  });
}

}  // namespace hearth::daemon
