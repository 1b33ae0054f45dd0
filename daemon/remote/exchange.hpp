// One request for an answer and what comes of it, on a thread that may wait.
#pragma once

#include <functional>
#include <optional>

#include "daemon/http/client.hpp"
#include "daemon/remote/answer_chunk.hpp"
#include "daemon/remote/server_address.hpp"

namespace hearth::daemon {

struct RemoteRequest {
  http::Request request;
  RemoteForm form = RemoteForm::chat;
};

// Sends it and hands on the answer as it comes, in pieces that are not empty. Empty: it came to its
// end. A stream that ends without one is a setback.
std::optional<Setback> exchange(http::Client& client, const ServerAddress& address,
                                const RemoteRequest& request,
                                const std::function<void(AnswerChunk)>& told);

}  // namespace hearth::daemon
