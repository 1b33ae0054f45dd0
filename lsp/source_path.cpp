// Rules about documents' names.
#include "lsp/source_path.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>

namespace hearth::lsp {
namespace {

// The path of a URI, with its %XX undone. Text that is no URI is taken as a path.
std::string path_of(std::string_view uri) {
  if (const std::size_t scheme = uri.find("://"); scheme != uri.npos) {
    uri.remove_prefix(scheme + 3);
    uri.remove_prefix(std::min(uri.find('/'), uri.size()));  // the host
  } else if (const std::size_t colon = uri.find(':'); colon != uri.npos && colon > 1) {
    uri.remove_prefix(colon + 1);  // untitled:name
  }
  std::string path;
  for (std::size_t i = 0; i < uri.size(); ++i) {
    std::uint8_t byte = 0;
    const char* const digits = uri.data() + i + 1;
    if (uri[i] == '%' && i + 2 < uri.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      path += static_cast<char>(byte);
      i += 2;
    } else {
      path += uri[i];
    }
  }
  return path;
}

std::string_view name_of(std::string_view path) {
  return path.substr(path.find_last_of("/\\") + 1);  // npos + 1 is 0
}

template <std::size_t n>
bool contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

std::string display_path(std::string_view uri, std::string_view root) {
  const std::string path = path_of(uri);
  std::string folder = path_of(root);
  if (!folder.empty() && folder.back() != '/') folder += '/';
  std::string shown(name_of(path));
  if (!folder.empty() && path.starts_with(folder)) shown = path.substr(folder.size());
  // It stands on a line of its own, and a name may hold anything.
  std::ranges::replace_if(
      shown, [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  return shown;
}

bool is_secret(std::string_view uri) {
  constexpr std::array<std::string_view, 4> keys = {"id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"};
  constexpr std::array<std::string_view, 7> tools = {
      ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials"};
  constexpr std::array<std::string_view, 12> endings = {"pem", "key",      "p12",     "pfx",
                                                        "jks", "keystore", "kdbx",    "ppk",
                                                        "gpg", "tfvars",   "tfstate", "env"};
  constexpr std::array<std::string_view, 3> samples = {"example", "sample", "template"};
  constexpr std::array<std::string_view, 3> words = {"credentials", "secret", "secrets"};
  constexpr std::array<std::string_view, 10> data = {"",    "json", "yml",        "yaml", "toml",
                                                     "ini", "xml",  "properties", "txt",  "cfg"};
  constexpr std::array<std::string_view, 3> folders = {"/.ssh/", "/.gnupg/", "/.aws/"};

  std::string path = path_of(uri);
  std::ranges::transform(path, path.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::ranges::any_of(folders,
                          [&](auto folder) { return path.find(folder) != std::string::npos; })) {
    return true;
  }
  const std::string_view name = name_of(path);
  const std::size_t dot = name.rfind('.');
  const std::string_view stem = name.substr(0, dot);
  const std::string_view ending = dot == name.npos ? "" : name.substr(dot + 1);
  if (contains(keys, name) || contains(tools, name)) return true;
  if (name.starts_with(".env.")) return !contains(samples, ending);
  if (contains(words, stem) && contains(data, ending)) return true;
  return contains(endings, ending);
}

}  // namespace hearth::lsp
