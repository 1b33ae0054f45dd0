// Names to files; a file's own list says the rest.
#include "lsp/context/index.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "lsp/context/parts.hpp"
#include "lsp/context/secret_lines.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t small_type = 400;  // bytes that are shown as they are
constexpr std::size_t longest_signature = 240;

// Cut where a character begins.
std::string at_most(std::string line, std::size_t bytes) {
  if (line.size() > bytes) line = line.substr(0, character_start(line, bytes)) + " ...";
  return line;
}

std::string signature_of(const Text& text, const Declaration& declaration) {
  return at_most(signature_line(text, declaration.signature), longest_signature);
}

// `members` begin right after the type.
std::string shown_type(const Text& text, std::span<const Declaration> outline, std::size_t type) {
  const Declaration& declaration = outline[type];
  const std::string whole = with_newlines(text, declaration.range) + "\n";
  if (whole.size() <= small_type) return whole;
  std::string shown = signature_of(text, declaration) + "\n";
  for (std::size_t i = type + 1; i < outline.size() && outline[i].depth > declaration.depth; ++i) {
    const std::string member = "  " + signature_of(text, outline[i]) + "\n";
    if (shown.size() + member.size() > max_shown) break;
    shown += member;
  }
  return shown;
}

}  // namespace

std::string_view base_name(std::string_view name) {
  const std::size_t before = name.find_last_of(".:");
  return before == name.npos ? name : name.substr(before + 1);
}

std::vector<IndexedDeclaration> declarations_of(const SyntaxTree& tree) {
  std::vector<IndexedDeclaration> declarations;
  if (!tree.language()) return declarations;
  const Text& text = *tree.snapshot().text;
  const std::vector<Declaration> outline = tree.outline();
  std::string container;
  for (std::size_t i = 0; i < outline.size() && declarations.size() < max_declarations; ++i) {
    const Declaration& declaration = outline[i];
    const bool is_type = declaration.kind == DeclarationRule::Kind::type;
    if (declaration.depth == 0) container = is_type ? declaration.name : "";
    const std::string shown =
        is_type ? shown_type(text, outline, i) : signature_of(text, declaration) + "\n";
    const std::string_view qualified = declaration.name;
    const std::string_view base = base_name(qualified);
    std::string of = declaration.depth > 0 ? container : "";
    // `void Shelf::take()` outside of the class.
    if (of.empty() && base.size() + 1 < qualified.size()) {
      of = base_name(qualified.substr(
          0, qualified.find_last_not_of(".:", qualified.size() - base.size() - 1) + 1));
    }
    declarations.push_back(
        {declaration.kind, std::string(base), std::move(of),
         without_secrets(shown, tree.language()->comment_begin, tree.language()->comment_end),
         text.line_of(declaration.range.begin)});
  }
  return declarations;
}

std::string_view name(IndexStatistics::Cut cut) {
  constexpr std::array<std::string_view, 4> names{"none", "files", "bytes", "time"};
  return names[static_cast<std::size_t>(cut)];
}

void WorkspaceIndex::update(const std::string& path, const Language* language,
                            std::vector<IndexedDeclaration> declarations, Source source) {
  const std::lock_guard lock(mutex_);
  const auto [entry, added] = files_.try_emplace(path);
  File& file = entry->second;
  if (!added && file.source == Source::document && source == Source::disk) return;
  forget_names(entry->first, file);
  file = {language, source, std::move(declarations)};
  for (const IndexedDeclaration& declaration : file.declarations) {
    names_[declaration.name].push_back(&entry->first);
  }
}

void WorkspaceIndex::admit(const std::string& uri, std::string path) {
  const std::lock_guard lock(mutex_);
  admitted_.insert_or_assign(uri, std::move(path));
}

void WorkspaceIndex::dismiss(const std::string& uri) {
  const std::lock_guard lock(mutex_);
  admitted_.erase(uri);
}

void WorkspaceIndex::dismiss_all() {
  const std::lock_guard lock(mutex_);
  admitted_.clear();
}

std::optional<std::string> WorkspaceIndex::admitted(const std::string& uri) const {
  const std::lock_guard lock(mutex_);
  const auto found = admitted_.find(uri);
  if (found == admitted_.end()) return std::nullopt;
  return found->second;
}

void WorkspaceIndex::release(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  if (found != files_.end()) found->second.source = Source::disk;
}

void WorkspaceIndex::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  if (found == files_.end()) return;
  forget_names(found->first, found->second);
  files_.erase(found);
}

void WorkspaceIndex::forget_names(const std::string& path, const File& file) {
  for (const IndexedDeclaration& declaration : file.declarations) {
    const auto found = names_.find(declaration.name);
    if (found == names_.end()) continue;
    std::erase(found->second, &path);
    if (found->second.empty()) names_.erase(found);
  }
}

bool WorkspaceIndex::contains(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return files_.contains(path);
}

std::size_t WorkspaceIndex::files() const {
  const std::lock_guard lock(mutex_);
  return files_.size();
}

std::vector<std::string> WorkspaceIndex::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> paths;
  paths.reserve(files_.size());
  for (const auto& [path, file] : files_) paths.push_back(path);
  std::ranges::sort(paths);
  return paths;
}

std::vector<WorkspaceIndex::Found> WorkspaceIndex::find(std::string_view wanted) const {
  const std::lock_guard lock(mutex_);
  std::vector<Found> found;
  const auto named = names_.find(std::string(wanted));
  if (named == names_.end()) return found;
  std::vector<const std::string*> paths = named->second;
  std::ranges::sort(paths, {}, [](const std::string* path) { return std::string_view(*path); });
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  for (const std::string* path : paths) {
    const File& file = files_.at(*path);
    for (const IndexedDeclaration& declaration : file.declarations) {
      if (declaration.name != wanted) continue;
      if (found.size() == max_found) return found;
      found.push_back({declaration, *path, file.language});
    }
  }
  return found;
}

IndexStatistics WorkspaceIndex::statistics() const {
  const std::lock_guard lock(mutex_);
  IndexStatistics statistics = statistics_;
  statistics.files = files_.size();
  return statistics;
}

void WorkspaceIndex::set_statistics(const IndexStatistics& statistics) {
  const std::lock_guard lock(mutex_);
  statistics_ = statistics;
}

}  // namespace hearth::lsp
