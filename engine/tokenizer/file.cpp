// Reading of tokenizer.json: what hearth's tokenizer does is taken, all else is refused by name.
#include "engine/tokenizer/file.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "engine/support/json_tree.hpp"

namespace hearth::engine {
namespace {

using nlohmann::json;
using Vocabulary = std::unordered_map<std::string_view, TokenId>;  // as written in the file

constexpr std::int64_t max_tokens = 4'194'304;
constexpr std::size_t max_added_tokens = 100'000;

// Byte-level alphabet: printable bytes stand for themselves, the others for U+0100 and up, in
// order of the byte.
bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr int alphabet_end = 0x144;

std::array<int, alphabet_end> make_alphabet() {
  std::array<int, alphabet_end> byte_of{};
  byte_of.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    byte_of[static_cast<std::size_t>(stands_for_itself(byte) ? byte : next++)] = byte;
  }
  return byte_of;
}

// The bytes that a token written in the alphabet stands for; empty when it has other characters.
std::string to_bytes(std::string_view written) {
  static const std::array<int, alphabet_end> byte_of = make_alphabet();
  std::string bytes;
  for (std::size_t i = 0; i < written.size(); ++i) {
    auto point = static_cast<std::size_t>(static_cast<unsigned char>(written[i]));
    if (point >= 0xC0 && point < 0xE0 && i + 1 < written.size()) {
      point = (point & 0x1F) << 6 | (static_cast<unsigned char>(written[++i]) & 0x3F);
    } else if (point >= 0x80) {
      return {};
    }
    if (point >= byte_of.size() || byte_of[point] < 0) return {};
    bytes += static_cast<char>(byte_of[point]);
  }
  return bytes;
}

// --- Added tokens ---

void check_added(const Fields& fields) {
  for (const char* key : {"single_word", "lstrip", "rstrip"}) {
    if (fields.flag(key, false)) fields.refuse(key, "false");
  }
}

void add(std::map<TokenId, AddedToken>& added, AddedToken token, const std::string& name) {
  if (token.content.empty()) {
    throw Error(name + ": the added token " + std::to_string(token.id) + " is empty");
  }
  const auto [place, fresh] = added.try_emplace(token.id, token);
  if (!fresh && place->second.content != token.content) {
    throw Error(name + ": the added token " + std::to_string(token.id) + " is both " +
                shown(place->second.content) + " and " + shown(token.content));
  }
}

std::vector<AddedToken> read_added(const Fields& tokenizer, const Fields& config) {
  std::map<TokenId, AddedToken> added;
  if (const json* list = tokenizer.array("added_tokens")) {
    if (list->size() > max_added_tokens) tokenizer.refuse("added_tokens", "fewer tokens");
    for (const json& entry : *list) {
      const Fields fields(entry, tokenizer.name() + ": added_tokens");
      check_added(fields);
      add(added,
          {fields.text("content"), static_cast<TokenId>(fields.integer("id", 0, max_tokens - 1)),
           fields.flag("special", false)},
          tokenizer.name());
    }
  }
  if (const json* object = config.object("added_tokens_decoder")) {
    if (object->size() > max_added_tokens) config.refuse("added_tokens_decoder", "fewer tokens");
    for (const auto& [key, entry] : object->items()) {
      const Fields fields(entry, config.name() + ": added_tokens_decoder: \"" + key + "\"");
      check_added(fields);
      const bool number = !key.empty() && key.size() <= 7 &&
                          key.find_first_not_of("0123456789") == std::string::npos;
      if (!number || std::stol(key) >= max_tokens) {
        throw Error(fields.name() + " is no token's number");
      }
      add(added, {fields.text("content"), std::stoi(key), fields.flag("special", false)},
          config.name());
    }
  }

  std::vector<AddedToken> tokens;
  std::unordered_set<std::string_view> contents;
  for (const auto& [id, token] : added) {
    if (!contents.insert(token.content).second) {
      throw Error(tokenizer.name() + ": the added token " + shown(token.content) +
                  " has two numbers");
    }
    tokens.push_back(token);
  }
  return tokens;
}

// --- Normaliser and pre-tokenizer ---

bool read_normalizer(const json& normalizer, const std::string& name) {
  const Fields fields(normalizer, name);
  const std::string type = fields.text("type");
  if (type == "NFC") return true;
  if (type != "Sequence") fields.refuse("type", "\"NFC\" or a \"Sequence\" of it");
  const json* parts = fields.array("normalizers");
  if (!parts) fields.refuse("normalizers", "an array");
  bool nfc = false;
  for (const json& part : *parts) nfc = read_normalizer(part, name) || nfc;
  return nfc;
}

std::string read_split(const Fields& split) {
  if (split.text("behavior") != "Isolated") split.refuse("behavior", "\"Isolated\"");
  if (split.flag("invert", false)) split.refuse("invert", "false");
  const json* pattern = split.object("pattern");
  if (!pattern) split.refuse("pattern", "an object with \"Regex\"");
  return Fields(*pattern, split.name() + ": pattern").text("Regex");
}

std::string read_pre_tokenizer(const Fields& tokenizer) {
  const json* object = tokenizer.object("pre_tokenizer");
  if (!object) tokenizer.refuse("pre_tokenizer", "a Sequence of Split and ByteLevel");
  const Fields sequence(*object, tokenizer.name() + ": pre_tokenizer");
  const json* parts = sequence.array("pretokenizers");
  if (sequence.text("type") != "Sequence" || !parts || parts->size() != 2) {
    tokenizer.refuse("pre_tokenizer", "a Sequence of Split and ByteLevel");
  }
  const Fields split((*parts)[0], sequence.name() + ": Split");
  if (split.text("type") != "Split") split.refuse("type", "\"Split\"");
  const Fields byte_level((*parts)[1], sequence.name() + ": ByteLevel");
  if (byte_level.text("type") != "ByteLevel") byte_level.refuse("type", "\"ByteLevel\"");
  if (byte_level.flag("add_prefix_space", true)) byte_level.refuse("add_prefix_space", "false");
  if (byte_level.flag("use_regex", true)) byte_level.refuse("use_regex", "false");
  return read_split(split);
}

// --- The model: vocabulary and merges ---

void check_model(const Fields& model) {
  if (model.text("type", "BPE") != "BPE") model.refuse("type", "\"BPE\"");
  if (model.find("dropout") && model.number("dropout", 0, 1) != 0) model.refuse("dropout", "none");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.text(key, "").empty()) model.refuse(key, "none");
  }
  if (model.flag("byte_fallback", false)) model.refuse("byte_fallback", "false");
}

Vocabulary read_vocabulary(const Fields& model, TokenizerFile& file) {
  const json* object = model.object("vocab");
  if (!object) model.refuse("vocab", "an object of tokens and their numbers");
  if (object->size() > static_cast<std::size_t>(max_tokens)) model.refuse("vocab", "fewer tokens");
  const std::string name = model.name() + ".vocab";
  const auto added_content = [&](TokenId id) -> const std::string* {
    const auto found = std::ranges::lower_bound(file.added, id, {}, &AddedToken::id);
    return found != file.added.end() && found->id == id ? &found->content : nullptr;
  };

  Vocabulary vocabulary;
  vocabulary.reserve(object->size());
  for (const auto& entry : object->get_ref<const json::object_t&>()) {
    const std::string& written = entry.first;
    const json& value = entry.second;
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= max_tokens) {
      throw Error(name + ": " + shown(written) + " has the number " + shown(value) +
                  "; expected one from 0 to " + std::to_string(max_tokens - 1));
    }
    const auto id = value.get<TokenId>();
    if (const std::string* content = added_content(id)) {
      if (*content == written) continue;  // older files list added tokens here as well
      throw Error(name + ": " + shown(written) + " has the number of the added token " +
                  shown(*content));
    }
    std::string bytes = to_bytes(written);
    if (bytes.empty()) throw Error(name + ": " + shown(written) + " is not in the byte alphabet");
    const auto index = static_cast<std::size_t>(id);
    if (index >= file.ordinary.size()) file.ordinary.resize(index + 1);
    if (!file.ordinary[index].empty()) {
      throw Error(name + ": two tokens have the number " + std::to_string(id));
    }
    if (bytes.size() == 1) file.byte_tokens[static_cast<unsigned char>(bytes[0])] = id;
    file.ordinary[index] = std::move(bytes);
    vocabulary.emplace(written, id);
  }
  return vocabulary;
}

void check_bytes(const TokenizerFile& file, const std::string& name) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto id = static_cast<std::size_t>(file.byte_tokens[byte]);
    const std::string wanted(1, static_cast<char>(byte));
    if (id >= file.ordinary.size() || file.ordinary[id] != wanted) {
      throw Error(name + ".vocab: the byte " + std::to_string(byte) + " has no token");
    }
  }
}

// A merge is written as ["a", "b"] or as "a b".
std::optional<std::pair<std::string_view, std::string_view>> sides(const json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair<std::string_view, std::string_view>(merge[0].get_ref<const std::string&>(),
                                                         merge[1].get_ref<const std::string&>());
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string_view both = merge.get_ref<const std::string&>();
  const std::size_t space = both.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return std::pair(both.substr(0, space), both.substr(space + 1));
}

void read_merges(const Fields& model, const Vocabulary& vocabulary, TokenizerFile& file) {
  const json* list = model.array("merges");
  if (!list) model.refuse("merges", "an array of pairs");
  if (list->size() > static_cast<std::size_t>(max_tokens)) model.refuse("merges", "fewer pairs");
  std::unordered_set<std::uint64_t> seen;
  seen.reserve(list->size());
  std::string joined;
  for (const json& merge : *list) {
    const auto fail = [&](const std::string& why) {
      throw Error(model.name() + ".merges[" + std::to_string(file.merges.size()) + "] is " +
                  shown(merge) + ": " + why);
    };
    const auto pair = sides(merge);
    if (!pair) fail("expected two tokens");
    joined.assign(pair->first).append(pair->second);
    const auto left = vocabulary.find(pair->first);
    const auto right = vocabulary.find(pair->second);
    const auto result = vocabulary.find(joined);
    if (left == vocabulary.end() || right == vocabulary.end() || result == vocabulary.end()) {
      fail("a part or the whole is not in model.vocab");
    }
    const auto key =
        static_cast<std::uint64_t>(left->second) << 32 | static_cast<std::uint64_t>(right->second);
    if (!seen.insert(key).second) fail("it is there twice");
    file.merges.push_back({left->second, right->second, result->second});
  }
}

}  // namespace

TokenizerFile parse_tokenizer_file(std::string_view tokenizer_json,
                                   std::string_view tokenizer_config_json,
                                   const std::string& name) {
  const json document = parse_json(tokenizer_json, name);
  const Fields tokenizer(document, name);
  const std::string config_name =
      std::filesystem::path(name).replace_filename("tokenizer_config.json").string();
  const json config_document = tokenizer_config_json.empty()
                                   ? json::object()
                                   : parse_json(tokenizer_config_json, config_name);
  const Fields config(config_document, config_name);

  TokenizerFile file;
  file.added = read_added(tokenizer, config);
  if (const json* normalizer = tokenizer.find("normalizer")) {
    file.nfc = read_normalizer(*normalizer, name + ": normalizer");
  }
  file.split_pattern = read_pre_tokenizer(tokenizer);
  const json* object = tokenizer.object("model");
  if (!object) tokenizer.refuse("model", "an object with vocab and merges");
  const Fields model(*object, name + ": model");
  check_model(model);
  file.ignore_merges = model.flag("ignore_merges", false);
  const Vocabulary vocabulary = read_vocabulary(model, file);
  check_bytes(file, model.name());
  read_merges(model, vocabulary, file);
  return file;
}

}  // namespace hearth::engine
