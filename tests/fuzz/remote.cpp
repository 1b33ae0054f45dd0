// What a server of another machine sends as a stream: its events are the same however its bytes are
// cut, and none of them costs more than an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/platform/error.hpp"
#include "daemon/remote/answer_chunk.hpp"
#include "daemon/remote/sse_reader.hpp"

using namespace hearth;

namespace {

std::vector<std::string> events_of(std::string_view bytes, std::size_t piece) {
  daemon::SseReader reader;
  std::vector<std::string> events;
  while (!bytes.empty()) {
    for (std::string& event : reader.push(bytes.substr(0, piece)))
      events.push_back(std::move(event));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return events;
}

}  // namespace

// The first byte says in which form answers come, and how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto form = static_cast<daemon::RemoteForm>(data[0] % 3);
  const std::vector<std::string> events = events_of(bytes, bytes.size() + 1);
  if (events_of(bytes, data[0] / 3 % 7 + 1) != events) __builtin_trap();
  daemon::AnswerChunk all;
  for (const std::string& event : events) {
    try {
      all.add(daemon::read_chunk(event, form));
    } catch (const daemon::Error& fault) {
      if (std::string_view(fault.what()).empty()) __builtin_trap();
    }
  }
  if (all.text.size() + all.thought.size() > size * 3) __builtin_trap();  // escapes are longer
  const daemon::RemoteError error = daemon::read_error(500, bytes);
  if (error.status != 500 || error.message.size() > 2000) __builtin_trap();
  return 0;
}
