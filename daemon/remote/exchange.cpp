// A stream of events, or a whole answer from a server that does not stream.
#include "daemon/remote/exchange.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "daemon/remote/sse_reader.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t most_bytes = std::size_t{256} << 20;  // of one answer's stream
constexpr std::size_t most_whole = std::size_t{16} << 20;   // of one that comes in one piece
constexpr std::size_t most_of_error = std::size_t{64} << 10;

// What was heard of an answer, and whether that is all.
class Hearing {
 public:
  Hearing(const ServerAddress& address, const RemoteRequest& request,
          const std::function<void(AnswerChunk)>& told)
      : address_(address), form_(request.form), told_(told) {}

  // False: it is over.
  bool hear(std::vector<std::string> events) {
    AnswerChunk all;
    for (std::string& data : events) {
      if (!all.done && !all.error) all.add(read_chunk(std::move(data), form_));
    }
    if (all.error) setback_ = address_.setback(*all.error);
    ended_ |= all.finish.has_value();
    const bool over = all.done || all.error;
    const bool says =
        !all.text.empty() || !all.thought.empty() || !all.tokens.empty() || all.finish || all.usage;
    if (says) told_(std::move(all));
    return !over;
  }
  bool ended() const { return ended_; }  // why it ended was said
  const std::optional<Setback>& setback() const { return setback_; }

 private:
  const ServerAddress& address_;
  const RemoteForm form_;
  const std::function<void(AnswerChunk)>& told_;
  bool ended_ = false;
  std::optional<Setback> setback_;
};

void read_stream(http::Client& client, Hearing& hearing) {
  SseReader reader;
  std::size_t bytes = 0;
  for (std::string_view piece = client.read(); !piece.empty(); piece = client.read()) {
    bytes += piece.size();
    if (bytes > most_bytes) throw Error("its answer does not end");
    if (!hearing.hear(reader.push(piece))) return;
  }
}

bool is_json(std::string_view type) {
  return type.starts_with("application/json");
}

}  // namespace

std::optional<Setback> exchange(http::Client& client, const ServerAddress& address,
                                const RemoteRequest& request,
                                const std::function<void(AnswerChunk)>& told) {
  Hearing hearing(address, request, told);
  std::optional<Setback> broken_off;
  try {
    const http::Head head = client.begin(request.request);
    if (head.status != 200) {
      RemoteError error = read_error(head.status, client.read_all(most_of_error));
      return address.setback(head, error, std::chrono::system_clock::now());
    }
    if (is_json(head.find("Content-Type"))) {
      hearing.hear({client.read_all(most_whole)});
    } else {
      read_stream(client, hearing);
    }
  } catch (const http::Failure& failure) {
    broken_off = address.setback(failure);
  } catch (const Error& fault) {
    broken_off = address.malformed(fault.what());
  }
  client.close();
  if (hearing.setback()) return hearing.setback();
  // What may be lost behind its end are its counts.
  if (hearing.ended() && (!broken_off || broken_off->kind == Setback::Kind::away))
    return std::nullopt;
  if (broken_off) return broken_off;
  Setback unfinished = address.malformed("its answer has no end");
  unfinished.kind = Setback::Kind::away;
  return unfinished;
}

}  // namespace hearth::daemon
