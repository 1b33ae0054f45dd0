// Who may include whom: folders of the tree, and rooms inside a folder. Knows paths and #include
// lines only. Paths are relative to the root, "engine/forward/model.cpp"; a header is what stands
// between the quotes or brackets.
#pragma once

#include <filesystem>
#include <istream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::layering {

// "engine/forward" of a file in a room, "engine" of one in the folder's face.
std::string room_of(std::string_view path);

// Why the file may not include the header, for people; empty: it may.
std::string refusal(std::string_view file, std::string_view header);

struct Include {
  int line = 0;  // from 1
  std::string header;
};
std::vector<Include> includes(std::istream& source);

struct Source {
  std::string path;
  std::vector<Include> includes;
};
// The C and C++ files of the tree's folders, by path.
std::vector<Source> sources(const std::filesystem::path& root);

// "FILE:LINE: …" of each include that is refused.
std::vector<std::string> refusals(const std::vector<Source>& sources);

// The rooms that each room includes directly, itself aside. `tests` is left out: it may know all.
using Graph = std::map<std::string, std::set<std::string>>;
Graph graph(const std::vector<Source>& sources);
// A line per room, the lowest first: "lsp/actions → lsp/jobs, lsp/context".
std::string text(const Graph& graph);

}  // namespace hearth::layering
