// Documents of the stdio proxy: ordinary editing applies nothing, and what comes of it in the end
// is what comes of applying each change at once.
#include "daemon/transport/deferred_documents.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "lsp/protocol/json_text.hpp"

using namespace hearth::daemon;
using hearth::lsp::Documents;
using hearth::lsp::Encoding;
using hearth::lsp::InvalidParams;
using Json = hearth::lsp::Json;

namespace {

const std::string uri = "file:///a.py";

Json opening(const std::string& text) {
  return {
      {"textDocument", {{"uri", uri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}};
}

Json edit(int version, int line, int from, int to, const std::string& text) {
  const Json range = {{"start", {{"line", line}, {"character", from}}},
                      {"end", {{"line", line}, {"character", to}}}};
  return {{"textDocument", {{"uri", uri}, {"version", version}}},
          {"contentChanges", Json::array({{{"range", range}, {"text", text}}})}};
}

Json whole(int version, const std::string& text) {
  return {{"textDocument", {{"uri", uri}, {"version", version}}},
          {"contentChanges", Json::array({{{"text", text}}})}};
}

std::string body_of(const Json& params) {
  return Json{{"jsonrpc", "2.0"}, {"method", "textDocument/didChange"}, {"params", params}}.dump();
}

// The same into both; whether it is refused at once may differ.
struct Pair {
  DeferredDocuments deferred{Encoding::utf16};
  Documents at_once{Encoding::utf16};

  explicit Pair(const std::string& text) {
    deferred.open(opening(text));
    at_once.open(opening(text));
  }
  void change(const Json& params) {
    try {
      deferred.change(params, body_of(params));
    } catch (const InvalidParams&) {
    }
    try {
      at_once.change(params);
    } catch (const InvalidParams&) {
    }
  }
  void check_same() {
    const Documents& current = deferred.current();
    CHECK(current.out_of_step(uri) == at_once.out_of_step(uri));
    if (at_once.out_of_step(uri)) return;
    CHECK(current.find(uri)->text->str() == at_once.find(uri)->text->str());
    CHECK(current.find(uri)->version == at_once.find(uri)->version);
  }
};

}  // namespace

TEST_CASE("ordinary editing applies nothing until the text is asked for") {
  std::string text;
  while (text.size() < 300'000) text += "    value = value + 1\n";
  DeferredDocuments documents(Encoding::utf16);
  documents.open(opening(text));
  const auto opened = documents.applied().find(uri);
  for (int i = 0; i < 1000; ++i) {
    const Json params = edit(i + 2, 7, 4 + i, 4 + i, "x");
    documents.change(params, body_of(params));
  }
  CHECK(documents.applied().find(uri) == opened);  // the very same
  CHECK(documents.kept_bytes(uri) > 100'000);
  const auto now = documents.current().find(uri);
  CHECK(now->version == 1001);
  CHECK(now->text->str().size() == text.size() + 1000);
  CHECK(now->text->line_range(7).end.value - now->text->line_range(7).begin.value >= 1021);
  CHECK(documents.kept_bytes(uri) == 0);
}

TEST_CASE("changes that take more memory than their document are applied") {
  DeferredDocuments documents(Encoding::utf16);
  documents.open(opening("x\n"));
  bool applied = false;
  auto before = documents.applied().find(uri);
  for (int i = 0; i < 2000; ++i) {
    const Json params = edit(i + 2, 0, 0, 0, "y");
    documents.change(params, body_of(params));
    CHECK(documents.kept_bytes(uri) <= DeferredDocuments::min_kept_bytes);
    applied = applied || documents.applied().find(uri) != before;
  }
  CHECK(applied);
  CHECK(documents.current().find(uri)->text->str() == std::string(2000, 'y') + "x\n");

  documents.open(opening(std::string(10'000'000, 'x') + "\n"));
  before = documents.applied().find(uri);
  const std::string large(1'500'000, 'z');
  for (int version = 2; version <= 4; ++version) {
    const Json params = edit(version, 0, 0, 0, large);
    documents.change(params, body_of(params));
    CHECK(documents.kept_bytes(uri) <= DeferredDocuments::max_kept_bytes);
  }
  CHECK(documents.applied().find(uri) != before);
  CHECK(documents.current().find(uri)->text->str().size() == 14'500'001);
}

TEST_CASE("a change that is larger than what may be kept is applied after those before it") {
  Pair pair("one\ntwo\n");
  pair.change(edit(2, 0, 0, 3, "1"));
  pair.change(edit(3, 1, 3, 3, std::string(200'000, 'o')));
  CHECK(pair.deferred.kept_bytes(uri) == 0);
  pair.check_same();
  pair.change(edit(4, 1, 0, 3, "2"));
  pair.check_same();
}

TEST_CASE("kept changes come to what changes at once come to, bad ones too") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Pair pair("def f():\n    return 'é😀'\n");
    for (int version = 2; version < 12; ++version) {
      const int line = static_cast<int>(random() % 4);
      const int from = static_cast<int>(random() % 20);
      switch (random() % 12) {
        case 0:
          pair.change(whole(version, "x = 1\ny = 'é'\n"));
          break;
        case 1: {
          Json bad = edit(version, line, from, from, "");
          bad["contentChanges"][0]["range"] = 7;
          pair.change(bad);
          break;
        }
        case 2:
          pair.change({{"textDocument", {{"uri", uri}}}, {"contentChanges", 7}});
          break;
        case 3: {
          const Json begun{{"method", "textDocument/didChange"},
                           {"params", {{"textDocument", {{"uri", uri}}}}}};
          pair.deferred.lost(begun, "cut");
          pair.at_once.lost(begun, "cut");
          break;
        }
        case 4: {
          Json uncounted = edit(version, line, from, from + 1, "new\n");
          uncounted["textDocument"].erase("version");
          pair.change(uncounted);
          break;
        }
        default:
          pair.change(edit(version, line, from, from + static_cast<int>(random() % 3), "é\n😀"));
      }
      if (random() % 6 == 0) pair.check_same();
    }
    pair.check_same();
  }
}

TEST_CASE("a document that is closed keeps nothing, and one that is not open is refused") {
  DeferredDocuments documents(Encoding::utf16);
  const Json params = edit(2, 0, 0, 0, "x");
  CHECK_THROWS_AS(documents.change(params, body_of(params)), InvalidParams);
  documents.open(opening("x\n"));
  documents.change(params, body_of(params));
  CHECK(documents.uris() == std::vector{uri});
  documents.close({{"textDocument", {{"uri", uri}}}});
  CHECK(documents.uris().empty());
  CHECK(documents.kept_bytes(uri) == 0);
  documents.open(opening("y\n"));
  CHECK(documents.current().find(uri)->text->str() == "y\n");
}
