// A checkpoint without its weights: what prompts for a model on another machine are rendered by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/models/render.hpp"
#include "engine/engine.hpp"

namespace hearth::daemon {

// Immutable.
class RemoteTokenizer {
 public:
  // Reads tokenizer.json, config.json and what else of a checkpoint's files says how it is spoken
  // to. Throws engine::Error naming the file and the field.
  explicit RemoteTokenizer(const std::filesystem::path& directory);

  const engine::Tokenizer& tokenizer() const { return tokenizer_; }
  const engine::Profile& profile() const { return profile_; }
  // For a server whose context has so many tokens; 0: it does not say.
  PromptReader reader(std::int64_t context) const;

  // What a model wrote, as tokens: its thought ends with the tag's own.
  std::vector<engine::TokenId> written(std::string_view text, bool thinking) const;
  bool ends_answer(engine::TokenId token) const;

 private:
  engine::Tokenizer tokenizer_;
  engine::GenerationDefaults defaults_;
  engine::Profile profile_;
};

}  // namespace hearth::daemon
