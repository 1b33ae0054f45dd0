// The history's format: a header, the uses, and a checksum of both.
#include "engine/experts/routing_history.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "engine/support/atomic_file.hpp"
#include "engine/support/digest.hpp"

namespace hearth::engine {

namespace {

constexpr std::uint64_t magic = 0x3274'756f'7268'6568;  // "hehrout2"
constexpr std::string_view old_magic = "hehrout1";

// A history file: these, then the uses, then the checksum of all before.
struct HistoryHeader {
  std::uint64_t magic = 0;
  std::uint64_t fingerprint = 0;
  std::uint64_t experts = 0;
};

std::span<const std::byte> bytes_of(const auto& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

std::vector<float> read_history(const std::filesystem::path& path, std::uint64_t fingerprint,
                                std::size_t experts) {
  std::vector<float> uses(experts);
  HistoryHeader header;
  std::uint64_t sum = 0;
  const std::size_t size = sizeof header + experts * sizeof(float) + sizeof sum;
  const std::optional<std::string> content = read_own_file(path, size);
  if (!content || content->size() != size) return {};
  const char* from = content->data();
  std::memcpy(&header, from, sizeof header);
  std::memcpy(uses.data(), from + sizeof header, experts * sizeof(float));
  std::memcpy(&sum, from + size - sizeof sum, sizeof sum);
  const bool mine = header.magic == magic && header.fingerprint == fingerprint &&
                    header.experts == experts &&
                    sum == digest(std::as_bytes(std::span(uses)), digest(bytes_of(header)));
  const auto sane = [](float use) { return std::isfinite(use) && use >= 0; };
  if (!mine || !std::ranges::all_of(uses, sane)) return {};
  return uses;
}

void write_history(const std::filesystem::path& path, std::uint64_t fingerprint,
                   std::span<const float> uses) {
  const HistoryHeader header{magic, fingerprint, uses.size()};
  const std::uint64_t sum = digest(std::as_bytes(uses), digest(bytes_of(header)));
  std::vector<std::byte> content;
  for (const std::span<const std::byte> part :
       {bytes_of(header), std::as_bytes(uses), bytes_of(sum)}) {
    content.insert(content.end(), part.begin(), part.end());
  }
  write_atomically(path, content);
}

std::size_t remove_old_histories(const std::filesystem::path& directory) {
  std::size_t removed = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(directory, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code skipped;
    if (!entry->path().filename().string().starts_with("routing-")) continue;
    if (!entry->is_regular_file(skipped) || entry->is_symlink(skipped)) continue;
    std::ifstream file(entry->path(), std::ios::binary);
    std::string begin(old_magic.size(), '\0');
    file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
    if (begin == old_magic && std::filesystem::remove(entry->path(), skipped)) ++removed;
  }
  return removed;
}

}  // namespace hearth::engine
