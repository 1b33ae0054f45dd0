// Lines, then fields, then events.
#include "daemon/remote/sse_reader.hpp"

#include <algorithm>
#include <utility>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {
namespace {

void require_room(std::size_t bytes) {
  if (bytes > SseReader::max_bytes)
    throw Error("it sends an event of more than " + std::to_string(SseReader::max_bytes >> 20U) +
                " MiB");
}

}  // namespace

std::vector<std::string> SseReader::push(std::string_view bytes) {
  std::vector<std::string> events;
  while (!bytes.empty()) {
    if (std::exchange(after_return_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    require_room(line_.size() + end);
    line_ += bytes.substr(0, end);
    if (end == bytes.size()) break;
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    end_line(events);
  }
  return events;
}

void SseReader::end_line(std::vector<std::string>& events) {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) {
    if (std::exchange(has_data_, false)) events.push_back(std::exchange(data_, {}));
    return;
  }
  constexpr std::string_view field = "data";
  const std::size_t colon = std::min(line.find(':'), line.size());
  if (std::string_view(line).substr(0, colon) != field) return;
  std::string_view value = std::string_view(line).substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  require_room(data_.size() + value.size() + 1);
  if (std::exchange(has_data_, true)) data_ += '\n';
  data_ += value;
}

}  // namespace hearth::daemon
