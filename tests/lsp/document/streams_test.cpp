// Streams of random edits, as clients of each encoding send them, against a plain model of the
// text.
#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "lsp/document/documents.hpp"

namespace hearth::lsp::test {
namespace {

const std::string uri = "file:///a.txt";

std::string utf8(const std::u32string& text) {
  std::string bytes;
  const auto add = [&bytes](char32_t value) { bytes += static_cast<char>(value); };
  for (const char32_t c : text) {
    if (c < 0x80) {
      add(c);
    } else if (c < 0x800) {
      add(0xC0 | (c >> 6U));
      add(0x80 | (c & 0x3FU));
    } else if (c < 0x10000) {
      add(0xE0 | (c >> 12U));
      add(0x80 | ((c >> 6U) & 0x3FU));
      add(0x80 | (c & 0x3FU));
    } else {
      add(0xF0 | (c >> 18U));
      add(0x80 | ((c >> 12U) & 0x3FU));
      add(0x80 | ((c >> 6U) & 0x3FU));
      add(0x80 | (c & 0x3FU));
    }
  }
  return bytes;
}

int units(char32_t c, Encoding encoding) {
  if (encoding == Encoding::utf32) return 1;
  if (encoding == Encoding::utf16) return c >= 0x10000 ? 2 : 1;
  return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

// Where the character `at` is, counted from the text's beginning each time.
Json position(const std::u32string& text, std::size_t at, Encoding encoding) {
  int line = 0;
  int character = 0;
  for (std::size_t i = 0; i < at; ++i) {
    const bool ends =
        text[i] == U'\n' || (text[i] == U'\r' && !text.substr(i + 1).starts_with(U'\n'));
    line += ends ? 1 : 0;
    character = ends ? 0 : character + units(text[i], encoding);
  }
  return {{"line", line}, {"character", character}};
}

class Stream {
 public:
  Stream(Encoding encoding, unsigned seed) : encoding_(encoding), random_(seed) {
    text_ = piece(40);
    documents_.open({{"textDocument",
                      {{"uri", uri}, {"languageId", "x"}, {"version", 0}, {"text", utf8(text_)}}}});
  }

  // One message of some changes. Whether the document is what the model says.
  bool change() {
    Json changes = Json::array();
    for (std::size_t count = any(4) + 1; count > 0; --count) changes.push_back(one());
    documents_.change(
        {{"textDocument", {{"uri", uri}, {"version", ++version_}}}, {"contentChanges", changes}});
    const SnapshotPtr now = documents_.find(uri);
    return now && now->version == version_ && now->text->str() == utf8(text_);
  }

 private:
  std::size_t any(std::size_t below) { return random_() % below; }

  std::u32string piece(std::size_t most) {
    static const std::u32string characters = U"aZ_ \t({\n\r\u00e9\u6f22\U0001F600";
    std::u32string text;
    for (std::size_t i = any(most + 1); i > 0; --i) {
      text += characters[any(characters.size())];
      if (any(8) == 0) text += U"\r\n";
    }
    return text;
  }

  // Between \r and \n is no place: it would be the end of a line that is there twice.
  std::size_t place(std::size_t at) const {
    const bool between =
        at > 0 && at < text_.size() && text_[at - 1] == U'\r' && text_[at] == U'\n';
    return between ? at - 1 : at;
  }

  Json one() {
    const std::u32string inserted = piece(8);
    if (any(30) == 0) {
      text_ = inserted;
      return {{"text", utf8(inserted)}};
    }
    const std::size_t begin = place(any(text_.size() + 1));
    const std::size_t end = std::max(begin, place(std::min(text_.size(), begin + any(12))));
    const Json range{{"start", position(text_, begin, encoding_)},
                     {"end", position(text_, end, encoding_)}};
    text_.replace(begin, end - begin, inserted);
    return {{"range", range}, {"text", utf8(inserted)}};
  }

  const Encoding encoding_;
  std::mt19937 random_;
  Documents documents_{encoding_};
  std::u32string text_;
  std::int64_t version_ = 0;
};

}  // namespace

TEST_CASE("1,000 streams of random edits in each encoding give the text that a plain model has") {
  constexpr unsigned streams =
      HEARTH_SANITIZED != 0 ? 100 : 1000;  // a sanitizer takes ten times as long
  for (const Encoding encoding : {Encoding::utf8, Encoding::utf16, Encoding::utf32}) {
    int identical = 0;
    for (unsigned seed = 0; seed < streams; ++seed) {
      Stream stream(encoding, seed);
      bool same = true;
      for (int message = 0; message < 12 && same; ++message) same = stream.change();
      CAPTURE(seed);
      CHECK(same);
      identical += same ? 1 : 0;
    }
    MESSAGE("encoding ", static_cast<int>(encoding), ": ", identical, " of ", streams,
            " identical");
  }
}

}  // namespace hearth::lsp::test
