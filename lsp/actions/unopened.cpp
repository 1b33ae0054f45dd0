// From a file to a snapshot.
#include "lsp/actions/unopened.hpp"

#include <cstddef>
#include <memory>
#include <utility>

#include "lsp/context/pinned.hpp"

namespace hearth::lsp {
namespace {

constexpr std::size_t max_bytes = std::size_t{4} << 20U;

}  // namespace

SnapshotPtr read_unopened(const std::string& uri, std::span<const std::string> folders,
                          const Host& host) {
  const auto path = path_within(uri, folders, host);
  auto text = path ? host.read_file(*path, max_bytes) : std::nullopt;
  if (!text || !is_valid_utf8(*text)) return nullptr;
  return std::make_shared<Snapshot>(
      Snapshot{uri, {}, unopened_version, std::make_shared<Text>(*std::move(text))});
}

}  // namespace hearth::lsp
