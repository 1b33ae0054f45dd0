// Reading what is pinned.
#include "lsp/context/pinned.hpp"

#include <algorithm>
#include <optional>

#include "lsp/context/parts.hpp"
#include "lsp/document/languages.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_read_bytes = std::size_t{1} << 20U;

// Those lines of it; of a text that has become shorter, what is left of them.
std::string cut_out(const std::string& whole, LineSpan lines) {
  const Text text(whole);
  if (text.lines() <= lines.first) return {};
  const std::size_t last = std::min(lines.last, text.lines() - 1);
  return std::string(text.view({text.line_range(lines.first).begin, text.line_end(last)}));
}

// "stats.py, lines 3 to 7"
std::string named(const std::string& path, const std::optional<LineSpan>& lines) {
  if (!lines) return path;
  const std::string first = std::to_string(lines->first + 1);
  if (lines->first == lines->last) return path + ", line " + first;
  return path + ", lines " + first + " to " + std::to_string(lines->last + 1);
}

}  // namespace

// Links are followed before it is judged where the file is.
std::optional<std::string> path_within(const std::string& uri, std::span<const std::string> folders,
                                       const Host& host) {
  const auto path = host.real_path(path_of(uri));
  if (!path || is_secret(*path)) return std::nullopt;
  const bool within = std::ranges::any_of(folders, [&](const std::string& folder) {
    const auto root = host.real_path(path_of(folder));
    return root && path->starts_with(root->ends_with('/') ? *root : *root + "/");
  });
  return within ? path : std::nullopt;
}

std::string pin_refusal(const PinnedFile& file, std::span<const std::string> folders,
                        const Host& host) {
  const std::string name = display_path(file.uri, folders);
  if (is_secret(file.uri))
    return name + " looks like a file of secrets: it is not shown to the model";
  if (file.open || path_within(file.uri, folders, host)) return {};
  return name + " is neither open nor a file of the workspace";
}

std::vector<PinnedText> pinned_texts(std::span<const PinnedFile> files,
                                     std::span<const std::string> folders, const Host& host) {
  std::vector<PinnedText> texts;
  for (const PinnedFile& file : files) {
    std::optional<std::string> text;
    if (file.open) {
      text = file.open->text->str();
    } else if (const auto path = path_within(file.uri, folders, host)) {
      text = host.read_file(*path, max_read_bytes);
    }
    if (!text || is_secret(file.uri)) continue;
    if (file.lines) text = cut_out(*text, *file.lines);
    text->resize(character_start(*text, max_attached_bytes));
    const Language* language =
        find_language(file.open ? file.open->language_id : std::string(), file.uri);
    texts.push_back({named(display_path(file.uri, folders), file.lines),
                     language != nullptr ? std::string(language->name) : std::string(),
                     std::move(*text)});
  }
  return texts;
}

}  // namespace hearth::lsp
