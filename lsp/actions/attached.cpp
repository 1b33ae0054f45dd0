// From a command's arguments to the files that are meant.
#include "lsp/actions/attached.hpp"

#include <set>

#include "lsp/actions/unopened.hpp"
#include "lsp/context/parts.hpp"
#include "lsp/context/secret_lines.hpp"
#include "lsp/protocol/json.hpp"

namespace hearth::lsp {
namespace {

// The whole lines that a selection touches.
LineSpan lines_of(const Range& range) {
  const auto first = static_cast<std::size_t>(range.start.line);
  const auto last = static_cast<std::size_t>(range.end.line);
  const bool ends_before = range.end.character == 0 && last > first;
  return {first, ends_before ? last - 1 : last};
}

}  // namespace

std::vector<PinnedFile> attached_files(const Session& session, const Json& arguments) {
  constexpr std::size_t most = 50;
  std::vector<PinnedFile> files;
  if (find(arguments, "attached") == nullptr) return files;
  for (const Json& each : array_member(arguments, "attached")) {
    const std::string uri = string_member(each, "uri");
    PinnedFile file{uri, session.documents.find(uri)};
    if (find(each, "range") != nullptr) file.lines = lines_of(range_member(each, "range"));
    if (const std::string why_not = pin_refusal(file, session.folders, session.host);
        !why_not.empty())
      throw CannotServe(why_not, false);
    files.push_back(std::move(file));
  }
  if (files.size() > most)
    throw CannotServe("more files are attached than a question can have", false);
  return files;
}

std::vector<PinnedFile> also_changed(std::vector<PinnedFile> files, const std::string& uri,
                                     const std::vector<std::string>& folders, const Host& host) {
  std::set<std::string> seen{uri};
  std::erase_if(files, [&](const PinnedFile& file) { return !seen.insert(file.uri).second; });
  for (PinnedFile& file : files) {
    file.lines.reset();
    if (!file.open) file.open = read_unopened(file.uri, folders, host);
  }
  return files;
}

std::string attached_text(std::span<const PinnedText> files) {
  std::string all;
  for (const PinnedText& file : files) {
    std::string text = without_secrets(file.text, "", "");
    if (!text.ends_with('\n')) text += '\n';
    all += fenced(file.path + ":", file.language, text);
  }
  return all;
}

}  // namespace hearth::lsp
