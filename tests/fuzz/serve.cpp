// What a client of `hearth serve` sends as a body, and what a model may write into an answer: no
// request costs more than itself.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "daemon/serve/api.hpp"
#include "tests/daemon/serve/scripted_model.hpp"

using namespace hearth;

// The first byte chooses the endpoint, the rest is the body; a body is also said by the model.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const char* const paths[] = {
      "/v1/chat/completions", "/v1/completions", "/completion", "/infill", "/tokenize",
      "/detokenize"};
  if (size == 0) return 0;
  tests::StillHost host;
  tests::ScriptedModel model;
  daemon::ModelStatus status;
  daemon::Api api(host, model, model, [&] { return status; }, {});
  const auto reply = std::make_shared<tests::KeptReply>();
  daemon::HttpRequest request;
  request.head.method = "POST";
  request.head.path = paths[data[0] % std::size(paths)];
  request.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string said = request.body;
  auto work = api.handle(std::move(request), reply);
  host.run();
  if (!model.asked.empty() && !reply->ended) {
    model.say(said.substr(0, said.size() / 2));
    model.say("<tool_call>\n" + said.substr(said.size() / 2));
    host.pass(std::chrono::seconds(20));
    if (!reply->ended) model.end();
  }
  if (model.asked.empty() && model.prefilled.empty() && !reply->ended) __builtin_trap();
  return 0;
}
