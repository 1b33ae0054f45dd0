// TextSplitter over PCRE2, with limits that keep a hostile pattern or text from running for ever.
#include "engine/tokenizer/split.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>

#include "engine/support/types.hpp"
#include "engine/support/utf8.hpp"

namespace hearth::engine {
namespace {

constexpr std::size_t max_pattern_bytes = 10'000;
constexpr std::uint32_t max_heap_kib = 64 * 1024;
// Backtracking steps of one match: a run of n spaces is gone back over n times, so the limit grows
// with the text.
constexpr std::uint64_t base_steps = 100'000;
constexpr std::uint64_t steps_per_byte = 16;

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 200> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

// Tokenizers' \s is Unicode's White_Space; PCRE2's also holds U+180E, which is none. Writes the
// characters out at \s, or at \S outside a class.
std::string with_unicode_spaces(std::string_view pattern) {
  const std::string spaces =
      R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string out;
  bool in_class = false;
  while (!pattern.empty()) {
    std::size_t length = 1;
    if (pattern[0] == '\\') {
      length = 2;
    } else if (!in_class && pattern[0] == '[') {
      in_class = true;
      if (pattern.starts_with("[^")) length = 2;
      if (pattern.substr(length).starts_with(']')) ++length;  // a first ] does not close
    } else if (in_class && pattern.starts_with("[:")) {
      length = pattern.find(":]");
      length = length == std::string_view::npos ? 2 : length + 2;
    } else if (pattern[0] == ']') {
      in_class = false;
    }
    const std::string_view token = pattern.substr(0, length);
    if (token == "\\s")
      out += in_class ? spaces : "[" + spaces + "]";
    else if (token == "\\S" && !in_class)
      out += "[^" + spaces + "]";
    else
      out += token;
    pattern.remove_prefix(token.size());
  }
  return out;
}

}  // namespace

struct TextSplitter::Code {
  explicit Code(pcre2_code* compiled) : pattern(compiled) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(pattern); }

  pcre2_code* pattern;
};

TextSplitter::TextSplitter(std::string_view pattern, const std::string& name) {
  if (pattern.size() > max_pattern_bytes) {
    throw Error(name + ": a pattern of " + std::to_string(pattern.size()) + " bytes; at most " +
                std::to_string(max_pattern_bytes) + " are expected");
  }
  const std::string translated = with_unicode_spaces(pattern);
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr);
  if (!compiled) {
    throw Error(name + ": the pattern does not compile: " + message_of(error) + " in \"" +
                std::string(pattern.substr(0, 200)) + "\"");
  }
  code_ = std::make_unique<Code>(compiled);
  // Where no JIT can be had the pattern is interpreted: slower, with the same matches.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
}

TextSplitter::TextSplitter(TextSplitter&&) noexcept = default;
TextSplitter& TextSplitter::operator=(TextSplitter&&) noexcept = default;
TextSplitter::~TextSplitter() = default;

void TextSplitter::split(std::string_view text,
                         const std::function<void(std::string_view)>& word) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatch> context(
      pcre2_match_context_create(nullptr));
  if (!match || !context) throw std::bad_alloc();
  const std::uint64_t steps = base_steps + steps_per_byte * text.size();
  pcre2_set_match_limit(context.get(),
                        static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, UINT32_MAX)));
  pcre2_set_heap_limit(context.get(), max_heap_kib);

  const auto match_from = [&](std::size_t from, std::uint32_t options) {
    return pcre2_match(code_->pattern, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, match.get(), context.get());
  };
  const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(match.get());

  std::size_t done = 0;    // handed on
  std::size_t search = 0;  // where the next match may begin
  while (search < text.size()) {
    int result = match_from(search, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match_from(search, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) throw Error("the tokenizer's split pattern failed: " + message_of(result));
    const std::size_t begin = found[0];
    const std::size_t end = found[1];
    if (begin < search || end < begin) throw Error("the tokenizer's split pattern goes backwards");
    if (begin > done) word(text.substr(done, begin - done));
    if (end > begin) word(text.substr(begin, end - begin));
    done = end;
    // After an empty match the search goes on one character later.
    search = end > begin || end == text.size() ? end : end + first_sequence(text.substr(end)).bytes;
  }
  if (done < text.size()) word(text.substr(done));
}

}  // namespace hearth::engine
