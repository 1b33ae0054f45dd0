// Slices of work on another thread, and who has the next one.
#include "lsp/context/indexer.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "lsp/context/ignore_rules.hpp"
#include "lsp/protocol/source_path.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/thread_time.hpp"

namespace hearth::lsp {
namespace {

// A slice ends after so much: what a person waits for may need its thread.
constexpr std::size_t slice_files = 32;
constexpr std::chrono::milliseconds slice_time{50};

std::optional<std::string> file_path(std::string_view uri) {
  if (!uri.starts_with("file:")) return std::nullopt;
  std::string path = path_of(uri);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!path.starts_with('/')) return std::nullopt;
  return path;
}

bool is_inside(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() + 1 && path.starts_with(folder) &&
         (path[folder.size()] == '/' || folder == "/");
}

std::string_view relative(std::string_view path, std::string_view folder) {
  return path.substr(folder == "/" ? 1 : folder.size() + 1);
}

std::string below(const std::string& folder, const std::string& name) {
  return folder == "/" ? folder + name : folder + "/" + name;
}

// Of code, which declares what other code calls.
const Language* code_language(const std::string& path) {
  const Language* language = find_language("", file_uri(path));
  return language != nullptr && !language->uses.empty() ? language : nullptr;
}

}  // namespace

// What the background works on. Touched by one thread at a time.
struct Indexer::Work {
  Work(Host& process_host, std::shared_ptr<const Syntax> parser, IndexLimits limit)
      : host(process_host), syntax(std::move(parser)), limits(limit) {}

  void set_folders(const std::vector<std::string>& uris);
  void walk();
  // `document` is null where it is not open.
  void read_again(const std::string& uri, const SnapshotPtr& document, const Syntax& parser);
  bool is_done() const { return directories.empty() && files.empty(); }
  void add_time(std::chrono::nanoseconds computed) {
    time_ += computed;
    statistics.time = std::chrono::duration_cast<std::chrono::milliseconds>(time_);
  }

  Host& host;
  const std::shared_ptr<const Syntax> syntax;
  const IndexLimits limits;
  const std::shared_ptr<WorkspaceIndex> index = std::make_shared<WorkspaceIndex>();
  IndexStatistics statistics;
  std::atomic<bool> make_way{false};  // walk() ends with the file that it is at

 private:
  bool may_be_shown(const std::string& path);
  bool is_ignored(const std::string& path, bool is_directory, bool parent_is_known);
  void list(const std::string& directory);
  void read(const std::string& path);
  void add(const std::string& path, const Language* language, const SyntaxTree& tree,
           WorkspaceIndex::Source source) {
    index->update(path, language, declarations_of(tree), source);
  }
  bool cut(IndexStatistics::Cut reason);

  // Workspace folders without links, none inside of another, and repositories inside of them: each
  // has rules for what is below it.
  std::map<std::string, IgnoreRules> rules;
  std::vector<std::string> roots;
  std::deque<std::string> directories;  // to be listed
  std::deque<std::string> files;        // to be read
  std::chrono::nanoseconds time_{0};    // of a processor
};

void Indexer::Work::set_folders(const std::vector<std::string>& uris) {
  std::vector<std::string> real;
  for (const std::string& uri : uris) {
    const auto path = file_path(uri);
    if (!path) continue;
    if (auto found = host.real_path(*path)) real.push_back(*std::move(found));
  }
  std::ranges::sort(real);
  roots.clear();
  rules.clear();
  directories.clear();
  files.clear();
  for (const std::string& path : real) {
    if (!roots.empty() && (path == roots.back() || is_inside(path, roots.back()))) continue;
    roots.push_back(path);
    rules.try_emplace(path, path);
    directories.push_back(path);
  }
  // Rules may have changed: what is in the index and may stay there is not read again.
  index->dismiss_all();
  index->remove_if([&](const std::string& path) { return !may_be_shown(path); });
  statistics.complete = false;
  statistics.cut = IndexStatistics::Cut::none;
}

// `parent_is_known`: not to be ignored.
bool Indexer::Work::is_ignored(const std::string& path, bool is_directory, bool parent_is_known) {
  return std::ranges::any_of(rules, [&](const auto& entry) {
    const auto& [folder, of_folder] = entry;
    if (!is_inside(path, folder)) return false;
    const std::string_view inside = relative(path, folder);
    return parent_is_known ? of_folder.ignores_entry(inside, is_directory)
                           : of_folder.ignores(inside, is_directory);
  });
}

// A path without links.
bool Indexer::Work::may_be_shown(const std::string& path) {
  const auto root = std::ranges::find_if(
      roots, [&](const std::string& folder) { return is_inside(path, folder); });
  if (root == roots.end() || is_secret(file_uri(path))) return false;
  for (std::size_t end = path.find('/', root->size() + 1); end != path.npos;
       end = path.find('/', end + 1)) {
    const std::string folder = path.substr(0, end);
    if (!rules.contains(folder) && host.real_path(folder + "/.git")) {
      rules.try_emplace(folder, folder);
    }
  }
  return !is_ignored(path, false, false);
}

bool Indexer::Work::cut(IndexStatistics::Cut reason) {
  statistics.cut = reason;
  directories.clear();
  files.clear();
  return true;
}

void Indexer::Work::list(const std::string& directory) {
  const std::vector<DirectoryEntry> entries = host.list_directory(directory);
  const bool repository = std::ranges::any_of(
      entries, [](const DirectoryEntry& entry) { return entry.name == ".git"; });
  if (repository) rules.try_emplace(directory, directory);
  for (const DirectoryEntry& entry : entries) {
    const std::string path = below(directory, entry.name);
    if (!entry.is_directory && code_language(path) == nullptr) continue;
    if (is_secret(file_uri(path)) || is_ignored(path, entry.is_directory, true)) continue;
    (entry.is_directory ? directories : files).push_back(path);
  }
}

void Indexer::Work::read(const std::string& path) {
  std::optional<std::string> text = host.read_file(path, limits.file_bytes);
  if (!text || text->find('\0') != std::string::npos || !is_valid_utf8(*text)) {
    index->remove(path);
    return;
  }
  statistics.bytes += text->size();
  const auto snapshot = std::make_shared<const Snapshot>(
      Snapshot{file_uri(path), "", 0, std::make_shared<const Text>(*std::move(text))});
  add(path, code_language(path), *syntax->tree(snapshot), WorkspaceIndex::Source::disk);
}

// Files before further folders: what is near the top comes first.
void Indexer::Work::walk() {
  const auto begin = host.now();
  for (std::size_t i = 0; i < slice_files && !is_done(); ++i) {
    if (host.now() - begin >= slice_time || make_way) break;
    if (files.empty()) {
      const std::string directory = std::move(directories.front());
      directories.pop_front();
      list(directory);
      continue;
    }
    if (index->files() >= limits.files && cut(IndexStatistics::Cut::files)) break;
    if (statistics.bytes + limits.file_bytes > limits.bytes && cut(IndexStatistics::Cut::bytes))
      break;
    if (statistics.time >= limits.time && cut(IndexStatistics::Cut::time)) break;
    const std::string path = std::move(files.front());
    files.pop_front();
    if (!index->contains(path)) read(path);
  }
  statistics.complete = is_done() && statistics.cut == IndexStatistics::Cut::none;
}

void Indexer::Work::read_again(const std::string& uri, const SnapshotPtr& document,
                               const Syntax& parser) {
  index->dismiss(uri);
  const auto path = file_path(uri);
  if (!path) return;
  const auto real = host.real_path(*path);
  if (!real) {
    // It is gone; a document that was never written is not in a folder either.
    index->remove(*path);
    return;
  }
  const bool shown = !is_secret(uri) && may_be_shown(*real);
  if (shown && document) index->admit(uri, *real);
  const Language* language =
      document ? find_language(document->language_id, uri) : code_language(*real);
  if (!shown || language == nullptr || language->uses.empty()) {
    index->remove(*real);
  } else if (document) {
    add(*real, language, *parser.tree(document), WorkspaceIndex::Source::document);
  } else {
    index->release(*real);
    read(*real);
  }
}

Indexer::Indexer(Host& host, std::shared_ptr<const Syntax> syntax, Asks asks, IndexLimits limits)
    : host_(host),
      asks_(std::move(asks)),
      work_(std::make_shared<Work>(host, std::move(syntax), limits)) {}

std::shared_ptr<const WorkspaceIndex> Indexer::index() const {
  return work_->index;
}

void Indexer::set_folders(std::vector<std::string> uris) {
  folders_ = std::move(uris);
  folders_changed_ = true;
  // Which of them may be shown is another question now.
  for (const std::string& uri : documents_) changed(uri);
  pump();
}

void Indexer::changed(const std::string& uri) {
  if (folders_.empty()) {
    if (asks_.open_document(uri)) documents_.insert(uri);
    return;
  }
  if (path_of(uri).ends_with("/.gitignore")) folders_changed_ = true;
  const bool first = changed_.empty();
  changed_.insert(uri);
  if (!first) return;
  settled_ = false;
  host_.after(debounce, lifetime_.guard([this] {
    settled_ = true;
    pump();
  }));
}

// `slice` runs elsewhere, by `how`; then this goes on.
void Indexer::run(Lane how, std::function<void(Work&)> slice) {
  busy_ = true;
  work_->make_way = false;
  (host_.*how)(
      [work = work_, slice = std::move(slice)] {
        const auto begin = thread_time();
        slice(*work);
        work->add_time(thread_time() - begin);
        work->index->set_statistics(work->statistics);
      },
      lifetime_.guard([this] {
        busy_ = false;
        pump();
      }));
}

// What a person did is read at once: they may ask about it next. The folders' other files are read
// in idle time, and make way for it.
void Indexer::pump() {
  if (busy_) {
    work_->make_way = folders_changed_ || (settled_ && !changed_.empty());
    return;
  }
  if (std::exchange(folders_changed_, false)) {
    run(&Host::background, [folders = folders_](Work& work) { work.set_folders(folders); });
  } else if (settled_ && !changed_.empty()) {
    reread();
  } else if (!work_->is_done()) {
    if (!asks_.somebody_waits()) return run(&Host::when_idle, [](Work& work) { work.walk(); });
    if (std::exchange(asleep_, true)) return;
    host_.after(retry_interval, lifetime_.guard([this] {
      asleep_ = false;
      pump();
    }));
  }
}

// Few at a time; a person did something to them, so they come before the rest.
void Indexer::reread() {
  struct Changed {
    std::string uri;
    SnapshotPtr document;
    std::shared_ptr<const Syntax> syntax;
  };
  std::vector<Changed> files;
  while (!changed_.empty() && files.size() < slice_files) {
    const auto first = changed_.begin();
    files.push_back({*first, asks_.open_document(*first), nullptr});
    if (asks_.syntax_of) files.back().syntax = asks_.syntax_of(*first);
    if (files.back().document) {
      documents_.insert(*first);
    } else {
      documents_.erase(*first);
    }
    changed_.erase(first);
  }
  run(&Host::background, [files = std::move(files)](Work& work) {
    for (const auto& [uri, document, syntax] : files)
      work.read_again(uri, document, syntax ? *syntax : *work.syntax);
  });
}

std::vector<std::string> Indexer::patterns() {
  std::string extensions;
  std::vector<std::string> patterns{"**/.gitignore"};
  for (const Language& language : languages()) {
    if (language.uses.empty()) continue;
    for (const std::string_view extension : language.extensions) {
      if (extension.starts_with('.')) {
        extensions += (extensions.empty() ? "" : ",") + std::string(extension.substr(1));
      } else {
        patterns.push_back("**/" + std::string(extension));
      }
    }
  }
  patterns.push_back("**/*.{" + extensions + "}");
  return patterns;
}

}  // namespace hearth::lsp
