// Candidates in the order in which they stand, and the greedy choice.
#include "lsp/context/surroundings.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "lsp/context/related.hpp"
#include "lsp/context/secret_lines.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/characters.hpp"

namespace hearth::lsp {
namespace {

// What each kind is worth, beside the 9 to 18 of one signature (related.cpp). A person's own choice
// and a tool's complaint about the very code come before everything.
constexpr double pinned_value = 10'000;
constexpr double diagnostics_value = 1'000;
constexpr double imports_value = 40;
constexpr double outline_value = 60;
constexpr double edit_value = 5;

constexpr std::size_t max_signatures = 60;
constexpr std::size_t max_edits = 5;
constexpr std::int64_t pinned_share = 2;
constexpr std::int64_t outline_share = 8;
constexpr std::int64_t signatures_share = 4;
constexpr std::int64_t diagnostics_share = 8;
constexpr std::int64_t edits_share = 16;

// One line for each declaration, its signature.
std::string outline_lines(const Text& text, std::span<const Declaration> outline, int deepest) {
  std::string lines;
  for (const Declaration& declaration : outline) {
    if (declaration.depth > deepest) continue;
    lines += std::string(static_cast<std::size_t>(declaration.depth) * 2, ' ') +
             signature_line(text, declaration.signature) + '\n';
  }
  return lines;
}

class Finder {
 public:
  Finder(const TaskInput& input, const SyntaxTree& tree, std::string_view name,
         std::size_t max_bytes, std::vector<std::string>& texts)
      : input_(input),
        tree_(tree),
        text_(*tree.snapshot().text),
        name_(name),
        max_bytes_(max_bytes),
        texts_(texts) {
    if (tree.language() == nullptr) return;
    comment_begin_ = tree.language()->comment_begin;
    comment_end_ = tree.language()->comment_end;
  }

  Section pinned() {
    Section section{Provenance::project, pinned_share, false, {}, {}, "pinned", {}};
    for (const PinnedText& file : input_.pinned) {
      std::string text = without_secrets(file.text, "", "");
      if (!text.ends_with('\n')) text += '\n';
      if (text.size() > max_bytes_ || is_secret(file.path)) continue;
      add(section, file.path, "pinned by the person", pinned_value,
          fenced(file.path + ":", file.language, text));
    }
    return section;
  }

  Section outline() {
    Section section{Provenance::outline, outline_share, true, {}, {}, "outline of the file", {}};
    const std::vector<Declaration> outline = tree_.outline();
    if (outline.size() <= 1) return section;
    for (const int deepest : {1, 0}) {
      const std::string lines = shown(outline_lines(text_, outline, deepest));
      if (lines.size() > max_bytes_) continue;
      add(section, deepest > 0 ? "outline" : "outline without members", "what else is in the file",
          outline_value, fenced("Outline of the file:", name_, lines));
    }
    return section;
  }

  Section imports() {
    Section section{Provenance::imports, outline_share, false, {}, {}, "imports of the file", {}};
    const std::string lines = shown(import_lines(text_, tree_.imports()));
    if (lines.empty() || lines.size() > max_bytes_) return section;
    add(section, "imports", "what names in the code stand for", imports_value,
        fenced("Its imports:", name_, lines));
    return section;
  }

  Section signatures(ByteRange code) {
    Section section{Provenance::signatures,
                    signatures_share,
                    false,
                    {},
                    {},
                    "what the code uses of other files",
                    {}};
    if (!input_.index) return section;
    const std::string& uri = input_.snapshot->uri;
    const std::string own = input_.index->admitted(uri).value_or(path_of(uri));
    std::vector<Related> all = related(tree_, code, *input_.index, own);
    drop_repeated(all);
    if (all.size() > max_signatures) all.resize(max_signatures);
    std::ranges::sort(all, {}, [](const Related& each) {
      const IndexedDeclaration& declaration = each.found.declaration;
      return std::tuple(each.found.path, declaration.container, declaration.line);
    });
    std::map<std::string, std::size_t> headers;
    std::string everything;
    for (const Related& each : all) everything += each.found.declaration.shown;
    if (all.empty()) return section;
    surround(section, "Declared in other files:", everything);
    for (const Related& each : all) {
      const IndexedDeclaration& declaration = each.found.declaration;
      const std::string path = display_path(file_uri(each.found.path), input_.folders);
      std::string header = path;
      if (!declaration.container.empty()) header += ", in " + declaration.container;
      const auto [known, added] = headers.try_emplace(header, texts_.size());
      if (added) texts_.push_back(comment(header));
      add(section, declaration.name + " in " + path, each.why, each.value, declaration.shown);
      section.candidates.back().header = known->second;
    }
    return section;
  }

  Section diagnostics(ByteRange code) {
    Section section{Provenance::diagnostics,
                    diagnostics_share,
                    false,
                    {},
                    {},
                    "what tools say about the code",
                    {}};
    if (diagnostic_messages(input_.diagnostics, code).empty()) return section;
    add(section, "diagnostics", "what tools say about the code", diagnostics_value,
        "What the editor's tools say about it:\n\n" +
            diagnostic_lines(input_.diagnostics, text_, code) + "\n\n");
    return section;
  }

  Section edits(ByteRange code) {
    Section section{Provenance::edits, edits_share, false, {}, {}, "changed a moment ago", {}};
    std::vector<std::pair<std::string, const RecentEdit*>> all;
    std::string everything;
    for (const RecentEdit& edit : input_.recent_edits) {
      if (all.size() == max_edits) break;
      const bool here = edit.uri == input_.snapshot->uri;
      const bool inside = here && edit.first_line >= text_.line_of(code.begin) &&
                          edit.first_line <= text_.line_of(code.end);
      const bool may_be_shown = here || (input_.index && input_.index->admitted(edit.uri));
      if (inside || !may_be_shown || is_secret(edit.uri) || is_blank(edit.lines)) continue;
      std::string lines = shown(edit.lines);
      if (!lines.ends_with('\n')) lines += '\n';
      everything += lines;
      all.emplace_back(std::move(lines), &edit);
    }
    if (all.empty()) return section;
    surround(section, "Changed a moment ago:", everything);
    for (const auto& [lines, edit] : all) {
      const std::string path = display_path(edit->uri, input_.folders);
      const std::string place = path + ", line " + std::to_string(edit->first_line + 1);
      add(section, place, "changed a moment ago", edit_value, comment(place) + lines);
    }
    return section;
  }

 private:
  std::string shown(std::string_view lines) const {
    return without_secrets(lines, comment_begin_, comment_end_);
  }
  std::string comment(const std::string& says) const {
    if (comment_begin_.empty()) return says + ":\n";
    return std::string(comment_begin_) + " " + says +
           (comment_end_.empty() ? "" : " " + std::string(comment_end_)) + "\n";
  }
  void add(Section& section, std::string title, std::string why, double value, std::string text) {
    section.candidates.push_back(
        {section.provenance, std::move(title), std::move(why), value, texts_.size(), {}});
    texts_.push_back(std::move(text));
  }
  // A fence around all that may be chosen.
  void surround(Section& section, std::string_view title, std::string_view everything) {
    const std::string fence = fence_for(everything);
    section.open = texts_.size();
    texts_.push_back(std::string(title) + "\n\n" + fence + std::string(name_) + "\n");
    section.close = texts_.size();
    texts_.push_back(fence + "\n\n");
  }
  // Methods that a type is shown with.
  static void drop_repeated(std::vector<Related>& all) {
    const auto repeats = [&](const Related& each) {
      const IndexedDeclaration& declaration = each.found.declaration;
      return std::ranges::any_of(all, [&](const Related& other) {
        const bool around = other.found.path == each.found.path &&
                            other.found.declaration.name == declaration.container;
        return around &&
               other.found.declaration.shown.find(trimmed(declaration.shown)) != std::string::npos;
      });
    };
    std::set<std::pair<std::string, std::size_t>> repeated;
    for (const Related& each : all) {
      if (repeats(each)) repeated.emplace(each.found.path, each.found.declaration.line);
    }
    std::erase_if(all, [&](const Related& each) {
      return repeated.contains({each.found.path, each.found.declaration.line});
    });
  }

  const TaskInput& input_;
  const SyntaxTree& tree_;
  const Text& text_;
  const std::string_view name_;
  const std::size_t max_bytes_;
  std::vector<std::string>& texts_;
  std::string_view comment_begin_;
  std::string_view comment_end_;
};

// The choice while it is made.
class Chooser {
 public:
  Chooser(const std::vector<const Section*>& sections, const Counts& counts, std::int64_t room,
          std::int64_t left)
      : sections_(sections), counts_(counts), room_(room), left_(left) {
    for (const Section* section : sections) {
      Choice& choice = choices_.emplace_back();
      choice.left_out.resize(section->candidates.size(), "not chosen");
    }
  }

  void take_all() {
    struct Entry {
      std::size_t section;
      std::size_t candidate;
      double density;
    };
    std::vector<Entry> entries;
    for (std::size_t s = 0; s < sections_.size(); ++s) {
      for (std::size_t c = 0; c < sections_[s]->candidates.size(); ++c) {
        const Candidate& candidate = sections_[s]->candidates[c];
        const auto tokens = static_cast<double>(std::max<std::int64_t>(counts_[candidate.text], 1));
        // Shorter forms wait for the first one's turn.
        const bool shorter = sections_[s]->one_only && c > 0;
        entries.push_back({s, c, shorter ? entries.back().density : candidate.value / tokens});
      }
    }
    std::ranges::stable_sort(entries, std::ranges::greater{}, &Entry::density);
    for (const Entry& entry : entries) take(entry.section, entry.candidate);
  }
  std::vector<Choice> choices() { return std::move(choices_); }

 private:
  void take(std::size_t s, std::size_t c) {
    const Section& section = *sections_[s];
    const Candidate& candidate = section.candidates[c];
    Choice& choice = choices_[s];
    if (section.one_only && choice.any()) {
      choice.left_out[c] = "a fuller one is shown";
      return;
    }
    std::int64_t cost = counts_[candidate.text];
    if (!choice.any()) {
      for (const auto& text : {section.open, section.close}) cost += text ? counts_[*text] : 0;
    }
    if (candidate.header && !headers_.contains(*candidate.header)) {
      cost += counts_[*candidate.header];
    }
    if (cost > left_) {
      choice.left_out[c] = "does not fit beside the code";
    } else if (choice.tokens + cost > room_ / section.share) {
      choice.left_out[c] = "is more than its share of the prompt";
    } else {
      choice.left_out[c].clear();
      choice.tokens += cost;
      left_ -= cost;
      if (candidate.header) headers_.insert(*candidate.header);
    }
  }

  const std::vector<const Section*>& sections_;
  const Counts& counts_;
  const std::int64_t room_;
  std::int64_t left_;
  std::set<std::size_t> headers_;
  std::vector<Choice> choices_;
};

}  // namespace

bool Choice::any() const {
  return std::ranges::any_of(left_out, [](const std::string& reason) { return reason.empty(); });
}

Surroundings find_surroundings(const TaskInput& input, const SyntaxTree& tree, ByteRange code,
                               std::string_view name, std::size_t max_bytes, bool with_diagnostics,
                               std::vector<std::string>& texts) {
  Finder finder(input, tree, name, max_bytes, texts);
  Surroundings found;
  // Which signatures there are depends on the code that is meant; the file's outline and imports
  // do not, so they come first.
  found.project = {finder.pinned()};
  found.above = {finder.outline(), finder.imports(), finder.signatures(code)};
  if (with_diagnostics) found.below.push_back(finder.diagnostics(code));
  found.below.push_back(finder.edits(code));
  return found;
}

std::vector<Choice> choose(const std::vector<const Section*>& sections, const Counts& counts,
                           std::int64_t room, std::int64_t left) {
  Chooser chooser(sections, counts, room, left);
  chooser.take_all();
  return chooser.choices();
}

std::string text_of(const Section& section, const Choice& choice, const Counts& counts) {
  if (!choice.any()) return {};
  std::string text = section.open ? counts.text(*section.open) : "";
  std::optional<std::size_t> header;
  for (std::size_t i = 0; i < section.candidates.size(); ++i) {
    const Candidate& candidate = section.candidates[i];
    if (!choice.left_out[i].empty()) continue;
    if (candidate.header && candidate.header != header) text += counts.text(*candidate.header);
    header = candidate.header;
    text += counts.text(candidate.text);
  }
  if (section.close) text += counts.text(*section.close);
  return text;
}

}  // namespace hearth::lsp
