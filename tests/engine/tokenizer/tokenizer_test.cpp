// The tokenizer on ember's file and on small ones made here: both ways in, the way back, and
// damaged files. The published tokenizers are tested by tokenizer-cases.
#include "engine/tokenizer/tokenizer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "engine/support/utf8.hpp"
#include "tests/engine/files.hpp"

namespace hearth::engine {
namespace {

using Ids = std::vector<TokenId>;
using nlohmann::json;

const std::filesystem::path source = HEARTH_SOURCE_DIR;

const Tokenizer& ember() {
  static const Tokenizer tokenizer = Tokenizer::load(source / "engine/ember");
  return tokenizer;
}

// The byte-level alphabet: how a file writes each byte.
std::string written(int byte) {
  static const std::vector<std::string> alphabet = [] {
    std::vector<std::string> letters;
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool itself = (b > 0x20 && b < 0x7F) || (b > 0xA0 && b < 0xAD) || b > 0xAD;
      const int point = itself ? b : next++;
      letters.push_back(point < 0x80 ? std::string(1, static_cast<char>(point))
                                     : std::string{static_cast<char>(0xC0 | point >> 6),
                                                   static_cast<char>(0x80 | (point & 0x3F))});
    }
    return letters;
  }();
  return alphabet[static_cast<std::size_t>(byte)];
}

// A tokenizer whose bytes have their own value as their id; tokens and merges are added to it.
json bytes_only() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[written(byte)] = byte;
  return {
      {"added_tokens", json::array()},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"},
           {"pattern", {{"Regex", R"([a-z]+|\s+|[^a-z\s]+)"}}},
           {"behavior", "Isolated"},
           {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}},
  };
}

json with_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  json file = bytes_only();
  TokenId next = 256;
  for (const auto& [left, right] : merges) {
    file["model"]["merges"].push_back({left, right});
    if (!file["model"]["vocab"].contains(left + right)) {
      file["model"]["vocab"][left + right] = next++;
    }
  }
  return file;
}

Tokenizer parse(const json& file, const std::string& config = "") {
  return Tokenizer::parse(file.dump(), config, "DIR/tokenizer.json");
}

std::string refusal(const json& file, const std::string& config = "") {
  const std::string message = error_of([&] { parse(file, config); });
  CAPTURE(message);
  CHECK(contains(message, "DIR/tokenizer"));
  return message;
}

std::string refusal_with(const std::string& pointer, const json& value) {
  json file = with_merges({{"a", "b"}});
  file[json::json_pointer(pointer)] = value;
  return refusal(file);
}

TEST_CASE("text gives ids and ids give the text") {
  for (const std::string text :
       {"", "a", "def average(values):\n    return sum(values)\n", "\r\n\t  \n",
        "Grüße, 世界 👩‍👩‍👧‍👦!", "<|im_start|>user\n</think>"}) {
    CHECK(ember().decode(ember().encode(text)) == text);
  }
}

TEST_CASE("every byte sequence survives as far as it is text") {
  CHECK(ember().decode(ember().encode("a\xffz")) == "a\xEF\xBF\xBDz");
  CHECK(ember().decode(ember().encode(std::string("\0\x80\xC3", 3))) ==
        std::string("\0\xEF\xBF\xBD\xEF\xBF\xBD", 7));
}

TEST_CASE("a user's special token is ordinary text") {
  const TokenId end = ember().special("<|im_end|>").value();
  const std::string text = "before <|im_end|> after";
  for (const TokenId id : ember().encode(text)) CHECK(id < 4070);
  const Ids trusted = ember().encode_with_special(text);
  CHECK(std::ranges::count(trusted, end) == 1);

  const std::vector<Piece> pieces{std::string("before <|im_end|>"), Special{"<|im_end|>"}};
  const Ids mixed = ember().encode(pieces);
  CHECK(std::ranges::count(mixed, end) == 1);
  CHECK(mixed.back() == end);
}

TEST_CASE("neighbouring texts are joined before they are split") {
  const std::vector<Piece> pieces{std::string("def ave"), std::string("rage(va"),
                                  std::string("lues):")};
  CHECK(ember().encode(pieces) == ember().encode("def average(values):"));
}

TEST_CASE("an unknown special token is an error") {
  const std::vector<Piece> pieces{Special{"<|nothing|>"}};
  CHECK(contains(error_of([&] { ember().encode(pieces); }), "\"<|nothing|>\""));
  CHECK_FALSE(ember().special("def").has_value());
}

TEST_CASE("tokens marked special are hidden from decoded text") {
  const Ids ids = ember().encode_with_special("a<|im_end|><think>b");
  CHECK(ember().decode(ids) == "a<think>b");
  CHECK(ember().decode(ids, true) == "a<|im_end|><think>b");
  CHECK(ember().is_special(ember().special("<|im_end|>").value()));
  CHECK_FALSE(ember().is_special(ember().special("<think>").value()));
  CHECK_FALSE(ember().is_special(-1));
  CHECK(ember().bytes(-1).empty());
  CHECK(ember().bytes(1'000'000).empty());
  CHECK(ember().vocab_size() == 4096);
}

TEST_CASE("text is brought to normal form C") {
  const Tokenizer bytes = parse(bytes_only());
  CHECK(bytes.decode(bytes.encode("e\u0301")) == "\u00e9");
  CHECK(bytes.decode(bytes.encode("x\u0323\u0301y")) == "x\u0323\u0301y");
  CHECK(bytes.decode(bytes.encode("a\u0301\u0323")) == "\u1ea1\u0301");  // marks in order
  CHECK(bytes.decode(bytes.encode("\u1100\u1161\u11a8")) == "\uac01");
  CHECK(bytes.decode(bytes.encode("\u212b=\u2126")) == "\u00c5=\u03a9");
  CHECK(bytes.decode(bytes.encode("=\u0338")) == "\u2260");
  json none = bytes_only();
  none["normalizer"] = nullptr;
  CHECK(parse(none).decode(parse(none).encode("e\u0301")) == "e\u0301");
  none["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  CHECK(parse(none).decode(parse(none).encode("e\u0301")) == "\u00e9");
}

TEST_CASE("merges happen by rank, leftmost first, within words") {
  const Tokenizer tokenizer = parse(with_merges({{"b", "c"}, {"a", "b"}, {"a", "bc"}, {"a", "a"}}));
  CHECK(tokenizer.encode("abc") == Ids{258});
  CHECK(tokenizer.encode("ab") == Ids{257});
  CHECK(tokenizer.encode("aaa") == Ids{259, 'a'});
  CHECK(tokenizer.encode("aabc") == Ids{'a', 258});
  CHECK(tokenizer.encode("ab c") == Ids{257, ' ', 'c'});
}

TEST_CASE("merges may stand as strings") {
  json file = with_merges({{"a", "b"}});
  file["model"]["merges"] = {"a b"};
  CHECK(parse(file).encode("ab") == Ids{256});
}

TEST_CASE("a word that is a token is taken whole only where the file says so") {
  json file = bytes_only();
  file["model"]["vocab"]["abc"] = 256;
  CHECK(parse(file).encode("abc") == Ids{'a', 'b', 'c'});
  file["model"]["ignore_merges"] = true;
  CHECK(parse(file).encode("abc abcd") == Ids{256, ' ', 'a', 'b', 'c', 'd'});
}

// Merging the best pair again and again, as byte-pair encoding is defined.
Ids merged_by_definition(Ids ids, const std::vector<std::array<TokenId, 3>>& merges) {
  for (;;) {
    std::size_t best = merges.size();
    std::size_t place = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (std::size_t rank = 0; rank < best; ++rank) {
        if (merges[rank][0] == ids[i] && merges[rank][1] == ids[i + 1]) {
          best = rank;
          place = i;
        }
      }
    }
    if (best == merges.size()) return ids;
    ids[place] = merges[best][2];
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST_CASE("encoding agrees with the definition on random merges and words") {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> tokens{"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    std::vector<std::array<TokenId, 3>> by_id;
    json file = bytes_only();
    const auto id_of = [&](const std::string& token) {
      return file["model"]["vocab"][token].get<TokenId>();
    };
    for (TokenId next = 256; next < 280;) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      if (file["model"]["vocab"].contains(left + right)) continue;
      file["model"]["vocab"][left + right] = next;
      file["model"]["merges"].push_back({left, right});
      by_id.push_back({id_of(left), id_of(right), next++});
      tokens.push_back(left + right);
    }
    const Tokenizer tokenizer = parse(file);
    for (int i = 0; i < 50; ++i) {
      std::string word;
      while (word.size() < 1 + random() % 40) word += static_cast<char>('a' + random() % 3);
      CHECK(tokenizer.encode(word) == merged_by_definition(Ids(word.begin(), word.end()), by_id));
    }
  }
}

TEST_CASE("all of a text is in some word, matched by the pattern or not") {
  json file = bytes_only();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "x*";
  const Tokenizer tokenizer = parse(file);
  for (const std::string text : {"xxaxé", "é", "axx", "世x界"}) {
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
}

TEST_CASE("spaces are those of Unicode") {
  // U+180E has not been one since Unicode 6.3; U+2003 is one.
  json file = with_merges({{"a", written(0xE1)}, {"b", written(0xE2)}});
  auto& pattern = file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"];
  for (const char* spaces : {R"(\s+)", R"([\s]+)", R"([[:digit:]\s]+)"}) {
    pattern = spaces;
    CHECK(parse(file).encode("a\u180e") == Ids{256, 0xA0, 0x8E});
    CHECK(parse(file).encode("b\u2003") == Ids{'b', 0xE2, 0x80, 0x83});
  }
  pattern = R"(\S+)";
  CHECK(parse(file).encode("a\u180e") == Ids{256, 0xA0, 0x8E});
  CHECK(parse(file).encode("b\u2003") == Ids{'b', 0xE2, 0x80, 0x83});
}

TEST_CASE("marks are part of a word where the file's pattern says so") {
  const std::filesystem::path file = source / "tests/tokenizer/tokenizer-q35.json";
  json changed = json::parse(read_text(file, 1'000'000));
  const Tokenizer with_marks = Tokenizer::parse(changed.dump(), "", file.string());
  auto& pattern = changed["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"];
  pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+)"
            R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const Tokenizer without = Tokenizer::parse(changed.dump(), "", file.string());
  std::istringstream cases(read_text(source / "tests/tokenizer/cases-q35.jsonl", 10'000'000));
  std::size_t differ = 0;
  for (std::string line; std::getline(cases, line);) {
    const json entry = json::parse(line);
    const auto text = entry["text"].get<std::string>();
    CHECK(with_marks.encode(text) == entry["plain"].get<Ids>());
    if (without.encode(text) != entry["plain"].get<Ids>()) ++differ;
  }
  CHECK(differ == 265);
  for (const char* content : {"<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>",
                              "<tool_response>", "<|fim_prefix|>"}) {
    const TokenId id = with_marks.special(content).value();
    CHECK(with_marks.encode_with_special(content) == Ids{id});
    CHECK_FALSE(with_marks.encode(content) == Ids{id});
  }
  pattern = "\\p{L}+|\\p{Nothing}";
  const std::string message = refusal(changed);
  CHECK(contains(message, "DIR/tokenizer.json: pre_tokenizer: the pattern does not compile"));
  CHECK(contains(message, R"("\p{L}+|\p{Nothing}")"));
}

TEST_CASE("the longest added token wins, and text around it is split on its own") {
  json file = bytes_only();
  file["added_tokens"] = {{{"id", 300}, {"content", "<a>"}},
                          {{"id", 301}, {"content", "<a><b>"}, {"special", true}}};
  const Tokenizer tokenizer = parse(file);
  CHECK(tokenizer.encode_with_special("<a>x<a><b>") == Ids{300, 'x', 301});
  CHECK(tokenizer.vocab_size() == 302);
  CHECK(tokenizer.bytes(299).empty());
}

TEST_CASE("added tokens may stand only in tokenizer_config.json") {
  const std::string config =
      R"({"added_tokens_decoder": {"300": {"content": "<a>", "special": true}}})";
  const Tokenizer tokenizer = parse(bytes_only(), config);
  CHECK(tokenizer.special("<a>") == 300);
  CHECK(tokenizer.is_special(300));
}

TEST_CASE("an added token that the vocabulary also lists is never made from text") {
  json file = bytes_only();
  file["model"]["vocab"]["ab"] = 256;
  file["model"]["ignore_merges"] = true;
  file["added_tokens"] = {{{"id", 256}, {"content", "ab"}, {"special", true}}};
  CHECK(parse(file).encode("ab") == Ids{'a', 'b'});
  file["model"]["merges"].push_back({"a", "b"});
  CHECK(contains(refusal(file), "merges[0]"));
}

TEST_CASE("a damaged tokenizer is refused with file and field") {
  CHECK(contains(refusal_with("/model", nullptr), "\"model\""));
  CHECK(contains(refusal_with("/model/type", "Unigram"), "\"type\" is \"Unigram\""));
  CHECK(contains(refusal_with("/model/vocab", nullptr), "\"vocab\""));
  CHECK(contains(refusal_with("/model/vocab", json::array({1})), "\"vocab\""));
  CHECK(contains(refusal_with("/model/vocab", json::object()), "the byte 0 has no token"));
  CHECK(contains(refusal_with("/model/vocab/ab", -1), "\"ab\" has the number -1"));
  CHECK(contains(refusal_with("/model/vocab/ab", 1e9), "\"ab\" has the number"));
  CHECK(contains(refusal_with("/model/vocab/ab", 4'194'304), "\"ab\" has the number 4194304"));
  CHECK(contains(refusal_with("/model/vocab/ab", 97), "two tokens have the number 97"));
  CHECK(contains(refusal_with("/model/vocab/世", 500), "not in the byte alphabet"));
  CHECK(contains(refusal_with("/model/vocab/", 500), "not in the byte alphabet"));
  CHECK(contains(refusal_with("/model/merges", "a b"), "\"merges\""));
  CHECK(contains(refusal_with("/model/merges/1", {"a", "q"}), "merges[1] is [\"a\",\"q\"]"));
  CHECK(contains(refusal_with("/model/merges/1", {"a", "b"}), "it is there twice"));
  CHECK(contains(refusal_with("/model/merges/1", {"a"}), "expected two tokens"));
  CHECK(contains(refusal_with("/model/merges/1", "ab"), "expected two tokens"));
  CHECK(contains(refusal_with("/model/dropout", 0.5), "\"dropout\""));
  CHECK(contains(refusal_with("/model/byte_fallback", true), "\"byte_fallback\""));
  CHECK(contains(refusal_with("/model/end_of_word_suffix", "</w>"), "\"end_of_word_suffix\""));
  CHECK(contains(refusal_with("/normalizer", {{"type", "Lowercase"}}), "\"Lowercase\""));
  CHECK(contains(refusal_with("/pre_tokenizer", nullptr), "\"pre_tokenizer\""));
  CHECK(contains(refusal_with("/pre_tokenizer/type", "Whitespace"), "\"pre_tokenizer\""));
  const std::string split = "/pre_tokenizer/pretokenizers/0";
  CHECK(contains(refusal_with(split + "/behavior", "Removed"), "\"Removed\""));
  CHECK(contains(refusal_with(split + "/invert", true), "\"invert\""));
  CHECK(contains(refusal_with(split + "/pattern/Regex", "(a"), "does not compile"));
  CHECK(contains(refusal_with(split + "/pattern/Regex", "\\C"), "does not compile"));
  CHECK(contains(refusal_with(split + "/pattern/Regex", std::string(20'000, 'a')), "20000 bytes"));
  CHECK(contains(refusal_with("/pre_tokenizer/pretokenizers/1/use_regex", true), "\"use_regex\""));
  CHECK(contains(refusal_with("/added_tokens/0", 5), "added_tokens"));
  CHECK(contains(refusal_with("/added_tokens/0", {{"id", -1}, {"content", "x"}}), "\"id\" is -1"));
  CHECK(contains(refusal_with("/added_tokens/0", {{"id", 300}, {"content", ""}}), "300 is empty"));
  CHECK(contains(refusal_with("/added_tokens/0", {{"id", 97}, {"content", "x"}}),
                 "added token \"x\""));
  CHECK(contains(refusal_with("/added_tokens/0", {{"id", 300}, {"content", "x"}, {"lstrip", true}}),
                 "\"lstrip\""));
  CHECK(contains(refusal_with("/added_tokens",
                              {{{"id", 300}, {"content", "x"}}, {{"id", 301}, {"content", "x"}}}),
                 "two numbers"));
  CHECK(contains(refusal(bytes_only(), R"({"added_tokens_decoder": {"x1": {"content": "x"}}})"),
                 "DIR/tokenizer_config.json: added_tokens_decoder: \"x1\" is no token's number"));
  CHECK(contains(refusal(bytes_only(), "{"), "DIR/tokenizer_config.json: not valid JSON"));
}

TEST_CASE("a cut or missing tokenizer.json is refused by name") {
  const std::string whole = bytes_only().dump();
  for (std::size_t length = 0; length < whole.size(); length += 97) {
    const std::string message =
        error_of([&] { Tokenizer::parse(whole.substr(0, length), "", "DIR/tokenizer.json"); });
    CHECK(contains(message, "DIR/tokenizer.json: not valid JSON"));
  }
  const ScratchDirectory empty;
  CHECK(contains(error_of([&] { Tokenizer::load(empty.path()); }), "tokenizer.json: cannot open"));
}

TEST_CASE("a pattern that backtracks without end is an error") {
  json file = bytes_only();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a+a+)+(?![a])[bc]";
  const Tokenizer tokenizer = parse(file);
  CHECK(contains(error_of([&] { tokenizer.encode(std::string(200, 'a')); }), "split pattern"));
}

TEST_CASE("long words, runs of spaces and piles of marks are done in good time") {
  CHECK(ember().encode(std::string(300'000, 'a')).size() > 10'000);
  CHECK(ember().encode(std::string(2'000'000, ' ')).size() > 10'000);
  std::string marks = "a";
  for (int i = 0; i < 100'000; ++i) marks += i % 2 ? "\u0323" : "\u0301";
  CHECK(ember().decode(ember().encode(marks)).size() > 199'000);
}

TEST_CASE("a tokenizer serves many threads") {
  const std::string text = read_text(source / "engine/ember/README.md", 1'000'000);
  const Ids expected = ember().encode(text);
  std::vector<std::thread> threads;
  std::array<bool, 4> same{};
  for (bool& result : same) {
    threads.emplace_back([&] { result = ember().encode(text) == expected; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(same == std::array{true, true, true, true});
}

TEST_CASE("tokenizers with one hash have one vocabulary, merges and special tokens") {
  const json file = with_merges({{"a", "b"}, {"b", "c"}});
  const auto differs = [&](json other) {
    const Tokenizer one = parse(file);
    const Tokenizer two = parse(other);
    CHECK(one.hash() != two.hash());
    CHECK_FALSE(two.difference(one).empty());
    return one.difference(two);
  };
  CHECK(parse(file).hash() == parse(file).hash());
  CHECK(parse(file).difference(parse(file)).empty());

  json other = with_merges({{"a", "b"}, {"b", "c"}, {"c", "d"}});
  CHECK(differs(other) == "its vocabulary has 258 tokens, the other's 259");
  other = with_merges({{"a", "b"}, {"b", "d"}});
  CHECK(differs(other) == R"(its token 257 is "bc", the other's "bd")");
  other = file;
  std::swap(other["model"]["merges"][0], other["model"]["merges"][1]);
  CHECK(differs(other) == "its merges are not the other's");

  json added = file;
  added["added_tokens"] = {{{"id", 258}, {"content", "<a>"}, {"special", true}}};
  json shown = added;
  shown["added_tokens"][0]["special"] = false;
  CHECK(parse(added).difference(parse(shown)) ==
        R"(its token 258, "<a>", is special where the other's is not, or the other way round)");
}

TEST_CASE("a stream hands on whole characters only") {
  const std::string text = "a\u00e9\u4e16\U0001F469z";
  for (std::size_t step = 1; step <= 5; ++step) {
    Utf8Stream stream;
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += step) {
      const std::string part = stream.push(std::string_view(text).substr(at, step));
      CHECK(repair_utf8(part) == part);
      out += part;
    }
    CHECK(out + stream.finish() == text);
  }
}

TEST_CASE("a stream replaces what can be no character") {
  Utf8Stream stream;
  CHECK(stream.push("a\x80") == "a\uFFFD");
  CHECK(stream.push("\xE4\xB8") == "");
  CHECK(stream.push("x") == "\uFFFDx");
  CHECK(stream.push("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(stream.push("\xC0\xAF") == "\uFFFD\uFFFD");            // overlong
  CHECK(stream.push("\xF4\x90") == "\uFFFD\uFFFD");            // above U+10FFFF
  CHECK(stream.push("\xF0\x9F\x91") == "");
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");
}

}  // namespace
}  // namespace hearth::engine
