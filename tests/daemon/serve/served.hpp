// A port for one test with a service that answers with what it was asked; what is asked for at
// /later waits until the test answers.
#pragma once

#include <poll.h>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/serve/http_server.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests {

class Served {
 public:
  explicit Served(daemon::HttpLimits limits = {},
                  std::shared_ptr<const daemon::ServerTls> tls = nullptr) {
    daemon::HttpService service{
        [](const daemon::HttpHead& head) {
          daemon::HttpAdmission admission;
          if (head.token == "wrong") admission.refusal = daemon::HttpAnswer{401, {}, "not you"};
          return admission;
        },
        [this](daemon::HttpRequest request, std::shared_ptr<daemon::HttpReply> reply) {
          return handle(std::move(request), std::move(reply));
        }};
    server.emplace(host, "127.0.0.1", 0, std::move(service), limits, std::move(tls));
    port = server->port();
    thread = std::thread([this] { host.run(); });
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served() {
    on_host([this] { server.reset(); });
    host.stop();
    thread.join();
  }

  void on_host(const std::function<void()>& call) {
    std::promise<void> done;
    host.post([&] {
      call();
      done.set_value();
    });
    done.get_future().wait();
  }
  void wait_for(const std::function<bool()>& met) {
    for (bool yes = false; !yes;) {
      on_host([&] { yes = met(); });
      if (!yes) ::poll(nullptr, 0, 2);
    }
  }

  std::unique_ptr<daemon::HttpWork> handle(daemon::HttpRequest request,
                                           std::shared_ptr<daemon::HttpReply> reply) {
    struct Work : daemon::HttpWork {
      explicit Work(int& to) : count(to) { ++count; }
      ~Work() override { --count; }
      int& count;
    };
    if (request.head.path != "/later") {
      reply->send({200, {{"X-Method", request.head.method}}, request.body});
      return nullptr;
    }
    waiting.push_back(std::move(reply));
    return std::make_unique<Work>(works);
  }

  TemporaryDirectory directory;
  daemon::Log log{directory.path() / "log", lsp::LogLevel::debug, false};
  daemon::AnswerFiles answers{directory.path() / "answers", std::chrono::hours(1)};
  daemon::AsioHost host{log, answers};
  std::vector<std::shared_ptr<daemon::HttpReply>> waiting;
  int works = 0;  // under way
  std::optional<daemon::HttpServer> server;
  std::uint16_t port = 0;
  std::thread thread;
};

}  // namespace hearth::tests
