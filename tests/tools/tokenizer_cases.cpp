// tokenizer-cases TOKENIZER.json CASES.jsonl: checks texts and their ids, and that the ids give
// the text back in normal form C. Cases: {"text", "plain": ids of a user's text, "special": ids
// when added tokens in the text are recognised, only where that differs}. Exits non-zero on a miss.
#include <utf8proc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "engine/support/file.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace {

using hearth::engine::TokenId;
using hearth::engine::Tokenizer;

constexpr int misses_shown = 5;

struct Tally {
  int checks = 0;
  int misses = 0;

  template <typename Value>
  void expect(const nlohmann::json& text, const char* what, const Value& got, const Value& wanted) {
    ++checks;
    if (got == wanted) return;
    if (++misses > misses_shown) return;
    std::printf("miss: %s of %s\n  got    %s\n  wanted %s\n", what, text.dump().c_str(),
                nlohmann::json(got).dump().c_str(), nlohmann::json(wanted).dump().c_str());
  }
};

std::string nfc(const std::string& text) {
  utf8proc_uint8_t* normal = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &normal,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (length < 0) throw hearth::engine::Error(utf8proc_errmsg(length));
  std::string result(reinterpret_cast<const char*>(normal), static_cast<std::size_t>(length));
  std::free(normal);
  return result;
}

Tokenizer load(const std::filesystem::path& path) {
  constexpr std::uint64_t limit = 100'000'000;
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  std::error_code ignored;
  return Tokenizer::parse(
      hearth::engine::read_text(path, limit),
      std::filesystem::exists(config, ignored) ? hearth::engine::read_text(config, limit) : "",
      path.string());
}

int run(const std::filesystem::path& tokenizer_path, const std::filesystem::path& cases_path) {
  const Tokenizer tokenizer = load(tokenizer_path);
  std::ifstream cases(cases_path);
  if (!cases) throw hearth::engine::Error(cases_path.string() + ": cannot open");

  Tally tally;
  int count = 0;
  for (std::string line; std::getline(cases, line);) {
    if (line.empty()) continue;
    ++count;
    const nlohmann::json entry = nlohmann::json::parse(line);
    const auto text = entry.at("text").get<std::string>();
    const auto plain = entry.at("plain").get<std::vector<TokenId>>();
    const auto special = entry.value("special", plain);
    tally.expect(entry.at("text"), "plain", tokenizer.encode(text), plain);
    tally.expect(entry.at("text"), "special", tokenizer.encode_with_special(text), special);
    tally.expect(entry.at("text"), "text", tokenizer.decode(plain, true), nfc(text));
  }
  if (count == 0) throw hearth::engine::Error(cases_path.string() + ": no cases");
  std::printf("%d cases, %d checks, %d misses\n", count, tally.checks, tally.misses);
  return tally.misses == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], "--help") == 0) {
    std::fprintf(stderr, "usage: tokenizer-cases TOKENIZER.json CASES.jsonl\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenizer-cases: %s\n", error.what());
    return 2;
  }
}
