// Each use looks its name up; candidates are scored.
#include "lsp/context/related.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

constexpr double call_value = 10;
constexpr double type_value = 9;
// A name that so many files declare says nothing without an import or a container.
constexpr std::size_t common_name = 8;
constexpr int telling_score = 3;

std::string_view folder_of(std::string_view path) {
  return path.substr(0, path.rfind('/') + 1);  // npos + 1 is 0
}

// "store" of "src/store.test.ts"; of "src/store/index.ts" and its like the folder's name.
std::string_view module_of(std::string_view path) {
  const std::string_view folder = folder_of(path);
  std::string_view stem = path.substr(folder.size());
  stem = stem.substr(0, stem.find('.'));
  for (const std::string_view nameless : {"index", "mod", "__init__", "lib", "main"}) {
    if (stem != nameless || folder.size() < 2) continue;
    const std::string_view parent = folder.substr(0, folder.size() - 1);
    return parent.substr(parent.rfind('/') + 1);
  }
  return stem;
}

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != text.npos && !word.empty();
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool begins = at == 0 || !is_word_byte(text[at - 1]);
    const bool ends = end == text.size() || !is_word_byte(text[end]);
    if (begins && ends) return true;
  }
  return false;
}

// Files of one family declare for each other.
std::string_view family(const Language& language) {
  const std::string_view name = language.name;
  if (name == "c" || name == "cpp") return "c";
  if (name == "javascript" || name == "typescript" || name == "tsx") return "javascript";
  if (name == "java" || name == "kotlin" || name == "scala") return "java";
  return name;
}

struct Wanted {
  UseRule::Kind kind = UseRule::Kind::call;
  std::string name;
  std::string qualifier;
  std::string import;  // the statement that binds one of them; may be empty
};

class Search {
 public:
  Search(const SyntaxTree& tree, ByteRange range, const WorkspaceIndex& index,
         const std::string& own_path)
      : tree_(tree), index_(index), own_path_(own_path) {
    const Text& text = *tree.snapshot().text;
    for (const ByteRange& import : tree.imports())
      imports_ += std::string(text.view(import)) + "\n";
    for (Binding& binding : tree.bindings()) {
      std::string alias = binding.alias;
      bindings_.emplace(std::move(alias), std::move(binding));
    }
    for (const Declaration& declaration : tree.outline()) {
      own_.emplace(base_name(declaration.name));
    }
    uses_ = tree.uses(range);
    for (const Use& use : uses_) {
      if (use.kind == UseRule::Kind::type) types_.insert(bound(use.name));
      if (!use.qualifier.empty()) types_.insert(bound(use.qualifier));
    }
  }

  std::vector<Related> all() {
    for (const Use& use : uses_) {
      look_up({use.kind, bound(use.name), bound(use.qualifier), import_of(use)});
      // Shelf::take(…) shows what a Shelf is, too.
      if (!use.qualifier.empty()) {
        look_up({UseRule::Kind::type, bound(use.qualifier), "", import_of(use)});
      }
    }
    std::ranges::stable_sort(related_, std::ranges::greater{}, &Related::value);
    return std::move(related_);
  }

 private:
  std::string bound(const std::string& name) const {
    const auto found = bindings_.find(name);
    return found == bindings_.end() ? name : found->second.name;
  }
  std::string import_of(const Use& use) const {
    for (const std::string& name : {use.name, use.qualifier}) {
      const auto found = bindings_.find(name);
      if (found == bindings_.end()) continue;
      return std::string(tree_.snapshot().text->view(found->second.import));
    }
    return {};
  }

  int score(const Wanted& wanted, const WorkspaceIndex::Found& found) const {
    const IndexedDeclaration& declaration = found.declaration;
    const std::string_view module = module_of(found.path);
    int score = 0;
    if (!wanted.qualifier.empty() && declaration.container == wanted.qualifier) score += 6;
    if (!wanted.qualifier.empty() && module == wanted.qualifier) score += 4;
    if (has_word(wanted.import, module)) score += 5;
    if (types_.contains(declaration.container)) score += 4;
    if (has_word(imports_, module)) score += 3;
    if (folder_of(found.path) == folder_of(own_path_)) score += 1;
    const bool is_type = declaration.kind == DeclarationRule::Kind::type;
    if (is_type == (wanted.kind == UseRule::Kind::type)) score += 1;
    return score;
  }

  void look_up(const Wanted& wanted) {
    const bool own = own_.contains(wanted.name) && wanted.qualifier.empty();
    if (own && wanted.import.empty()) return;
    std::vector<std::pair<int, WorkspaceIndex::Found>> candidates;
    for (WorkspaceIndex::Found& found : index_.find(wanted.name)) {
      if (found.path == own_path_ || found.language == nullptr || tree_.language() == nullptr ||
          family(*found.language) != family(*tree_.language())) {
        continue;
      }
      const bool is_function = found.declaration.kind == DeclarationRule::Kind::function;
      if (wanted.kind == UseRule::Kind::type && is_function) continue;
      candidates.emplace_back(score(wanted, found), std::move(found));
    }
    if (candidates.empty()) return;
    std::ranges::stable_sort(candidates, std::ranges::greater{},
                             [](const auto& candidate) { return candidate.first; });
    const int best = candidates[0].first;
    if (best < telling_score && candidates.size() > common_name) return;
    const bool sure = candidates.size() == 1 || candidates[1].first < best;
    add(wanted, std::move(candidates[0].second), best);
    if (!sure) add(wanted, std::move(candidates[1].second), best - 1);
  }

  void add(const Wanted& wanted, WorkspaceIndex::Found found, int score) {
    if (!seen_.emplace(found.path, found.declaration.line).second) return;
    const bool call = wanted.kind == UseRule::Kind::call;
    related_.push_back({std::move(found), call ? "is called" : "is used as a type",
                        (call ? call_value : type_value) + score / 2.0});
  }

  const SyntaxTree& tree_;
  const WorkspaceIndex& index_;
  const std::string& own_path_;
  std::string imports_;
  std::map<std::string, Binding> bindings_;  // by alias
  std::set<std::string, std::less<>> own_;   // names that the file declares
  std::set<std::string> types_;              // that the code names
  std::vector<Use> uses_;
  std::set<std::pair<std::string, std::size_t>> seen_;
  std::vector<Related> related_;
};

}  // namespace

std::vector<Related> related(const SyntaxTree& tree, ByteRange range, const WorkspaceIndex& index,
                             const std::string& own_path) {
  return Search(tree, range, index, own_path).all();
}

}  // namespace hearth::lsp
