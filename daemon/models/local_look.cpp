// What is asked of a loaded model without computing: the tokens of texts and prompts.
#include <span>
#include <utility>

#include "daemon/models/conversation.hpp"
#include "daemon/models/local.hpp"
#include "daemon/models/render.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::daemon {
namespace {

std::int64_t count(const engine::Engine& engine, const std::string& text) {
  return static_cast<std::int64_t>(engine.tokenizer().encode(text).size());
}

std::string bytes_of(const engine::Engine& engine, std::int32_t token) {
  if (token < 0 || static_cast<std::size_t>(token) >= engine.tokenizer().vocab_size())
    throw engine::Error("token " + std::to_string(token) + " is outside the model's vocabulary");
  return engine.tokenizer().decode(std::span(&token, 1), true);
}

}  // namespace

template <typename T>
void LocalModel::look(std::function<T(const engine::Engine&)> work, lsp::Callback<T> done) {
  when_loaded([this, work = std::move(work), done = std::move(done)](const lsp::ModelError* error) {
    if (error != nullptr) return done(*error);
    auto result = std::make_shared<lsp::Result<T>>();
    host_.background(
        [runtime = runtime_, work, result] {
          try {
            *result = work(runtime->engine());
          } catch (const std::exception& failed) {
            *result = lsp::ModelError{lsp::failure_text(failed)};
          }
        },
        [result, done] { done(std::move(*result)); });
  });
}

void LocalModel::count_tokens(std::vector<std::string> texts,
                              lsp::Callback<std::vector<std::int64_t>> done) {
  look<std::vector<std::int64_t>>(
      [texts = std::move(texts)](const engine::Engine& engine) {
        std::vector<std::int64_t> counts;
        for (const std::string& text : texts) counts.push_back(count(engine, text));
        return counts;
      },
      std::move(done));
}

void LocalModel::tokenize(std::string text, bool special,
                          lsp::Callback<std::vector<std::int32_t>> done) {
  look<std::vector<std::int32_t>>(
      [text = std::move(text), special](const engine::Engine& engine) {
        const engine::Tokenizer& tokenizer = engine.tokenizer();
        return special ? tokenizer.encode_with_special(text) : tokenizer.encode(text);
      },
      std::move(done));
}

void LocalModel::token_bytes(std::vector<std::int32_t> tokens,
                             lsp::Callback<std::vector<std::string>> done) {
  look<std::vector<std::string>>(
      [tokens = std::move(tokens)](const engine::Engine& engine) {
        std::vector<std::string> bytes;
        for (const std::int32_t token : tokens) bytes.push_back(bytes_of(engine, token));
        return bytes;
      },
      std::move(done));
}

void LocalModel::measure(lsp::Prompt prompt, lsp::GenerateOptions options,
                         lsp::Callback<std::int64_t> done) {
  look<std::int64_t>(
      [prompt = std::move(prompt), options = std::move(options)](const engine::Engine& engine) {
        const auto& tokens = render(engine, prompt, options.asks_to_think()).tokens;
        return static_cast<std::int64_t>(tokens.size());
      },
      std::move(done));
}

void LocalModel::inspect(lsp::Prompt prompt, const lsp::GenerateOptions& options,
                         lsp::Callback<std::vector<lsp::PromptPiece>> done) {
  look<std::vector<lsp::PromptPiece>>(
      [prompt = std::move(prompt), options](const engine::Engine& engine) {
        return daemon::inspect(engine, fit_conversation(engine, prompt, options).prompt,
                               options.asks_to_think());
      },
      std::move(done));
}

}  // namespace hearth::daemon
