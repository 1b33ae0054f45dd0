// Tokenizer: text or pieces through added tokens, NFC, the split pattern and byte-pair encoding;
// and ids back to bytes.
#include "engine/tokenizer/tokenizer.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/support/digest.hpp"
#include "engine/support/file.hpp"
#include "engine/support/json_tree.hpp"
#include "engine/support/utf8.hpp"
#include "engine/tokenizer/bpe.hpp"
#include "engine/tokenizer/file.hpp"
#include "engine/tokenizer/split.hpp"

namespace hearth::engine {
namespace {

constexpr std::size_t max_text_bytes = std::size_t{1} << 30;

// Transparent, so that words are looked up without a copy.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using IdsByContent = std::unordered_map<std::string, TokenId, StringHash, std::equal_to<>>;

// One call's way from text to ids. Words met before are copied from where they first came out.
class Encoding {
 public:
  Encoding(const BytePairEncoder& encoder, const TextSplitter& splitter,
           const IdsByContent& whole_words, bool nfc)
      : encoder_(encoder), splitter_(splitter), whole_words_(whole_words), nfc_(nfc) {}

  void text(std::string_view raw) {
    if (raw.empty()) return;
    if (raw.size() > max_text_bytes) {
      throw Error("a text of " + std::to_string(raw.size()) + " bytes; at most " +
                  std::to_string(max_text_bytes) + " can be tokenized");
    }
    const bool ascii = find_non_ascii(raw, 0) == raw.size();
    std::string clean;
    if (!ascii) clean = nfc_ ? to_nfc(repair_utf8(raw)) : repair_utf8(raw);
    seen_.clear();  // its keys point into the previous text
    splitter_.split(ascii ? raw : clean, [this](std::string_view word) { add(word); });
  }

  void token(TokenId id) { ids_.push_back(id); }
  std::vector<TokenId> take() { return std::move(ids_); }

 private:
  struct Span {
    std::size_t begin = 0;
    std::size_t count = 0;
  };

  void add(std::string_view word) {
    const auto [place, fresh] = seen_.try_emplace(word);
    if (!fresh) {
      const Span before = place->second;
      for (std::size_t i = 0; i < before.count; ++i) {
        const TokenId id = ids_[before.begin + i];
        ids_.push_back(id);
      }
      return;
    }
    const std::size_t begin = ids_.size();
    const auto whole = whole_words_.find(word);
    if (whole != whole_words_.end())
      ids_.push_back(whole->second);
    else
      encoder_.encode(word, scratch_, ids_);
    place->second = {begin, ids_.size() - begin};
  }

  const BytePairEncoder& encoder_;
  const TextSplitter& splitter_;
  const IdsByContent& whole_words_;
  bool nfc_;
  BytePairEncoder::Scratch scratch_;
  std::unordered_map<std::string_view, Span> seen_;
  std::vector<TokenId> ids_;
};

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerFile&& file, const std::string& name)
      : bytes(std::move(file.ordinary)),
        encoder(file.byte_tokens, file.merges),
        splitter(file.split_pattern, name + ": pre_tokenizer"),
        nfc(file.nfc),
        merges(digest(std::as_bytes(std::span(file.merges)))) {
    if (file.ignore_merges) {
      for (std::size_t id = 0; id < bytes.size(); ++id) {
        if (!bytes[id].empty()) whole_words.emplace(bytes[id], static_cast<TokenId>(id));
      }
    }
    for (AddedToken& token : file.added) {
      const auto id = static_cast<std::size_t>(token.id);
      if (id >= bytes.size()) bytes.resize(id + 1);
      if (token.special) hidden.push_back(token.id);
      by_first_byte[static_cast<unsigned char>(token.content[0])].push_back(token.id);
      added.emplace(token.content, token.id);
      bytes[id] = std::move(token.content);
    }
    for (std::vector<TokenId>& ids : by_first_byte) {
      std::ranges::stable_sort(ids, std::greater<>{}, [&](TokenId id) { return of(id).size(); });
    }
  }

  Encoding start() const { return {encoder, splitter, whole_words, nfc}; }

  const std::string& of(TokenId id) const { return bytes[static_cast<std::size_t>(id)]; }
  // Ordinary, added, or added and special.
  std::uint64_t kind(TokenId id) const {
    const auto found = added.find(of(id));
    if (found == added.end() || found->second != id) return 0;
    return std::ranges::binary_search(hidden, id) ? 2 : 1;
  }

  // The longest added token that `text` begins with; −1 without one.
  TokenId added_at(std::string_view text) const {
    for (const TokenId id : by_first_byte[static_cast<unsigned char>(text[0])]) {
      if (text.starts_with(of(id))) return id;
    }
    return -1;
  }

  std::vector<std::string> bytes;  // by id, added tokens too
  BytePairEncoder encoder;
  TextSplitter splitter;
  bool nfc;
  std::uint64_t merges;      // their digest
  IdsByContent whole_words;  // ordinary tokens, where a word that is one is taken whole
  IdsByContent added;
  std::vector<TokenId> hidden;                          // added tokens marked special, rising
  std::array<std::vector<TokenId>, 256> by_first_byte;  // added tokens, longest first
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::parse(std::string_view tokenizer_json, std::string_view tokenizer_config_json,
                           const std::string& name_for_errors) {
  return Tokenizer(std::make_unique<Impl>(
      parse_tokenizer_file(tokenizer_json, tokenizer_config_json, name_for_errors),
      name_for_errors));
}

Tokenizer Tokenizer::load(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "tokenizer.json";
  const std::filesystem::path config = directory / "tokenizer_config.json";
  return parse(read_text(path, max_json_bytes),
               file_exists(config) ? read_text(config, max_json_bytes) : "", path.string());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  Encoding out = impl_->start();
  out.text(text);
  return out.take();
}

std::vector<TokenId> Tokenizer::encode_with_special(std::string_view text) const {
  Encoding out = impl_->start();
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const TokenId id = impl_->added_at(text.substr(at));
    if (id < 0) {
      ++at;
      continue;
    }
    out.text(text.substr(done, at - done));
    out.token(id);
    at += impl_->of(id).size();
    done = at;
  }
  out.text(text.substr(done));
  return out.take();
}

std::vector<TokenId> Tokenizer::encode(std::span<const Piece> pieces) const {
  Encoding out = impl_->start();
  std::string text;  // of neighbouring pieces
  for (const Piece& piece : pieces) {
    if (const auto* part = std::get_if<std::string>(&piece)) {
      text += *part;
      continue;
    }
    out.text(text);
    text.clear();
    if (const auto* written = std::get_if<std::vector<TokenId>>(&piece)) {
      for (const TokenId id : *written) {
        if (id < 0 || static_cast<std::size_t>(id) >= vocab_size())
          throw Error("there is no token " + std::to_string(id) + " in the vocabulary");
        out.token(id);
      }
      continue;
    }
    const std::string& content = std::get<Special>(piece).content;
    const std::optional<TokenId> id = special(content);
    if (!id) throw Error("the tokenizer has no added token " + shown(content));
    out.token(*id);
  }
  out.text(text);
  return out.take();
}

std::optional<TokenId> Tokenizer::special(std::string_view content) const {
  const auto found = impl_->added.find(content);
  if (found == impl_->added.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(TokenId id) const {
  return std::ranges::binary_search(impl_->hidden, id);
}

std::size_t Tokenizer::vocab_size() const {
  return impl_->bytes.size();
}

std::string_view Tokenizer::bytes(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= impl_->bytes.size()) return {};
  return impl_->of(id);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool with_special) const {
  std::string text;
  for (const TokenId id : ids) {
    if (with_special || !is_special(id)) text += bytes(id);
  }
  return text;
}

std::uint64_t Tokenizer::hash() const {
  std::uint64_t hash = impl_->merges;
  for (std::size_t i = 0; i < vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    hash = digest(std::as_bytes(std::span(impl_->of(id))), hash) + impl_->kind(id);
  }
  return hash;
}

std::string Tokenizer::difference(const Tokenizer& other) const {
  if (hash() == other.hash()) return "";
  if (vocab_size() != other.vocab_size()) {
    return "its vocabulary has " + std::to_string(vocab_size()) + " tokens, the other's " +
           std::to_string(other.vocab_size());
  }
  for (std::size_t i = 0; i < vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (bytes(id) != other.bytes(id)) {
      return "its token " + std::to_string(i) + " is " + shown(impl_->of(id)) + ", the other's " +
             shown(other.impl_->of(id));
    }
    if (impl_->kind(id) != other.impl_->kind(id)) {
      return "its token " + std::to_string(i) + ", " + shown(impl_->of(id)) +
             ", is special where the other's is not, or the other way round";
    }
  }
  return "its merges are not the other's";
}

}  // namespace hearth::engine
