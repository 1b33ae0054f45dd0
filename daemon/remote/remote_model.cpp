// What is known of the server as lsp sees a model, and the calls of lsp::Model.
#include "daemon/remote/remote_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "daemon/models/conversation.hpp"
#include "daemon/remote/remote_queue.hpp"
#include "daemon/remote/request_body.hpp"
#include "daemon/remote/server_watch.hpp"
#include "lsp/context/token_counts.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

constexpr std::size_t most_threads = 10;  // the queue's requests, and looks at the server
// Of a server that does not say; whoever has a longer one says so.
constexpr std::int64_t unknown_context = 8'192;
constexpr std::int64_t largest_prefix = 4'096;
constexpr std::int64_t largest_suffix = 1'024;
constexpr const char* system_chat = "You are a programming assistant inside an editor.";
// A prompt is counted line by line: over a longer way it is estimated.
constexpr std::chrono::milliseconds near{20};

http::Limits limits_of(const RemoteOptions& options) {
  http::Limits limits;
  limits.head = limits.silence = options.silence;
  return limits;
}

std::int64_t context_of(const ServerFacts& facts) {
  return facts.context > 0 ? facts.context : unknown_context;
}

// Of servers that say what they had cached, and of those that always cache.
bool caches(const ServerFacts& facts, const std::optional<bool>& seen) {
  return seen.value_or(facts.kind == ServerKind::hearth || facts.kind == ServerKind::llama_cpp ||
                       facts.kind == ServerKind::sglang);
}

}  // namespace

class RemoteModel::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(lsp::Host& host, const RemoteOptions& options, std::function<void()> changed,
       lsp::Model& model);

  void start(const RemoteOptions& options);
  void describe(lsp::Callback<lsp::ModelDescription> done);
  void count_tokens(std::vector<std::string> texts, lsp::Callback<std::vector<std::int64_t>> done);
  lsp::Estimate estimate(const lsp::Prompt& prompt) const;
  std::vector<lsp::PromptPiece> inspect(const lsp::Prompt& prompt,
                                        const lsp::GenerateOptions& options) const;
  std::optional<std::chrono::milliseconds> usual_time(lsp::Prompt::Kind kind, std::int64_t tokens,
                                                      const lsp::GenerateOptions& options) const;
  RemoteStatus status() const;
  void hold();
  void close() {
    closed_ = true;
    hold();
  }

  // Posts it, to be dropped with this.
  template <typename Function>
  void post(Function function) {
    host_.post([weak = weak_from_this(), function = std::move(function)] {
      if (const auto self = weak.lock()) function(*self);
    });
  }

  RemoteQueue& queue() { return *queue_; }
  const ServerWatch& server() const { return *server_; }

 private:
  void server_changed();
  void answered(const RemoteGeneration& generation, const lsp::Answer& answer);
  void answer_describing();
  lsp::ModelDescription description() const;
  bool counts_exactly() const;
  std::int64_t tokens_of(const lsp::Prompt& prompt) const;

  lsp::Host& host_;
  const std::function<void()> changed_;
  const ServerAddress address_;
  const std::string asked_model_;
  std::vector<lsp::Callback<lsp::ModelDescription>> describing_;
  bool closed_ = false;

  Estimates estimates_;
  lsp::TokenCounts counts_;  // its ratio of bytes to tokens
  std::optional<bool> seen_caching_;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t cached_tokens_ = 0;
  std::uint64_t answer_tokens_ = 0;
  std::optional<std::chrono::milliseconds> first_token_;

  // The threads end first: their tasks know these two, which post nothing once they are gone.
  std::shared_ptr<ServerWatch> server_;
  std::shared_ptr<RemoteQueue> queue_;
  RequestThreads threads_;
};

RemoteModel::Impl::Impl(lsp::Host& host, const RemoteOptions& options,
                        std::function<void()> changed, lsp::Model& model)
    : host_(host),
      changed_(std::move(changed)),
      address_(options.url, options.key, options.key_source),
      asked_model_(options.model),
      counts_(model),
      threads_(most_threads, limits_of(options)) {}

void RemoteModel::Impl::start(const RemoteOptions& options) {
  server_ = std::make_shared<ServerWatch>(host_, address_, threads_,
                                          ServerWatch::Wanted{options.model, options.tokenizer},
                                          [this] { server_changed(); });
  queue_ = std::make_shared<RemoteQueue>(
      host_, address_, threads_, *server_, estimates_, counts_,
      [this](const RemoteGeneration& generation, const lsp::Answer& answer) {
        answered(generation, answer);
      });
  server_->look_now();
}

void RemoteModel::Impl::server_changed() {
  if (changed_) post([](const Impl& self) { self.changed_(); });
  const bool known =
      server_->state() == ServerState::ready || server_->state() == ServerState::refused;
  if (known) answer_describing();
  queue_->pump();
}

bool RemoteModel::Impl::counts_exactly() const {
  const ServerFacts& facts = *server_->facts();
  return facts.token_ids || (facts.tokenize != RemoteTokenize::none && facts.tokenize_time <= near);
}

lsp::ModelDescription RemoteModel::Impl::description() const {
  const ServerFacts& facts = *server_->facts();
  const auto tokenizer = server_->tokenizer();
  lsp::ModelDescription description;
  lsp::ModelProfile& profile = description.profile;
  if (tokenizer) {
    profile = daemon::describe(tokenizer->reader(facts.context)).profile;
  } else {
    profile.system_chat = system_chat;
    profile.context_tokens = context_of(facts);
    profile.fim_prefix_tokens = std::min(profile.context_tokens / 2, largest_prefix);
    profile.fim_suffix_tokens = std::min(profile.context_tokens / 8, largest_suffix);
    profile.thinking = facts.thinks;
  }
  profile.name = facts.model;
  profile.completion_speed = estimates_.completion_speed();
  if (facts.fim == RemoteFim::none) profile.fim_prefix_tokens = profile.fim_suffix_tokens = 0;
  description.capabilities.exact_counts = counts_exactly();
  description.capabilities.parking = false;
  description.capabilities.prefix_state = caches(facts, seen_caching_);
  description.identity = fmt::format("{} at {} {:016x}", facts.model, address_.place(),
                                     tokenizer ? tokenizer->tokenizer().hash() : 0);
  return description;
}

void RemoteModel::Impl::describe(lsp::Callback<lsp::ModelDescription> done) {
  describing_.push_back(std::move(done));
  const bool known = server_->facts() != nullptr || server_->state() == ServerState::refused;
  if (known) post([](Impl& self) { self.answer_describing(); });
}

// One that was there once is described as it was, until it is there again.
void RemoteModel::Impl::answer_describing() {
  for (const auto& done : std::exchange(describing_, {})) {
    if (closed_) return;
    if (server_->state() == ServerState::refused)
      done(lsp::ModelError{server_->why(), lsp::ModelError::Kind::unavailable});
    else
      done(description());
  }
}

void RemoteModel::Impl::count_tokens(std::vector<std::string> texts,
                                     lsp::Callback<std::vector<std::int64_t>> done) {
  using Counts = std::vector<std::int64_t>;
  const auto result = std::make_shared<lsp::Result<Counts>>(
      lsp::ModelError{server_->why(), lsp::ModelError::Kind::unavailable});
  auto answer = [result, done = std::move(done)](Impl&) { done(*result); };
  const ServerFacts* facts = server_->ready();
  if (facts == nullptr) return post(std::move(answer));
  if (auto tokenizer = server_->tokenizer()) {
    return host_.background(
        [result, texts = std::move(texts), its = std::move(tokenizer)] {
          Counts counts;
          for (const std::string& text : texts)
            counts.push_back(static_cast<std::int64_t>(its->tokenizer().encode(text).size()));
          *result = std::move(counts);
        },
        [weak = weak_from_this(), answer = std::move(answer)] {
          if (const auto self = weak.lock()) answer(*self);
        });
  }
  threads_.run([&host = host_, weak = weak_from_this(), address = address_, facts = *facts,
                texts = std::move(texts), result, answer](http::Client& client) {
    try {
      Counts counts;
      for (const std::string& text : texts)
        counts.push_back(
            static_cast<std::int64_t>(tokenize_there(client, address, facts, text).size()));
      *result = std::move(counts);
    } catch (const SetbackError& failed) {
      *result = lsp::ModelError{failed.setback.sentence, lsp::ModelError::Kind::unavailable};
    } catch (const std::exception& failed) {
      *result = lsp::ModelError{lsp::failure_text(failed), lsp::ModelError::Kind::unavailable};
    }
    host.post([weak, answer] {
      if (const auto self = weak.lock()) answer(*self);
    });
  });
}

std::int64_t RemoteModel::Impl::tokens_of(const lsp::Prompt& prompt) const {
  const auto bytes = static_cast<double>(lsp::bytes_of(prompt));
  return static_cast<std::int64_t>(bytes / counts_.bytes_per_token());
}

lsp::Estimate RemoteModel::Impl::estimate(const lsp::Prompt& prompt) const {
  lsp::Estimate estimate;
  estimate.prompt_tokens = estimate.uncached_tokens = tokens_of(prompt);
  Work work;
  work.unread = static_cast<double>(estimate.prompt_tokens);
  if (const auto first = estimates_.first_token(work))
    estimate.first_token =
        std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(first->mean));
  return estimate;
}

std::optional<std::chrono::milliseconds> RemoteModel::Impl::usual_time(
    lsp::Prompt::Kind kind, std::int64_t tokens, const lsp::GenerateOptions& options) const {
  const bool chat = kind == lsp::Prompt::Kind::chat;
  const ServerFacts* facts = server_->facts();
  const bool thinks = chat && facts != nullptr && facts->thinks && options.asks_to_think() != false;
  const Work work{
      .unread = static_cast<double>(tokens),
      .writing = {
          options.action, chat, {thinks ? options.thinking_budget : 0, options.max_tokens}, {}}};
  const auto end = estimates_.end(work);
  if (!end) return std::nullopt;
  return std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(end->mean));
}

std::vector<lsp::PromptPiece> RemoteModel::Impl::inspect(
    const lsp::Prompt& prompt, const lsp::GenerateOptions& options) const {
  if (const auto its = server_->tokenizer()) {
    const PromptReader reader = its->reader(server_->facts()->context);
    return daemon::inspect(reader, fit_conversation(reader, prompt, options).prompt,
                           options.asks_to_think());
  }
  return pieces_of_text(prompt, counts_.bytes_per_token());
}

void RemoteModel::Impl::answered(const RemoteGeneration& generation, const lsp::Answer& answer) {
  generation.teach(estimates_, answer);
  first_token_ = answer.prompt_time;
  prompt_tokens_ += static_cast<std::uint64_t>(answer.prompt_tokens);
  cached_tokens_ += static_cast<std::uint64_t>(answer.cached_tokens);
  answer_tokens_ += static_cast<std::uint64_t>(answer.thought_tokens + answer.answer_tokens);
  const auto& usage = generation.usage();
  if (!usage) return;
  counts_.learn(generation.prompt_bytes(), usage->prompt_tokens);
  if (usage->cached_tokens && (*usage->cached_tokens > 0 || !seen_caching_))
    seen_caching_ = *usage->cached_tokens > 0 || caches(*server_->facts(), std::nullopt);
}

RemoteStatus RemoteModel::Impl::status() const {
  RemoteStatus status;
  status.state = server_->state();
  status.why = server_->why();
  status.url = address_.shown();
  status.host = address_.host();
  status.leaves_machine = address_.leaves_machine();
  status.key = address_.has_key();
  status.model = asked_model_;
  if (const ServerFacts* facts = server_->facts()) {
    status.model = facts->model;
    status.server = name(facts->kind);
    status.context = facts->context;
    status.exact_counts = counts_exactly();
    status.token_ids = facts->token_ids;
    status.tokens_why = facts->tokens_why;
    status.fim = facts->fim;
  }
  status.prefix_caching = seen_caching_;
  const RemoteQueue::Counts counts = queue_->counts();
  status.requests = counts.requests;
  status.cancelled = counts.cancelled;
  status.failed = counts.failed;
  status.retried = counts.retried;
  status.running = counts.running;
  status.waiting = counts.waiting;
  status.prompt_tokens = prompt_tokens_;
  status.cached_tokens = cached_tokens_;
  status.answer_tokens = answer_tokens_;
  status.first_token = first_token_;
  status.decode_speed = estimates_.decode_speed();
  return status;
}

void RemoteModel::Impl::hold() {
  server_->hold();
  queue_->hold();
}

RemoteModel::RemoteModel(lsp::Host& host, const RemoteOptions& options,
                         std::function<void()> changed)
    : impl_(std::make_shared<Impl>(host, options, std::move(changed), *this)) {
  impl_->start(options);
}

RemoteModel::~RemoteModel() {
  impl_->close();
}

void RemoteModel::describe(lsp::Callback<lsp::ModelDescription> done) {
  impl_->describe(std::move(done));
}

lsp::LoadingProgress RemoteModel::loading() const {
  return {};
}

void RemoteModel::count_tokens(std::vector<std::string> texts,
                               lsp::Callback<std::vector<std::int64_t>> done) {
  impl_->count_tokens(std::move(texts), std::move(done));
}

void RemoteModel::estimate(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  impl_->post([prompt = std::move(prompt), done = std::move(done)](const Impl& self) {
    done(self.estimate(prompt));
  });
}

void RemoteModel::inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
                          lsp::Callback<std::vector<lsp::PromptPiece>> done) {
  impl_->post([prompt = std::move(prompt), options, done = std::move(done)](const Impl& self) {
    lsp::Result<std::vector<lsp::PromptPiece>> result;
    try {
      result = self.inspect(prompt, options);
    } catch (const std::exception& fault) {
      result = lsp::ModelError{lsp::failure_text(fault)};
    }
    done(std::move(result));
  });
}

std::optional<std::chrono::milliseconds> RemoteModel::usual_time(
    lsp::Prompt::Kind kind, std::int64_t prompt_tokens, const lsp::GenerateOptions& options) const {
  return impl_->usual_time(kind, prompt_tokens, options);
}

lsp::GenerationId RemoteModel::prefill(lsp::Prompt prompt, lsp::Callback<lsp::Estimate> done) {
  estimate(std::move(prompt), std::move(done));
  return 0;
}

lsp::GenerationId RemoteModel::generate(lsp::Prompt prompt, lsp::GenerateOptions options,
                                        lsp::GenerationEvents events) {
  return impl_->queue().add(
      RemoteGeneration(std::move(prompt), std::move(options), std::move(events)));
}

void RemoteModel::cancel(lsp::GenerationId id) {
  impl_->queue().cancel(id);
}

RemoteStatus RemoteModel::status() const {
  return impl_->status();
}

bool RemoteModel::away() const {
  const ServerState state = impl_->server().state();
  return state == ServerState::away || state == ServerState::refused;
}

void RemoteModel::hold() {
  impl_->hold();
}

}  // namespace hearth::daemon
