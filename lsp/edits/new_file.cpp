// From blocks of an answer to files that are not there yet.
#include "lsp/edits/new_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_new_files = 20;
constexpr std::size_t max_path_bytes = 1000;
constexpr std::size_t max_name_bytes = 200;  // what most disks take, and room for a backup's ending

// Bytes that a person does not see as they are: control characters, and U+0080 to U+009F.
bool has_control_character(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte < 0x20 || byte == 0x7F) return true;
    if (byte == 0xC2 && i + 1 < path.size() && static_cast<unsigned char>(path[i + 1]) < 0xA0)
      return true;
  }
  return false;
}

// Characters that show nothing or turn the direction of what follows, which some disks leave out of
// names: U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF, U+00AD.
bool has_invisible_character(std::string_view path) {
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    const auto byte = [&](std::size_t at) {
      return at < path.size() ? static_cast<unsigned char>(path[at]) : 0U;
    };
    const unsigned second = byte(i + 1);
    const unsigned third = byte(i + 2);
    if (byte(i) == 0xC2 && second == 0xAD) return true;
    if (byte(i) == 0xEF && second == 0xBB && third == 0xBF) return true;
    if (byte(i) != 0xE2) continue;
    if (second == 0x80 && (third - 0x8BU <= 4 || third - 0xA8U <= 6)) return true;
    if (second == 0x81 && third - 0xA0U <= 0xF) return true;
  }
  return false;
}

std::string in_lower_case(std::string_view path) {
  std::string lower(path);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// The block's divider: the first one, as nothing may stand before it.
std::size_t divider_of(const AnswerHunk& hunk) {
  return *std::ranges::min_element(hunk.dividers);
}

// The lines of the file, without fences that a model puts around all of it. In Markdown they may be
// the file's own.
CodeLines text_lines(const AnswerHunk& hunk, std::string_view path) {
  std::span<const std::string_view> lines(hunk.lines);
  lines = lines.subspan(divider_of(hunk) + 1);
  const bool fenced = lines.size() >= 2 && trimmed(lines.front()).starts_with("```") &&
                      trimmed(lines.back()) == "```";
  if (fenced && !in_lower_case(path).ends_with(".md")) lines = lines.subspan(1, lines.size() - 2);
  return {lines.begin(), lines.end()};
}

// Two blocks for one place, where disks may not tell names by their case.
std::string clash(std::string_view one, std::string_view other) {
  const std::string first = in_lower_case(one);
  const std::string second = in_lower_case(other);
  if (first == second) return fmt::format("the answer makes {} twice", one);
  if (first.starts_with(second + "/") || second.starts_with(first + "/"))
    return fmt::format("the answer makes {} and {}, one inside of the other", one, other);
  return {};
}

}  // namespace

bool is_whole_file(const AnswerHunk& hunk) {
  return !hunk.path.empty() &&
         std::ranges::all_of(std::span(hunk.lines).first(divider_of(hunk)), is_blank);
}

std::string new_path_refusal(std::string_view path) {
  if (has_control_character(path) || has_invisible_character(path))
    return "the path of a new file has characters that cannot be seen";
  if (path.size() > max_path_bytes) return "the path of a new file is too long";
  const bool absolute =
      path.starts_with('/') || path.starts_with('~') || path.find(':') != path.npos;
  if (absolute)
    return fmt::format("the new file {} is not named from the workspace's folder", path);
  if (path.find_first_of("\\ %") != path.npos)
    return fmt::format("the new file {} has a path that can be read in two ways", path);
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name == "..") return fmt::format("the new file {} is outside of the workspace", path);
    if (name.empty() || name == "." || name.ends_with('.'))
      return fmt::format("the new file {} has no plain path", path);
    if (name.size() > max_name_bytes) return "the name of a new file is too long";
    begin = end + 1;
  }
  if (is_off_limits(path, {})) return fmt::format("{} is a file that hearth never makes", path);
  if (is_secret("/" + std::string(path)))
    return fmt::format("{} looks like a file of secrets", path);
  return {};
}

Checked<std::vector<FileEdit>> new_files(std::span<const AnswerHunk> hunks, std::string_view folder,
                                         std::string_view line_ending) {
  using Kind = Refusal::Kind;
  if (hunks.size() > max_new_files)
    return Refusal{Kind::too_large,
                   fmt::format("the answer makes more than {} files", max_new_files)};
  const std::string_view ending = line_ending.empty() ? "\n" : line_ending;
  std::vector<std::string_view> paths;
  std::vector<FileEdit> files;
  for (const AnswerHunk& hunk : hunks) {
    std::string_view path = hunk.path;
    while (path.starts_with("./")) path.remove_prefix(2);
    if (std::string why = new_path_refusal(path); !why.empty())
      return Refusal{Kind::no_match, std::move(why)};
    for (const std::string_view other : paths) {
      if (std::string why = clash(path, other); !why.empty())
        return Refusal{Kind::ambiguous, std::move(why)};
    }
    paths.push_back(path);
    std::string text;
    for (const std::string_view line : text_lines(hunk, path)) text.append(line).append(ending);
    std::string uri(folder);
    if (!uri.ends_with('/')) uri += '/';
    uri += percent_encoded(path, "/");
    files.push_back({std::move(uri), 0, {{{}, std::move(text)}}, true});
  }
  return files;
}

}  // namespace hearth::lsp
