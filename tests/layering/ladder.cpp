// The two tables and how they are read.
#include "tests/layering/ladder.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <regex>
#include <span>
#include <tuple>
#include <utility>

namespace hearth::layering {
namespace {

using namespace std::string_view_literals;

constexpr std::array folders{"kernels"sv, "engine"sv, "lsp"sv, "daemon"sv, "tests"sv};

// The rooms of a folder, the lowest first. A room includes itself and those below it; the face (the
// files directly in the folder) includes all below it, and only what is above it includes the face.
constexpr std::string_view face;
constexpr std::array engine_rooms{"support"sv, "checkpoint"sv, "tokenizer"sv, "experts"sv,
                                  "forward"sv, "prefix"sv,     "decode"sv,    "dummy"sv,
                                  face,        "measure"sv};
constexpr std::array lsp_rooms{"support"sv, "protocol"sv, "document"sv,   "edits"sv, "context"sv,
                               "jobs"sv,    "actions"sv,  "completion"sv, face};
constexpr std::array daemon_rooms{"platform"sv, "http"sv,   "hub"sv,   "transport"sv, "jobs"sv,
                                  "models"sv,   "remote"sv, "serve"sv, face,          "commands"sv};

// The only file that looks up from a face: it starts the command that was asked for.
constexpr std::string_view main_file = "daemon/main.cpp";
constexpr std::string_view room_of_main = "daemon/commands";

// What the daemon sees of the engine.
constexpr std::array engine_faces{
    "engine/engine.hpp"sv,
    "engine/draft_session.hpp"sv,
    "engine/dummy/dummy.hpp"sv,
    "engine/hardware.hpp"sv,
    "engine/options.hpp"sv,
    "engine/measure/measurements.hpp"sv,
    "engine/support/atomic_file.hpp"sv,
    "engine/support/mutex.hpp"sv,
};

// Libraries, by how their headers begin, and the folders that do without them.
constexpr std::array transport{"boost/"sv, "spdlog/"sv, "CLI/"sv, "toml++/"sv, "sqlite3"sv};
constexpr std::array syntax{"tree_sitter/"sv};
constexpr std::array documents{"nlohmann/"sv, "pcre2"sv, "utf8proc"sv};

bool contains(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

bool begins_with_any(std::string_view text, std::span<const std::string_view> beginnings) {
  return std::ranges::any_of(beginnings,
                             [&](auto beginning) { return text.starts_with(beginning); });
}

std::string_view folder_of(std::string_view path) {
  return path.substr(0, path.find('/'));
}

// The part of a room's name behind its folder's; empty: the face.
std::string_view inner_room(std::string_view path) {
  path.remove_prefix(std::min(path.size(), path.find('/') + 1));
  const std::size_t slash = path.find('/');
  return slash == std::string_view::npos ? face : path.substr(0, slash);
}

std::span<const std::string_view> rooms_of(std::string_view folder) {
  if (folder == "engine") return engine_rooms;
  if (folder == "lsp") return lsp_rooms;
  if (folder == "daemon") return daemon_rooms;
  return {};
}

std::string library_refusal(std::string_view folder, std::string_view header) {
  const bool refused = (folder != "daemon" && begins_with_any(header, transport)) ||
                       (folder != "lsp" && begins_with_any(header, syntax)) ||
                       (folder == "kernels" && begins_with_any(header, documents));
  if (!refused) return {};
  return std::string(folder) + " does without this library";
}

// Between two of hearth's folders.
std::string folder_refusal(std::string_view folder, std::string_view header) {
  const std::string_view target = folder_of(header);
  const bool fits = (folder == "engine" && target == "kernels") ||
                    (folder == "daemon" && (target == "engine" || target == "lsp"));
  if (!fits) return std::string(folder) + " knows nothing of " + std::string(target);
  if (folder == "engine" &&
      (header == "kernels/access.hpp" || header.starts_with("kernels/cpu/"))) {
    return "engine sees of kernels only their face";
  }
  if (target == "engine" && !contains(engine_faces, header)) {
    return "not among the headers that daemon sees of engine";
  }
  return {};
}

// Inside one folder.
std::string room_refusal(std::string_view file, std::string_view header) {
  const auto rooms = rooms_of(folder_of(file));
  const auto from = std::ranges::find(rooms, inner_room(file));
  const auto to = std::ranges::find(rooms, inner_room(header));
  if (rooms.empty() || (file == main_file && room_of(header) == room_of_main)) return {};
  if (from == rooms.end()) return "the design draws no room " + room_of(file);
  if (to == rooms.end()) return "the design draws no room " + room_of(header);
  if (to <= from) return {};
  const auto name = [](std::string_view path) {
    return inner_room(path) == face ? "the face of " + room_of(path) : room_of(path);
  };
  return name(header) + " stands on " + name(file) + ", not the other way round";
}

}  // namespace

std::string room_of(std::string_view path) {
  std::string room(folder_of(path));
  if (const std::string_view inner = inner_room(path); inner != face)
    room += "/" + std::string(inner);
  return room;
}

std::string refusal(std::string_view file, std::string_view header) {
  if (header.starts_with(".")) return "includes go by path from the root";
  const std::string_view folder = folder_of(file);
  const std::string_view target = folder_of(header);
  if (folder == "tests") return {};
  if (!contains(folders, target)) return library_refusal(folder, header);
  return folder == target ? room_refusal(file, header) : folder_refusal(folder, header);
}

std::vector<Include> includes(std::istream& source) {
  static const std::regex directive(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<Include> found;
  std::smatch match;
  int number = 0;
  for (std::string line; std::getline(source, line);) {
    ++number;
    if (std::regex_search(line, match, directive)) found.push_back({number, match[1]});
  }
  return found;
}

std::vector<Source> sources(const std::filesystem::path& root) {
  constexpr std::array extensions{".cpp"sv, ".hpp"sv, ".h"sv, ".c"sv, ".cu"sv, ".cuh"sv};
  std::vector<Source> found;
  for (const std::string_view folder : folders) {
    auto entry = std::filesystem::recursive_directory_iterator(root / folder);
    for (; entry != std::filesystem::recursive_directory_iterator(); ++entry) {
      if (entry->path().filename() == "node_modules") entry.disable_recursion_pending();
      if (!contains(extensions, entry->path().extension().string())) continue;
      std::ifstream file(entry->path());
      found.push_back({entry->path().lexically_relative(root).generic_string(), includes(file)});
    }
  }
  std::ranges::sort(found, {}, &Source::path);
  return found;
}

std::vector<std::string> refusals(const std::vector<Source>& sources) {
  std::vector<std::string> lines;
  for (const Source& source : sources) {
    for (const Include& include : source.includes) {
      const std::string reason = refusal(source.path, include.header);
      if (reason.empty()) continue;
      lines.push_back(source.path + ":" + std::to_string(include.line) + ": #include \"" +
                      include.header + "\": " + reason);
    }
  }
  return lines;
}

Graph graph(const std::vector<Source>& sources) {
  Graph rooms;
  for (const Source& source : sources) {
    if (folder_of(source.path) == "tests") continue;
    const std::string room = room_of(source.path);
    std::set<std::string>& below = rooms[room];
    for (const Include& include : source.includes) {
      if (!contains(folders, folder_of(include.header))) continue;
      if (std::string other = room_of(include.header); other != room)
        below.insert(std::move(other));
    }
  }
  return rooms;
}

std::string text(const Graph& graph) {
  // A name's place: its folder's, then its room's in the folder; rooms of no ladder by name.
  const auto place = [](const std::string& room) {
    const auto rooms = rooms_of(folder_of(room));
    const std::string path = room + "/";
    const std::string_view inner = inner_room(path);
    return std::tuple(std::ranges::find(folders, folder_of(room)) - folders.begin(),
                      std::ranges::find(rooms, inner) - rooms.begin(), room);
  };
  const auto lower = [&](const std::string& a, const std::string& b) {
    return place(a) < place(b);
  };
  std::vector<std::string> names;
  for (const auto& [room, below] : graph) names.push_back(room);
  std::ranges::sort(names, lower);
  std::string lines;
  for (const std::string& name : names) {
    std::vector<std::string> below(graph.at(name).begin(), graph.at(name).end());
    std::ranges::sort(below, [&](const auto& a, const auto& b) { return lower(b, a); });
    lines += name;
    for (const std::string& other : below)
      lines += (&other == &below.front() ? " → " : ", ") + other;
    lines += "\n";
  }
  return lines;
}

}  // namespace hearth::layering
