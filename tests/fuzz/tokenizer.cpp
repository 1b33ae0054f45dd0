// Three things in one input, parted by two zero bytes each: a tokenizer.json (when empty, a small
// good one), a tokenizer_config.json and a text. The file is refused with an Error, or the text's
// ids are within the vocabulary; with the good file they give the text back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/support/file.hpp"
#include "engine/support/utf8.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace {

using namespace hearth::engine;

std::string_view next_part(std::string_view& rest) {
  constexpr std::string_view separator("\0\0", 2);
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + separator.size()));
  return part;
}

void check(bool good) {
  if (!good) std::abort();
}

void encode(const Tokenizer& tokenizer, std::string_view text) {
  for (const auto& ids : {tokenizer.encode(text), tokenizer.encode_with_special(text)}) {
    for (const TokenId id : ids) check(!tokenizer.bytes(id).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer good = Tokenizer::load(HEARTH_SOURCE_DIR "/engine/ember");
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view json = next_part(rest);
  const std::string_view config = next_part(rest);
  try {
    if (json.empty()) {
      encode(good, rest);
      check(good.decode(good.encode(rest)) == to_nfc(repair_utf8(rest)));
      Utf8Stream stream;
      std::string streamed;
      for (const char byte : rest) streamed += stream.push(std::string_view(&byte, 1));
      check(streamed + stream.finish() == repair_utf8(rest));
    } else {
      encode(Tokenizer::parse(json, config, "tokenizer.json"), rest);
    }
  } catch (const Error&) {
  }
  return 0;
}
