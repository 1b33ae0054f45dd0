// Looks, one at a time, and what follows from them.
#include "daemon/remote/server_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/platform/format.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

constexpr std::chrono::milliseconds first_pause{1'000};
constexpr std::chrono::milliseconds longest_pause{60'000};
constexpr int attempts_to_longest = 16;

}  // namespace

std::chrono::milliseconds growing_pause(int attempt) {
  const int doublings = std::min(attempt, attempts_to_longest);
  return std::min(longest_pause, first_pause * (std::int64_t{1} << doublings));
}

ServerWatch::ServerWatch(lsp::Host& host, const ServerAddress& address, RequestThreads& threads,
                         Wanted wanted, std::function<void()> changed)
    : host_(host),
      address_(address),
      threads_(threads),
      wanted_(std::move(wanted)),
      changed_(std::move(changed)),
      why_("hearth is looking for " + address.place()) {}

ServerWatch::Look ServerWatch::look(http::Client& client, const ServerAddress& address,
                                    const Wanted& wanted,
                                    std::shared_ptr<const RemoteTokenizer> tokenizer) {
  Look look{{}, std::move(tokenizer), {}};
  try {
    if (!look.tokenizer && !wanted.tokenizer.empty())
      look.tokenizer = std::make_shared<const RemoteTokenizer>(wanted.tokenizer);
  } catch (const std::exception& fault) {
    look.unread = lsp::failure_text(fault);
  }
  try {
    look.found = look_at(client, address, wanted.model, look.tokenizer.get());
  } catch (const SetbackError& failed) {
    look.found = failed.setback;
  } catch (const http::Failure& failure) {
    look.found = address.setback(failure);
  } catch (const std::exception& fault) {
    look.found = address.malformed(lsp::failure_text(fault));
  }
  return look;
}

void ServerWatch::look_now() {
  if (looking_ || held_) return;
  looking_ = true;
  threads_.run([&host = host_, weak = weak_from_this(), address = address_, wanted = wanted_,
                tokenizer = tokenizer_](http::Client& client) {
    auto found = std::make_shared<Look>(look(client, address, wanted, tokenizer));
    host.post([weak, found] {
      if (const auto self = weak.lock()) self->looked(std::move(*found));
    });
  });
}

void ServerWatch::look_again() {
  set_state(ServerState::looking, "hearth looks again for what " + address_.place() + " has", {});
  look_now();
}

void ServerWatch::looked(Look look) {
  looking_ = false;
  if (held_) return;
  tokenizer_ = look.tokenizer;
  if (const auto* setback = std::get_if<Setback>(&look.found)) return set_back(*setback);
  ServerFacts& found = std::get<ServerFacts>(look.found);
  const std::string told = facts_ ? facts_->tokens_why : "";
  if (facts_ && facts_->model == found.model) {  // what only requests have shown
    found.thinks |= facts_->thinks;
    found.takes_template_arguments &= facts_->takes_template_arguments;
  }
  facts_ = std::move(found);
  if (!look.unread.empty()) facts_->tokens_why = look.unread;
  if (facts_->tokens_why != told) host_.log(lsp::LogLevel::warn, facts_->tokens_why);
  failed_looks_ = 0;
  set_state(ServerState::ready, {}, {});
}

void ServerWatch::set_back(const Setback& setback) {
  const bool refused = setback.kind != Setback::Kind::away;
  // Too much to do, or a fault of one request, is a sign of life.
  const bool lives =
      state_ == ServerState::ready && !refused && setback.status != 0 && setback.status <= 500;
  if (setback.kind == Setback::Kind::stopped || lives) return;
  set_state(refused ? ServerState::refused : ServerState::away, setback.sentence, setback.plain);
  look_later(
      setback.retry_after.value_or(growing_pause(refused ? attempts_to_longest : failed_looks_)));
  ++failed_looks_;
}

void ServerWatch::look_later(std::chrono::milliseconds pause) {
  if (looking_ || next_look_ || held_) return;
  next_look_ = host_.after(pause, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->next_look_.reset();
    self->look_now();
  });
}

void ServerWatch::set_state(ServerState state, const std::string& why, const std::string& plain) {
  const bool same = state_ == state && why_ == why;
  if (state != state_ && state == ServerState::ready) {
    host_.log(lsp::LogLevel::info,
              fmt::format("{} at {} is ready", on_one_line(facts_->model), address_.place()));
  } else if (state != state_ && !plain.empty()) {
    host_.log(lsp::LogLevel::warn, plain);
  }
  state_ = state;
  why_ = why;
  if (!same) changed_();
}

void ServerWatch::hold() {
  held_ = true;
  if (next_look_) host_.cancel_timer(*next_look_);
  next_look_.reset();
}

}  // namespace hearth::daemon
