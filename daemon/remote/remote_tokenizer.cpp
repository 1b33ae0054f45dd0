// The engine's own reading of a checkpoint's files.
#include "daemon/remote/remote_tokenizer.hpp"

#include <algorithm>
#include <string>

namespace hearth::daemon {

RemoteTokenizer::RemoteTokenizer(const std::filesystem::path& directory)
    : tokenizer_(engine::Tokenizer::load(directory)),
      defaults_(engine::read_generation_defaults(directory)),
      profile_(
          engine::read_profile(directory, engine::read_config(directory), tokenizer_, defaults_)) {}

PromptReader RemoteTokenizer::reader(std::int64_t context) const {
  const std::int64_t own = profile_.context_tokens;
  return {tokenizer_, profile_, defaults_, context > 0 ? std::min(context, own) : own};
}

std::vector<engine::TokenId> RemoteTokenizer::written(std::string_view text, bool thinking) const {
  std::vector<engine::Piece> pieces;
  const std::size_t end = thinking ? text.find(engine::end_of_thought_tag) : text.npos;
  if (end != text.npos) {
    pieces.emplace_back(std::string(text.substr(0, end)));
    pieces.emplace_back(engine::Special{std::string(engine::end_of_thought_tag)});
    text.remove_prefix(end + engine::end_of_thought_tag.size());
  }
  pieces.emplace_back(std::string(text));
  return tokenizer_.encode(pieces);
}

bool RemoteTokenizer::ends_answer(engine::TokenId token) const {
  return std::ranges::find(profile_.chat_stop, token) != profile_.chat_stop.end() ||
         std::ranges::find(profile_.fim_stop, token) != profile_.fim_stop.end();
}

}  // namespace hearth::daemon
