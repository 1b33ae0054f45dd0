// Sending, hearing, and sending again.
#include "daemon/remote/remote_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/platform/format.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t most_running = 8;
constexpr std::size_t most_long = 6;  // of them: completions find room beside the others
// A server that is well but for one request will not be for it.
constexpr int most_faults = 5;

using Phase = lsp::GenerationProgress::Phase;

bool is_inline(const RemoteGeneration& generation) {
  return generation.options().priority == lsp::Priority::inline_completion;
}

std::optional<std::chrono::milliseconds> milliseconds(const std::optional<Forecast>& time) {
  if (!time) return std::nullopt;
  return std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(time->mean));
}

lsp::ModelError unavailable(const std::string& why) {
  return {why, lsp::ModelError::Kind::unavailable};
}

}  // namespace

RemoteQueue::RemoteQueue(lsp::Host& host, const ServerAddress& address, RequestThreads& threads,
                         ServerWatch& server, const Estimates& estimates,
                         const lsp::TokenCounts& counts, Answered answered)
    : host_(host),
      address_(address),
      threads_(threads),
      server_(server),
      estimates_(estimates),
      token_counts_(counts),
      answered_(std::move(answered)) {}

template <typename Function>
std::function<void()> RemoteQueue::guarded(Function function) {
  return [weak = weak_from_this(), function = std::move(function)] {
    if (const auto self = weak.lock()) function(*self);
  };
}

std::shared_ptr<RemoteQueue::Entry> RemoteQueue::find(lsp::GenerationId id,
                                                      std::uint64_t request) const {
  const auto found = entries_.find(id);
  if (found == entries_.end() || (request != 0 && found->second->request != request))
    return nullptr;
  return found->second;
}

lsp::GenerationId RemoteQueue::add(RemoteGeneration generation) {
  ++counts_.requests;
  const lsp::GenerationId id = ++last_id_;
  const auto entry = std::make_shared<Entry>(std::move(generation));
  entries_.emplace(id, entry);
  host_.post(guarded([](RemoteQueue& self) { self.pump(); }));
  return id;
}

void RemoteQueue::cancel(lsp::GenerationId id) {
  if (find(id) == nullptr) return;
  finish(id, lsp::ModelError{"cancelled", lsp::ModelError::Kind::cancelled});
}

void RemoteQueue::hold() {
  held_ = true;
  threads_.stop_all();
}

RemoteQueue::Counts RemoteQueue::counts() const {
  Counts counts = counts_;
  counts.running = static_cast<std::size_t>(
      std::ranges::count_if(entries_, [](const auto& entry) { return entry.second->task != 0; }));
  counts.waiting = entries_.size() - counts.running;
  return counts;
}

// The most urgent one that may go; of these the one that came first.
RemoteQueue::Entries::iterator RemoteQueue::next() {
  std::size_t running = 0;
  std::size_t running_long = 0;
  for (const auto& [id, entry] : entries_) {
    if (entry->task == 0 && !entry->rendering) continue;
    ++running;
    if (!is_inline(entry->generation)) ++running_long;
  }
  auto chosen = entries_.end();
  if (running >= most_running) return chosen;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const Entry& each = *entry->second;
    if (each.task != 0 || each.pause || each.rendering) continue;
    if (running_long >= most_long && !is_inline(each.generation)) continue;
    if (chosen == entries_.end() ||
        each.generation.options().priority < chosen->second->generation.options().priority)
      chosen = entry;
  }
  return chosen;
}

void RemoteQueue::pump() {
  if (held_) return;
  while (const ServerFacts* facts = server_.ready()) {
    const auto chosen = next();
    if (chosen == entries_.end()) break;
    send(chosen->first, *chosen->second, *facts);
  }
  if (server_.ready() == nullptr) fail_those_that_do_not_wait();
  std::int64_t ahead = 0;
  const Entries now = entries_;  // who is told may ask or cancel
  for (const auto& [id, entry] : now) {
    if (entry->task == 0) report(*entry, ahead++);
  }
}

void RemoteQueue::fail_those_that_do_not_wait() {
  const bool all = server_.state() == ServerState::refused;
  std::vector<lsp::GenerationId> ids;
  for (const auto& [id, entry] : entries_) {
    if (all || is_inline(entry->generation)) ids.push_back(id);
  }
  for (const lsp::GenerationId id : ids) finish(id, unavailable(server_.why()));
}

// Elsewhere: a long prompt takes some time. True: it is on its way.
bool RemoteQueue::render_first(lsp::GenerationId id, Entry& entry, const ServerFacts& facts) {
  auto rendering = entry.generation.rendering(server_.tokenizer(), facts.context);
  if (!rendering) return false;
  entry.rendering = true;
  const auto made = std::make_shared<std::shared_ptr<const RemoteTokens>>();
  host_.background([made, rendering = std::move(rendering)] { *made = rendering(); },
                   guarded([id, made](RemoteQueue& self) {
                     const auto waited = self.find(id);
                     if (!waited) return;
                     waited->rendering = false;
                     waited->generation.rendered(*made);
                     self.pump();
                   }));
  return true;
}

void RemoteQueue::send(lsp::GenerationId id, Entry& entry, const ServerFacts& facts) {
  if (render_first(id, entry, facts)) return;
  RemoteRequest request;
  try {
    request = entry.generation.next_request(address_, facts, server_.tokenizer().get(),
                                            token_counts_.bytes_per_token(), host_.now());
  } catch (const std::exception& fault) {
    return finish(id, lsp::ModelError{lsp::failure_text(fault)});
  }
  entry.by = on_one_line(facts.model) + " at " + address_.place();
  entry.request = ++last_request_;
  const auto post = [&host = host_, weak = weak_from_this()](auto function) {
    host.post([weak, function = std::move(function)]() mutable {
      if (const auto self = weak.lock()) function(*self);
    });
  };
  entry.task = threads_.run([post, id, number = entry.request, address = address_,
                             request = std::move(request)](http::Client& client) {
    std::optional<Setback> setback;
    try {
      setback = exchange(client, address, request, [&](AnswerChunk chunk) {
        post([id, number, chunk = std::move(chunk)](RemoteQueue& self) mutable {
          self.heard(id, number, std::move(chunk));
        });
      });
    } catch (const std::exception& fault) {  // no memory
      setback.emplace();
      setback->sentence = setback->plain = lsp::failure_text(fault);
    }
    post([id, number, setback](RemoteQueue& self) { self.ended(id, number, setback); });
  });
  report(entry, 0);
}

void RemoteQueue::heard(lsp::GenerationId id, std::uint64_t request, AnswerChunk chunk) {
  const auto entry = find(id, request);
  if (!entry) return;
  entry->setbacks = 0;
  const auto heard = entry->generation.hear(std::move(chunk), host_.now());
  if (find(id, request) == nullptr) return;
  report(*entry, 0);
  if (find(id, request) != nullptr) act_on(id, *entry, heard);
}

void RemoteQueue::ended(lsp::GenerationId id, std::uint64_t request,
                        const std::optional<Setback>& setback) {
  const auto entry = find(id, request);
  if (!entry || held_) return;
  entry->task = 0;
  if (setback) return set_back(id, *entry, *setback);
  bool thinks = server_.facts() != nullptr && server_.facts()->thinks;
  const bool knew = thinks;
  const auto heard = entry->generation.end(host_.now(), thinks);
  if (thinks && !knew) server_.thinks();
  if (find(id, request) != nullptr) act_on(id, *entry, heard);
}

void RemoteQueue::act_on(lsp::GenerationId id, Entry& entry, RemoteGeneration::Heard heard) {
  switch (heard) {
    case RemoteGeneration::Heard::more:
      return;
    case RemoteGeneration::Heard::done: {
      lsp::Answer answer = entry.generation.answer(host_.now());
      answer.by = entry.by;
      answered_(entry.generation, answer);
      return finish(id, std::move(answer));
    }
    case RemoteGeneration::Heard::ask_again:
      host_.log(lsp::LogLevel::info, address_.place() +
                                         " is asked for the answer behind a thought "
                                         "that took all of its room");
      return pump();
    case RemoteGeneration::Heard::lost:
      return finish(id,
                    unavailable(address_.place() +
                                " broke off in the middle of an answer, and began another one"));
  }
}

void RemoteQueue::set_back(lsp::GenerationId id, Entry& entry, const Setback& setback) {
  using Kind = Setback::Kind;
  if (setback.kind == Kind::stopped) return;
  const ServerFacts* facts = server_.facts();
  if (setback.status == 400 && facts != nullptr && facts->takes_template_arguments &&
      setback.sentence.find("chat_template_kwargs") != std::string::npos) {
    server_.refuses_template_arguments();
    return pump();
  }
  // Its model has another name now, perhaps: a look at the server says so.
  if (setback.status == 404 && entry.setbacks == 0) {
    ++entry.setbacks;
    return server_.look_again();
  }
  const bool faulty = setback.kind == Kind::away && setback.status == 500;
  const bool hopeless = faulty && ++entry.setbacks >= most_faults;
  if (setback.kind == Kind::failed || hopeless) {
    host_.log(lsp::LogLevel::warn, setback.plain);
    return finish(id, lsp::ModelError{setback.sentence});
  }
  const auto kept = find(id);  // which may end on hearing this
  server_.set_back(setback);
  if (find(id) == nullptr) return;
  if (setback.kind == Kind::refused || is_inline(entry.generation))
    return finish(id, unavailable(setback.sentence));
  if (!faulty) ++entry.setbacks;
  send_later(id, entry, setback);
}

// Nothing is sent twice unseen.
void RemoteQueue::send_later(lsp::GenerationId id, Entry& entry, const Setback& setback) {
  const auto pause = setback.retry_after.value_or(growing_pause(entry.setbacks - 1));
  if (setback.heard) ++counts_.retried;
  host_.log(lsp::LogLevel::warn,
            fmt::format("{}; {} in {}", setback.plain,
                        setback.heard ? "the request is sent again" : "the request is sent",
                        show_time(pause)));
  entry.pause = host_.after(pause, guarded([id](RemoteQueue& self) {
                              if (const auto waited = self.find(id)) waited->pause.reset();
                              self.pump();
                            }));
  report(entry, 0);
}

void RemoteQueue::finish(lsp::GenerationId id, lsp::Result<lsp::Answer> result) {
  const auto node = entries_.extract(id);
  const std::shared_ptr<Entry> entry = node.mapped();
  if (entry->pause) host_.cancel_timer(*entry->pause);
  if (entry->task != 0) threads_.stop(entry->task);
  if (const auto* error = std::get_if<lsp::ModelError>(&result))
    ++(error->kind == lsp::ModelError::Kind::cancelled ? counts_.cancelled : counts_.failed);
  host_.post(guarded([entry, result = std::move(result)](RemoteQueue& self) {
    if (entry->generation.events().on_done) entry->generation.events().on_done(result);
    self.pump();
  }));
}

void RemoteQueue::report(const Entry& entry, std::int64_t ahead) const {
  const auto& told = entry.generation.events().on_progress;
  if (!told) return;
  lsp::GenerationProgress progress =
      entry.generation.progress(entry.task != 0 ? Phase::prefilling : Phase::queued, ahead);
  progress.by = entry.by;
  const Work work = entry.generation.work_left();
  if (entry.task != 0) {
    if (progress.phase == Phase::prefilling)
      progress.first_token = milliseconds(estimates_.first_token(work));
    if (const auto end = estimates_.end(work)) {
      progress.eta = milliseconds(end);
      progress.end = lsp::TimeRange{
          std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(end->from())),
          std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(end->to()))};
    }
  }
  told(progress);
}

}  // namespace hearth::daemon
