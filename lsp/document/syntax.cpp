// Keeps the tree of each open document: notes edits at once, parses when a tree is asked for.
#include "lsp/document/syntax.hpp"

#include <tree_sitter/api.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string_view>
#include <utility>

#include "lsp/support/thread_time.hpp"

namespace hearth::lsp {
namespace {

// Larger documents are plain text: their trees would cost more memory than they are worth.
constexpr std::size_t max_parsed_bytes = 16 * 1024 * 1024;

struct TreeDelete {
  void operator()(TSTree* tree) const { ts_tree_delete(tree); }
};
using TreePtr = std::unique_ptr<TSTree, TreeDelete>;

struct ParserDelete {
  void operator()(TSParser* parser) const { ts_parser_delete(parser); }
};

// tree-sitter's own rows: they end with '\n' only.
TSPoint point_at(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto rows = std::ranges::count(before, '\n');
  const std::size_t line = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<std::uint32_t>(rows), static_cast<std::uint32_t>(offset - line)};
}

// Successive edits as the one replacement that covers them all.
ByteEdit folded(std::span<const ByteEdit> edits) {
  ByteEdit all = edits.front();
  for (const ByteEdit& edit : edits.subspan(1)) {
    if (edit.old_end > all.new_end) {
      all.old_end.value += edit.old_end.value - all.new_end.value;
      all.new_end = edit.old_end;
    }
    all.start = std::min(all.start, edit.start);
    all.new_end.value = all.new_end.value - edit.old_end.value + edit.new_end.value;
  }
  return all;
}

bool leads_from_to(const ByteEdit& edit, std::string_view before, std::string_view after) {
  return edit.start <= edit.old_end && edit.start <= edit.new_end &&
         edit.old_end.value <= before.size() && edit.new_end.value <= after.size() &&
         before.substr(0, edit.start.value) == after.substr(0, edit.start.value) &&
         before.substr(edit.old_end.value) == after.substr(edit.new_end.value);
}

void apply(TSTree* tree, const ByteEdit& edit, const std::string& before,
           const std::string& after) {
  const TSInputEdit input{
      .start_byte = static_cast<std::uint32_t>(edit.start.value),
      .old_end_byte = static_cast<std::uint32_t>(edit.old_end.value),
      .new_end_byte = static_cast<std::uint32_t>(edit.new_end.value),
      .start_point = point_at(before, edit.start.value),
      .old_end_point = point_at(before, edit.old_end.value),
      .new_end_point = point_at(after, edit.new_end.value),
  };
  ts_tree_edit(tree, &input);
}

const char* read_text(void* payload, std::uint32_t offset, TSPoint, std::uint32_t* bytes_read) {
  const auto& text = *static_cast<const std::string*>(payload);
  *bytes_read = offset < text.size() ? static_cast<std::uint32_t>(text.size() - offset) : 0;
  return *bytes_read > 0 ? text.data() + offset : "";
}

// By its own time: a parse that has to wait for others' work is no slow one.
bool is_over(TSParseState* state) {
  return thread_time() >= *static_cast<std::chrono::nanoseconds*>(state->payload);
}

// Null if it computes for longer than `timeout`. `old` may be null.
TreePtr parse(const std::string& text, const Language& language, const TSTree* old,
              std::chrono::milliseconds timeout) {
  const std::unique_ptr<TSParser, ParserDelete> parser(ts_parser_new());
  if (!ts_parser_set_language(parser.get(), language.grammar())) return nullptr;
  std::chrono::nanoseconds deadline = thread_time() + timeout;
  const TSInput input{.payload = const_cast<std::string*>(&text),
                      .read = read_text,
                      .encoding = TSInputEncodingUTF8,
                      .decode = nullptr};
  const TSParseOptions options{.payload = &deadline, .progress_callback = is_over};
  return TreePtr(ts_parser_parse_with_options(parser.get(), old, input, options));
}

// Null also where the guard refuses.
TreePtr parse_guarded(const Snapshot& snapshot, const Language& language, const TSTree* old,
                      std::chrono::milliseconds timeout, ParseGuard* guard) {
  if (guard != nullptr && !guard->begin(snapshot.uri)) return nullptr;
  TreePtr tree = parse(snapshot.text->str(), language, old, timeout);
  if (guard != nullptr) guard->end(snapshot.uri);
  return tree;
}

const Language* parsed_language(const Snapshot& snapshot) {
  if (snapshot.text->str().size() > max_parsed_bytes) return nullptr;
  return find_language(snapshot.language_id, snapshot.uri);
}

}  // namespace

struct Syntax::Entry {
  SnapshotPtr newest;
  SyntaxTreePtr tree;  // of `newest`; null until someone asks
  TreePtr stale;       // an earlier tree, with the edits since then noted in it; may be null
};

Syntax::Syntax(std::chrono::milliseconds parse_timeout, ParseGuard* guard)
    : timeout_(parse_timeout), guard_(guard) {}
Syntax::~Syntax() = default;

void Syntax::open(const SnapshotPtr& snapshot) {
  const std::lock_guard lock(mutex_);
  entries_.insert_or_assign(snapshot->uri, Entry{snapshot, nullptr, nullptr});
}

void Syntax::change(const SnapshotPtr& before, const SnapshotPtr& after,
                    std::span<const ByteEdit> edits) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(after->uri);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const bool follows = entry.newest == before && before->language_id == after->language_id;
  if (entry.tree && entry.tree->tree_) entry.stale.reset(ts_tree_copy(entry.tree->tree_));
  entry.tree.reset();
  entry.newest = after;
  if (!entry.stale) return;
  const std::string& old_text = before->text->str();
  const std::string& new_text = after->text->str();
  const ByteEdit edit = edits.empty() ? ByteEdit{} : folded(edits);
  if (follows && leads_from_to(edit, old_text, new_text)) {
    apply(entry.stale.get(), edit, old_text, new_text);
  } else {
    entry.stale.reset();
  }
}

void Syntax::close(const std::string& uri) {
  const std::lock_guard lock(mutex_);
  entries_.erase(uri);
}

SyntaxTreePtr Syntax::tree(const SnapshotPtr& snapshot) const {
  TreePtr old;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(snapshot->uri);
    if (found != entries_.end() && found->second.newest == snapshot) {
      if (found->second.tree) return found->second.tree;
      if (found->second.stale) old.reset(ts_tree_copy(found->second.stale.get()));
    }
  }
  // Without the lock: a person types on meanwhile. Two threads that ask at once both parse.
  const Language* language = parsed_language(*snapshot);
  TreePtr parsed =
      language ? parse_guarded(*snapshot, *language, old.get(), timeout_, guard_) : nullptr;
  auto tree = std::make_shared<const SyntaxTree>(snapshot, language, parsed.release());

  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(snapshot->uri);
  if (found != entries_.end() && found->second.newest == snapshot) {
    found->second.tree = tree;
    found->second.stale.reset();
  }
  return tree;
}

std::optional<std::size_t> Syntax::errors_with(const SyntaxTree& tree, Byte place,
                                               std::string_view inserted) const {
  if (!tree.parsed()) return std::nullopt;
  if (inserted.empty()) return tree.errors();
  const SyntaxTreePtr with = tree_with(tree, place, inserted);
  return with ? std::optional(with->errors()) : std::nullopt;
}

SyntaxTreePtr Syntax::tree_with(const SyntaxTree& tree, Byte place,
                                std::string_view inserted) const {
  if (!tree.parsed()) return nullptr;
  const Snapshot& snapshot = tree.snapshot();
  const auto with = std::make_shared<const Snapshot>(
      Snapshot{snapshot.uri, snapshot.language_id, snapshot.version,
               std::make_shared<const Text>(snapshot.text->edited({place, place}, inserted))});
  const std::string& before = snapshot.text->str();
  const std::string& after = with->text->str();
  const TreePtr old(ts_tree_copy(tree.tree_));
  apply(old.get(), {place, place, Byte{place.value + after.size() - before.size()}}, before, after);
  TreePtr parsed = parse_guarded(*with, *tree.language(), old.get(), timeout_, guard_);
  if (!parsed) return nullptr;
  return std::make_shared<const SyntaxTree>(with, tree.language(), parsed.release());
}

}  // namespace hearth::lsp
