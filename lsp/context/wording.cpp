// One pass over the text: what is filled in is not looked at again.
#include "lsp/context/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace hearth::lsp {
namespace {

bool may_be_name(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_";
  return !text.empty() && text.find_first_not_of(letters) == text.npos;
}

[[noreturn]] void refuse(const Wording& wording, std::size_t at, std::string_view name) {
  const auto line = 1 + std::ranges::count(std::string_view(wording.text).substr(0, at), '\n');
  std::vector<std::string> known;
  for (const WordingVariable& variable : wording_variables) {
    known.push_back(fmt::format("{{{}}}", variable.name));
  }
  throw UnknownVariable(fmt::format("{}, line {}: there is no variable {{{}}}; there are {}",
                                    wording.source, line, name, fmt::join(known, ", ")));
}

}  // namespace

std::string filled_in(const Wording& wording, const WordingValues& values) {
  const std::string_view text = wording.text;
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = std::min(text.find('{', at), text.size());
    result += text.substr(at, open - at);
    at = open;
    if (at == text.size()) break;
    const bool doubled = text.substr(at).starts_with("{{");
    const std::size_t begin = at + (doubled ? 2 : 1);
    const std::size_t close = std::min(text.find('}', begin), text.size());
    const std::string_view name = text.substr(begin, close - begin);
    if (close == text.size() || !may_be_name(name)) {
      result += text[at++];
    } else if (doubled && text.substr(close).starts_with("}}")) {
      result.append("{").append(name).append("}");
      at = close + 2;
    } else if (doubled) {
      result += text[at++];  // a brace before a variable
    } else if (const auto value = values.find(name); value != values.end()) {
      result += value->second;
      at = close + 1;
    } else {
      refuse(wording, at, name);
    }
  }
  return result;
}

void check(const Wording& wording) {
  WordingValues values;
  for (const WordingVariable& variable : wording_variables) values[variable.name] = "";
  filled_in(wording, values);
}

}  // namespace hearth::lsp
