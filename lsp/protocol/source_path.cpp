// Rules about documents' names.
#include "lsp/protocol/source_path.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "lsp/protocol/uri.hpp"

namespace hearth::lsp {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view key_names[] = {"id_rsa",     "id_dsa",      "id_ecdsa",
                                          "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk",
                                          "id_xmss",    "ssh_host_key"};
constexpr std::string_view tool_names[] = {
    ".envrc",           ".netrc",         "_netrc",
    ".authinfo",        ".pgpass",        "pgpass.conf",
    ".my.cnf",          ".mylogin.cnf",   ".npmrc",
    ".yarnrc.yml",      ".pypirc",        ".htpasswd",
    ".git-credentials", ".dockercfg",     ".dockerconfigjson",
    "kubeconfig",       ".terraformrc",   "terraform.rc",
    ".vault-token",     ".vault_pass",    ".vault_pass.txt",
    ".vault-pass",      ".s3cfg",         ".boto",
    ".passwd-s3fs",     ".databrickscfg", ".smbcredentials",
    ".msmtprc",         ".fetchmailrc",   "sasl_passwd",
    "kaggle.json",      "rclone.conf",    "credentials.tfrc.json"};
// Below the folders of the one who uses the tool.
constexpr std::string_view tool_paths[] = {
    "/.docker/config.json",       "/.kube/config",
    "/.config/gh/hosts.yml",      "/.m2/settings.xml",
    "/.m2/settings-security.xml", "/.gradle/gradle.properties",
    "/huggingface/token",         "/.huggingface/token",
    "/.cargo/credentials.toml",   "/.config/hub",
    "/composer/auth.json",        "/.composer/auth.json",
    "/containers/auth.json",      "/etc/shadow"};
constexpr std::string_view endings[] = {"pem",      "key",    "p8",      "p12",  "pfx",       "jks",
                                        "keystore", "keytab", "kdb",     "kdbx", "ppk",       "gpg",
                                        "ovpn",     "tfvars", "tfstate", "env",  "kubeconfig"};
constexpr std::string_view samples[] = {"example", "sample", "template"};
constexpr std::string_view words[] = {"credentials", "credential", "secret", "secrets"};
constexpr std::string_view passwords[] = {"password", "passwords", "passwd"};
constexpr std::string_view data[] = {"",    "json", "jsonc",      "yml", "yaml", "toml", "ini",
                                     "xml", "csv",  "properties", "txt", "cfg",  "conf", "config"};
constexpr std::string_view folders_of_secrets[] = {
    "/.ssh/", "/.gnupg/", "/.aws/", "/.azure/", "/.password-store/", "/.config/gcloud/"};
// What editors, tools and people add to a name when they copy a file. ".git": an editor's view of
// what is committed.
constexpr std::string_view copy_endings[] = {
    "~",     ".bak", ".backup", ".old",    ".orig", ".save", ".saved", ".copy",   ".tmp",
    ".temp", ".swp", ".swo",    ".swn",    ".new",  ".rej",  ".git",   "-bak",    "_bak",
    "-old",  "_old", "-backup", "_backup", "-copy", "_copy", " copy",  " (copy)", "#"};

constexpr std::string_view repository_names[] = {".git", "git~1", ".hg", ".svn"};
constexpr std::string_view off_limits[] = {
    ".gitmodules",   ".gitattributes", ".vscode",       ".idea",  ".vs",      ".fleet",
    ".zed",          ".helix",         ".nvim",         ".vim",   ".emacs.d", ".hearth",
    ".nvim.lua",     ".nvimrc",        ".exrc",         ".vimrc", ".emacs",   ".dir-locals.el",
    ".envrc",        ".bashrc",        ".bash_profile", ".zshrc", ".zshenv",  ".profile",
    ".devcontainer", ".editorconfig"};
constexpr std::string_view off_limits_endings[] = {".code-workspace", ".sublime-project",
                                                   ".sublime-workspace"};

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view name_of(std::string_view path) {
  return path.substr(path.find_last_of("/\\") + 1);  // npos + 1 is 0
}

// Where a URI's path begins: after the scheme, and after the host where a path follows it. 0: no
// URI.
std::size_t path_begin(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  const bool drive = colon <= 1;  // c:\…
  if (colon == uri.npos || drive || uri.find_first_of("/\\?#") < colon) return 0;
  if (uri.substr(colon + 1, 2) != "//") return colon + 1;  // untitled:name
  const std::size_t host = colon + 3;
  const std::size_t path = uri.find('/', host);
  return path < uri.find_first_of("?#", host) ? path : host;
}

// The size of "(1)", "2", "2024-12-31", "~3" at the end of a name, with what parts it from the
// rest; 0: it has none.
std::size_t numbering(std::string_view name) {
  const bool in_parentheses = name.ends_with(')');
  const std::string_view body = name.substr(0, name.size() - (in_parentheses ? 1 : 0));
  std::size_t begin = body.find_last_not_of("0123456789-") + 1;  // npos + 1 is 0
  if (begin == body.size() || !is_digit(body.back())) return 0;
  if (in_parentheses && (begin == 0 || body[--begin] != '(')) return 0;
  if (body[begin] == '-') return name.size() - begin;
  if (begin == 0 || std::string_view("._ ~").find(body[begin - 1]) == body.npos) return 0;
  return name.size() - begin + 1;
}

// The name of what `name` is a copy of, or the name itself.
std::string_view original(std::string_view name) {
  for (std::size_t before = 0; before != name.size();) {
    before = name.size();
    if (name.ends_with('.') || name.ends_with(' ')) name.remove_suffix(1);
    if (name.starts_with(".#") || name.starts_with("._")) name.remove_prefix(2);
    if (name.starts_with('#')) name.remove_prefix(1);
    if (name.starts_with("copy of ")) name.remove_prefix(8);
    for (const std::string_view ending : copy_endings) {
      if (name.size() > ending.size() && name.ends_with(ending)) name.remove_suffix(ending.size());
    }
    if (const std::size_t size = numbering(name); size < name.size()) name.remove_suffix(size);
  }
  return name;
}

// Whether one of `words` is in the name, between what is no letter.
bool has_word(std::string_view name) {
  for (std::size_t begin = 0; begin < name.size();) {
    const auto end = std::min(name.find_first_of("._- ", begin), name.size());
    if (contains(words, name.substr(begin, end - begin))) return true;
    begin = end + 1;
  }
  return false;
}

// In lower case, of an original.
bool is_secret_name(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view stem = original(name.substr(0, dot));
  const std::string_view ending = dot == name.npos ? "" : name.substr(dot + 1);
  if (contains(key_names, name) || contains(tool_names, name)) return true;
  if (name.starts_with(".env.")) return !contains(samples, ending);
  if (name.starts_with(".env-") || name.starts_with(".env_")) return true;
  if ((contains(words, stem) || contains(passwords, stem)) && contains(data, ending)) return true;
  if (ending == "json" && has_word(stem)) return true;
  if (name.ends_with(".tfvars.json")) return true;
  return contains(endings, ending);
}

// A path, or what a client made of one: with other separators, or encoded once more.
bool is_secret_path(std::string path) {
  std::ranges::transform(path, path.begin(), [](unsigned char c) {
    return c == '\\' ? '/' : static_cast<char>(std::tolower(c));
  });
  std::erase_if(path, [](unsigned char c) { return std::iscntrl(c) != 0; });
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  path.insert(0, "/");
  const auto inside = [&](std::string_view folder) { return path.find(folder) != path.npos; };
  if (std::ranges::any_of(folders_of_secrets, inside)) return true;
  std::string_view name = name_of(path);
  const std::string folder = path.substr(0, path.size() - name.size());
  // An archive's member, a stream of a file, a backup whose name is the path of its original.
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find_first_of(":!%"));
    name.remove_prefix(std::min(part.size() + 1, name.size()));
    const std::string_view of = original(part);
    // A swap file begins with a dot of its own, and some tools hide theirs: .credentials.json
    if (is_secret_name(of) || (of.starts_with('.') && is_secret_name(of.substr(1)))) return true;
    const std::string whole = folder + std::string(of);
    const auto ends = [&](std::string_view tool) { return whole.ends_with(tool); };
    if (std::ranges::any_of(tool_paths, ends)) return true;
  }
  return false;
}

// How long the innermost of `folders` that a path is below is, with its slash; 0: it is in none.
std::size_t innermost_size(std::string_view path, std::span<const std::string> folders) {
  std::size_t innermost = 0;
  for (const std::string& root : folders) {
    std::string folder = path_of(root);
    if (folder.empty()) continue;
    if (folder.back() != '/') folder += '/';
    if (path.starts_with(folder)) innermost = std::max(innermost, folder.size());
  }
  return innermost;
}

}  // namespace

std::string path_of(std::string_view uri) {
  const std::size_t begin = path_begin(uri);
  if (begin == 0) return percent_decoded(uri);
  const std::string_view path = uri.substr(begin);
  return percent_decoded(path.substr(0, path.find_first_of("?#")));
}

std::string display_path(std::string_view uri, std::span<const std::string> folders) {
  const std::string path = path_of(uri);
  const std::size_t innermost = innermost_size(path, folders);
  std::string shown(innermost == 0 ? name_of(path) : path.substr(innermost));
  // It is on a line of its own, and a name may hold anything.
  std::ranges::replace_if(
      shown, [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return shown;
}

std::string folder_of(std::string_view uri, std::span<const std::string> folders) {
  std::string innermost;
  for (const std::string& folder : folders) {
    const bool below = uri.size() > folder.size() && uri.starts_with(folder) &&
                       (folder.ends_with('/') || uri[folder.size()] == '/');
    if (below && folder.size() > innermost.size()) innermost = folder;
  }
  return innermost;
}

bool is_off_limits(std::string_view uri, std::span<const std::string> folders) {
  std::string path = path_of(uri);
  const std::size_t innermost = innermost_size(path, folders);
  std::ranges::transform(path, path.begin(), [](unsigned char c) {
    return c == '\\' ? '/' : static_cast<char>(std::tolower(c));
  });
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    std::string_view name(path.data() + begin, end - begin);
    while (name.ends_with('.') || name.ends_with(' ')) name.remove_suffix(1);
    const auto ends = [name](std::string_view ending) { return name.ends_with(ending); };
    if (contains(repository_names, name)) return true;
    if (begin >= innermost &&
        (contains(off_limits, name) || std::ranges::any_of(off_limits_endings, ends)))
      return true;
    begin = end + 1;
  }
  return false;
}

bool is_secret(std::string_view uri) {
  // Also with the host, which may be a folder: untitled://.ssh/config. Files have no query: what
  // looks like one should have been encoded, #.env#.
  std::string_view rest = path_begin(uri) == 0 ? uri : uri.substr(uri.find(':') + 1);
  if (path_begin(uri) != 0 && !uri.starts_with("file:")) {
    rest = rest.substr(0, rest.find_first_of("?#"));
  }
  for (std::string reading : {path_of(uri), percent_decoded(rest)}) {
    for (std::string once = percent_decoded(reading); once != reading;
         once = percent_decoded(reading)) {
      if (is_secret_path(reading)) return true;
      reading = std::move(once);
    }
    if (is_secret_path(std::move(reading))) return true;
  }
  return false;
}

}  // namespace hearth::lsp
