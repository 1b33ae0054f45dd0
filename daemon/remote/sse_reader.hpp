// Events of a stream ("text/event-stream") out of its bytes, however these are cut. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::daemon {

class SseReader {
 public:
  // A line, or an event's data, that is longer is none of a model's answer.
  static constexpr std::size_t max_bytes = std::size_t{4} << 20;

  // The data of the events that end in these bytes. What has no data (comments, names) is no event,
  // and an event that never ends is not told. Throws Error for one that is too long.
  std::vector<std::string> push(std::string_view bytes);

 private:
  void end_line(std::vector<std::string>& events);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_return_ = false;  // a line break that follows belongs to the one before it
};

}  // namespace hearth::daemon
