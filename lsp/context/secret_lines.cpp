// By tables of beginnings and of names, line by line.
#include "lsp/context/secret_lines.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// At least so many characters of a token follow.
struct Beginning {
  std::string_view text;
  std::size_t rest;
};
constexpr Beginning beginnings[] = {{"AKIA", 16},           {"ASIA", 16},     {"ghp_", 20},
                                    {"gho_", 20},           {"ghu_", 20},     {"ghs_", 20},
                                    {"ghr_", 20},           {"glpat-", 16},   {"sk-", 16},
                                    {"sk_live_", 12},       {"sk_test_", 12}, {"rk_live_", 12},
                                    {"rk_test_", 12},       {"whsec_", 16},   {"xoxb-", 10},
                                    {"xoxp-", 10},          {"xoxa-", 10},    {"xoxr-", 10},
                                    {"xoxs-", 10},          {"xapp-", 10},    {"AIza", 30},
                                    {"ya29.", 20},          {"hf_", 20},      {"npm_", 30},
                                    {"pypi-", 30},          {"SG.", 30},      {"dop_v1_", 30},
                                    {"shpat_", 30},         {"eyJ", 40},      {"github_pat_", 20},
                                    {"AGE-SECRET-KEY-", 20}};

// A literal assigned to such a name is a secret.
constexpr std::string_view secret_names[] = {
    "password",   "passwd",      "passphrase",  "pwd",         "secret",
    "token",      "apikey",      "api_key",     "api-key",     "access_key",
    "accesskey",  "access-key",  "private_key", "privatekey",  "auth_key",
    "credential", "account_key", "accountkey",  "signing_key", "encryption_key"};
// Assigned to these it is if it is long and random.
constexpr std::string_view key_names[] = {"key", "auth", "salt", "signature", "seed", "bearer"};
// Between a name and its literal: `password = String::from("…")`.
constexpr std::string_view makers[] = {"from(", "string(", "str(", "new(", "bytes("};

constexpr std::size_t longest_declaration = 64;  // from a name to what is assigned to it
constexpr std::size_t shortest_random = 20;

bool is_token_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_-+/=.").find(c) != std::string_view::npos;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view token_at(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, is_token_character);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

// Letters and digits mixed, as of base64 or hexadecimal.
bool is_random(std::string_view token) {
  return token.size() >= shortest_random && token_at(token).size() == token.size() &&
         std::ranges::any_of(token, is_digit) &&
         std::ranges::count_if(
             token, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }) >= 2;
}

bool has_known_beginning(std::string_view line) {
  return std::ranges::any_of(beginnings, [&](const Beginning& beginning) {
    for (std::size_t at = line.find(beginning.text); at != line.npos;
         at = line.find(beginning.text, at + 1)) {
      const bool word = at > 0 && (is_word_byte(line[at - 1]) || line[at - 1] == '-');
      const std::string_view rest = token_at(line.substr(at + beginning.text.size()));
      if (!word && rest.size() >= beginning.rest) return true;
    }
    return false;
  });
}

// "user:password@" after "://".
bool has_password_in_url(std::string_view line) {
  for (std::size_t at = line.find("://"); at != line.npos; at = line.find("://", at + 3)) {
    const std::string_view rest = line.substr(at + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/\"'` <>{}$"));
    const std::size_t colon = authority.find(':');
    const std::size_t host = authority.rfind('@');
    if (host != authority.npos && colon < host && colon + 1 < host) return true;
  }
  return false;
}

// What stands for a value that is filled in elsewhere.
bool is_placeholder(std::string_view literal) {
  return is_blank(literal) || literal.starts_with("${") || literal.starts_with("$(") ||
         literal.starts_with('{') || literal.starts_with('<') || literal.starts_with('%');
}

// The first literal in `text`, without its quotes, that is not an argument of a call or an index.
std::optional<std::string_view> literal_in(std::string_view text, std::string_view lower) {
  for (std::size_t at = text.find_first_of("\"'`"); at != text.npos;
       at = text.find_first_of("\"'`", at + 1)) {
    const std::size_t end = text.find(text[at], at + 1);
    if (end == text.npos) return text.substr(at + 1);
    const std::string_view before = trimmed(lower.substr(0, at));
    const bool argument = before.ends_with('(') || before.ends_with('[');
    const bool made = std::ranges::any_of(
        makers, [&](std::string_view maker) { return before.ends_with(maker); });
    if (!argument || made) return text.substr(at + 1, end - at - 1);
    at = end;
  }
  return std::nullopt;
}

// What is assigned to the name that ends where `text` begins; nothing where nothing is.
std::optional<std::string_view> assigned(std::string_view text) {
  const std::size_t assignment = text.find_first_of("=:");
  if (assignment == text.npos || assignment > longest_declaration ||
      text.find_first_of(",;(){}") < assignment) {
    return std::nullopt;
  }
  return text.substr(assignment + 1);
}

bool assigns_secret(std::string_view line, const std::string& lower) {
  const auto assigns = [&](std::string_view name, bool random_only) {
    for (std::size_t at = lower.find(name); at != lower.npos; at = lower.find(name, at + 1)) {
      const auto value = assigned(line.substr(at + name.size()));
      if (!value) continue;
      const std::string_view low = std::string_view(lower).substr(line.size() - value->size());
      if (const auto literal = literal_in(*value, low)) {
        if (random_only ? is_random(*literal) : !is_placeholder(*literal)) return true;
      }
      std::string_view bare = trimmed(*value);
      while (bare.starts_with('=') || bare.starts_with('>')) bare = trimmed(bare.substr(1));
      if (is_random(bare.substr(0, bare.find_first_of(" \t,;")))) return true;
    }
    return false;
  };
  return std::ranges::any_of(secret_names, [&](auto name) { return assigns(name, false); }) ||
         std::ranges::any_of(key_names, [&](auto name) { return assigns(name, true); });
}

bool begins_private_key(std::string_view line) {
  const std::size_t begin = line.find("-----BEGIN ");
  return begin != line.npos && line.find("PRIVATE KEY", begin) != line.npos;
}

}  // namespace

bool looks_secret(std::string_view line) {
  std::string lower(line);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return begins_private_key(line) || has_known_beginning(line) || has_password_in_url(line) ||
         assigns_secret(line, lower);
}

std::string without_secrets(std::string_view text, std::string_view comment_begin,
                            std::string_view comment_end) {
  constexpr std::string_view says = "left out: it looks like a secret";
  std::string marker;
  if (comment_begin.empty()) {
    marker.append("[").append(says).append("]");
  } else {
    marker.append(comment_begin).append(" ").append(says);
    if (!comment_end.empty()) marker.append(" ").append(comment_end);
  }
  std::string shown;
  bool in_key = false;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    const bool ends = newline != text.npos;
    text.remove_prefix(ends ? newline + 1 : text.size());
    if (in_key) {
      in_key = line.find("-----END ") == line.npos;
      continue;
    }
    if (looks_secret(line)) {
      in_key = begins_private_key(line) && line.find("-----END ") == line.npos;
      shown += line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
      shown += marker;
    } else {
      shown += line;
    }
    if (ends) shown += '\n';
  }
  return shown;
}

}  // namespace hearth::lsp
