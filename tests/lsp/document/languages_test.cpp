// Structure of documents in every language of the table: what encloses a place, the outline, the
// imports, comments that lead to what they are about.
#include "lsp/document/languages.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/document/syntax.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

TEST_CASE("every language of the table parses with its grammar and is found by id and by name") {
  for (const Language& language : languages()) {
    CAPTURE(language.name);
    for (const std::string_view id : language.ids) {
      CHECK(find_language(id, "untitled:1") == &language);
    }
    for (const std::string_view extension : language.extensions) {
      CHECK(find_language("", "file:///a/b" + std::string(extension)) == &language);
    }
    const auto tree = tree_of(snapshot("untitled:1", "x\n", std::string(language.ids.front())));
    CHECK(tree->language() == &language);
    CHECK(tree->parsed());
  }
  CHECK(find_language("perl", "file:///a.pl") == nullptr);
  CHECK(find_language("", "git:/p/a.py?{\"ref\":\"~\"}") == find_language("python", ""));
  CHECK(find_language("python", "file:///a.js")->name == "python");
}

TEST_CASE("Python") {
  const auto tree = tree_of(fixture("stats.py"));
  CHECK(outline_of(*tree) == "average()\nHistogram\n  __init__()\n  peak()\nmain()\n");
  CHECK(imports_of(*tree) == "import math\nfrom typing import (\n    Iterable,\n)\n");
  CHECK(around(*tree, "total += value") == "average");
  CHECK(around(*tree, "@functools") == "average");
  CHECK(around(*tree, "Counts by bucket") == "Histogram");
  CHECK(around(*tree, "return bucket[1]") == "by_count");
  CHECK(around(*tree, "SCALE = 10") == "nothing");
  CHECK(code_around(*tree, "print(SCALE)") == "async def main() -> None:\n    print(SCALE)");
}

TEST_CASE("C") {
  const auto tree = tree_of(fixture("stack.c"));
  CHECK(outline_of(*tree) == "stack\npoint\ncolor\nfind()\nmain()\n");
  CHECK(imports_of(*tree) == "#include <stdlib.h>\n#include \"stack.h\"\n");
  CHECK(around(*tree, "return NULL") == "find");
  CHECK(around(*tree, "int items[LIMIT]") == "stack");
  CHECK(code_around(*tree, "int x, y") == "typedef struct {\n  int x, y;\n} point;");
}

TEST_CASE("C++") {
  const auto tree = tree_of(fixture("shapes.cpp"));
  CHECK(outline_of(*tree) ==
        "Shape\n  Shape()\n  area()\n  scale()\nShape::scale()\nsum()\nColor\nmain()\n");
  CHECK(imports_of(*tree) == "#include <vector>\nusing std::vector;\n");
  CHECK(around(*tree, "size_ * size_") == "area");
  CHECK(around(*tree, "double size_ = 0") == "Shape");
  CHECK(around(*tree, "size_ *= factor") == "Shape::scale");
  CHECK(around(*tree, "return 2 * x") == "main");
  CHECK(code_around(*tree, "T total{}").starts_with("template <typename T>\nT sum("));
  CHECK(code_around(*tree, "double size_ = 0").ends_with("};"));
}

TEST_CASE("JavaScript") {
  const auto tree = tree_of(fixture("cart.js"));
  CHECK(outline_of(*tree) ==
        "Cart\n  constructor()\n  total()\ndiscount()\npages()\nmodule.exports.save()\n");
  CHECK(imports_of(*tree) == "import { tax } from \"./tax.js\";\nconst fs = require(\"fs\");\n");
  CHECK(around(*tree, "item.price") == "total");
  CHECK(around(*tree, "yield i") == "pages");
  CHECK(around(*tree, "writeFileSync") == "module.exports.save");
  CHECK(around(*tree, "adds") == "nothing");
  CHECK(code_around(*tree, "price * (1") ==
        "export const discount = (price, rate) => {\n  return price * (1 - rate);\n};");
}

TEST_CASE("TypeScript") {
  const auto tree = tree_of(fixture("store.ts"));
  CHECK(outline_of(*tree) ==
        "Store\n  get()\n  set()\nKey\nLevel\nMemory\n  get()\n  flush()\nopen()\ntwice()\n");
  CHECK(imports_of(*tree) ==
        "import type { Item } from \"./item\";\nimport fs = require(\"fs\");\n");
  CHECK(around(*tree, "this.items.get") == "get");
  CHECK(around(*tree, "new Map") == "Memory");
  CHECK(around(*tree, "throw new") == "open");
}

TEST_CASE("TSX") {
  const auto tree = tree_of(fixture("Button.tsx"));
  CHECK(outline_of(*tree) == "Props\nButton()\n");
  CHECK(imports_of(*tree) == "import React from \"react\";\n");
  CHECK(around(*tree, "console.log") == "onClick");
  CHECK(around(*tree, "<button") == "Button");
}

TEST_CASE("Rust") {
  const auto tree = tree_of(fixture("ring.rs"));
  CHECK(outline_of(*tree) ==
        "Ring\nRing<T>\n  new()\n  next()\nShape\n  area()\nColor\nsquare()\nrotates()\n");
  CHECK(imports_of(*tree) ==
        "use std::fmt;\nuse std::collections::{\n    HashMap,\n    VecDeque,\n};\n");
  CHECK(around(*tree, "self.items.pop") == "next");
  CHECK(around(*tree, "#[inline]") == "next");
  CHECK(around(*tree, "/// A ring.") == "Ring");
  CHECK(code_around(*tree, "items: Vec<T>,").starts_with("#[derive(Debug, Clone)]\npub struct"));
}

TEST_CASE("Go") {
  const auto tree = tree_of(fixture("server.go"));
  CHECK(outline_of(*tree) == "Server\nHandler\nNew()\nRun()\n");
  CHECK(imports_of(*tree) == "import (\n\t\"fmt\"\n\t\"net/http\"\n)\n");
  CHECK(around(*tree, "hello") == "Run");
  CHECK(code_around(*tree, "port int\n}") == "type Server struct {\n\tport int\n}");
}

TEST_CASE("Java") {
  const auto tree = tree_of(fixture("Account.java"));
  CHECK(outline_of(*tree) == "Account\n  Account()\n  compareTo()\n  Listener\nKind\nEntry\n");
  CHECK(imports_of(*tree) == "import java.util.List;\nimport static java.lang.Math.max;\n");
  CHECK(around(*tree, "Long.compare") == "compareTo");
  CHECK(around(*tree, "private long") == "Account");
  CHECK(around(*tree, "/** Money. */") == "Account");
}

TEST_CASE("Lua") {
  const auto tree = tree_of(fixture("list.lua"));
  CHECK(outline_of(*tree) == "List.new()\nList:push()\nswap()\nList.map()\n");
  CHECK(imports_of(*tree) == "local json = require(\"json\")\nrequire \"util\"\n");
  CHECK(around(*tree, "self[#self") == "List:push");
  CHECK(around(*tree, "result:push") == "List.map");
  CHECK(code_around(*tree, "return b, a") == "local function swap(a, b)\n  return b, a\nend");
}

TEST_CASE("Bash") {
  const auto tree = tree_of(fixture("deploy.sh"));
  CHECK(outline_of(*tree) == "log()\nupload()\n");
  CHECK(imports_of(*tree) == "source lib/common.sh\n. ./env.sh\n");
  CHECK(around(*tree, "scp") == "upload");
  CHECK(around(*tree, "set -e") == "nothing");
}

TEST_CASE("JSON") {
  const auto tree = tree_of(fixture("settings.json"));
  CHECK(outline_of(*tree) == "name\nwindow\n  width\n  theme\nkeys\n");
  CHECK(imports_of(*tree) == "");
  CHECK(around(*tree, "true") == "dark");
  CHECK(around(*tree, "\"b\"") == "keys");
}

TEST_CASE("Markdown") {
  const auto tree = tree_of(fixture("guide.md"));
  CHECK(outline_of(*tree) == "Guide\n  Install\n  Use\n");
  CHECK(imports_of(*tree) == "");
  CHECK(around(*tree, "Run this") == "Install");
  CHECK(around(*tree, "Take the source") == "From source");
  CHECK(code_around(*tree, "Type.") == "## Use\n\nType.");
}

TEST_CASE("C#") {
  const auto tree = tree_of(fixture("Shelf.cs"));
  CHECK(outline_of(*tree) ==
        "Shelf\n  Shelf()\n  Count()\n  Label()\n  First()\n  +()\nIShelf\n  Count()\n  Clear()\n"
        "Order\nLoan\nSlot\n");
  CHECK(imports_of(*tree) ==
        "using System;\nusing System.Collections.Generic;\nusing static System.Math;\n");
  CHECK(around(*tree, "b.CompareTo(a)") == "Smaller");
  CHECK(around(*tree, "T? best") == "First");
  CHECK(around(*tree, "NotSupportedException") == "Label");
  CHECK(around(*tree, "private readonly") == "Shelf");
  CHECK(around(*tree, "<summary>") == "Shelf");
  CHECK(around(*tree, "sorts first") == "First");
  CHECK(code_around(*tree, "Title, Author") == "public enum Order { Title, Author }");
}

TEST_CASE("Ruby") {
  const auto tree = tree_of(fixture("queue.rb"));
  CHECK(outline_of(*tree) ==
        "Queue\n  initialize()\n  each()\n  push()\n  restore()\n  late?()\nmain()\n");
  CHECK(imports_of(*tree) == "require \"set\"\nrequire_relative \"clock\"\n");
  CHECK(around(*tree, "raise ArgumentError") == "push");
  CHECK(around(*tree, "restored from") == "restore");
  CHECK(around(*tree, "order of their") == "each");
  CHECK(around(*tree, "attr_reader") == "Queue");
  CHECK(around(*tree, "main(ARGV)") == "nothing");
  CHECK(code_around(*tree, "since > 60") == "def late?(since) = @clock.now - since > 60");
}

TEST_CASE("PHP") {
  const auto tree = tree_of(fixture("Router.php"));
  CHECK(outline_of(*tree) ==
        "Router\n  __construct()\n  match()\n  help()\nMatcher\n  match()\nLogs\n  log()\nMethod\n"
        "slug()\n");
  CHECK(imports_of(*tree) ==
        "use App\\Model\\{User, Page};\nuse function strlen;\n"
        "require_once __DIR__ . '/helpers.php';\n");
  CHECK(around(*tree, "preg_match") == "match");
  CHECK(around(*tree, "lists pages") == "help");
  CHECK(around(*tree, "matches wins") == "match");
  CHECK(around(*tree, "who answers") == "Router");
  CHECK(around(*tree, "#[Service]") == "Router");
  CHECK(around(*tree, "About us") == "nothing");
}

TEST_CASE("Kotlin") {
  const auto tree = tree_of(fixture("Cache.kt"));
  CHECK(outline_of(*tree) ==
        "Cache\n  constructor()\n  size()\n  get()\n  iterator()\n  companion\nClock\n  now()\n"
        "Policy\nHit\nStatistics\nshout()\nmain()\n");
  CHECK(imports_of(*tree) == "import java.time.Duration\nimport kotlin.math.max as larger\n");
  CHECK(around(*tree, "entries.remove") == "trim");
  CHECK(around(*tree, "getOrPut") == "get");
  CHECK(around(*tree, "what is missing") == "get");
  CHECK(around(*tree, "= entries.size\n") == "size");
  CHECK(around(*tree, "larger(1") == "ofStrings");
  CHECK(around(*tree, "computed once") == "Cache");
  CHECK(code_around(*tree, "uppercase") == "fun String.shout(): String = uppercase() + \"!\"");
}

TEST_CASE("Swift") {
  const auto tree = tree_of(fixture("Playlist.swift"));
  CHECK(outline_of(*tree) ==
        "Playlist\n  init()\n  deinit()\n  length()\n  raise()\n  subscript()\nSong\nProblem\n"
        "Player\n  play()\nPlaylist\n  description()\n  shuffle()\nload()\n");
  CHECK(imports_of(*tree) == "import Foundation\nimport class UIKit.UIImage\n");
  CHECK(around(*tree, "swapAt") == "raise");
  CHECK(around(*tree, "towards the beginning") == "raise");
  CHECK(around(*tree, "removeAll") == "deinit");
  CHECK(around(*tree, "songs.reduce") == "length");
  CHECK(around(*tree, "return songs[index]\n") == "subscript");
  CHECK(around(*tree, "Songs in order") == "Playlist");
  CHECK(around(*tree, "try! String") == "load");
  CHECK(code_around(*tree, "let title: String\n") ==
        "struct Song {\n    let title: String\n    let length: TimeInterval\n}");
}

TEST_CASE("Scala") {
  const auto tree = tree_of(fixture("Matrix.scala"));
  CHECK(outline_of(*tree) ==
        "Matrix\n  this()\n  sum()\n  size()\nShape\n  size()\nMatrix\n  identity()\n  "
        "main()\nEntry\n"
        "Axis\nRow\ntrace()\n");
  CHECK(imports_of(*tree) ==
        "import scala.collection.mutable\nimport java.util.{List => JList, Map}\n");
  CHECK(around(*tree, "a + b") == "add");
  CHECK(around(*tree, "cache.getOrElseUpdate") == "sum");
  CHECK(around(*tree, "sum of a row") == "sum");
  CHECK(around(*tree, "Rows of numbers") == "Matrix");
  CHECK(around(*tree, "Vector.tabulate") == "identity");
  CHECK(around(*tree, "val Empty") == "Matrix");
  CHECK(code_around(*tree, "Rows, Columns") == "enum Axis {\n  case Rows, Columns\n}");
}

TEST_CASE("Zig") {
  const auto tree = tree_of(fixture("arena.zig"));
  CHECK(outline_of(*tree) ==
        "Arena\n  init()\n  alloc()\nKind\nValue\n  isText()\nFailure\nkindOf()\nmain()\n"
        "an empty block is refused()\n");
  CHECK(imports_of(*tree) ==
        "const std = @import(\"std\");\npub const config = @import(\"config.zig\");\n");
  CHECK(around(*tree, "self.blocks += 1") == "alloc");
  CHECK(around(*tree, "never moved") == "alloc");
  CHECK(around(*tree, "given back") == "Arena");
  CHECK(around(*tree, "blocks: usize") == "Arena");
  CHECK(around(*tree, "expectError") == "an empty block is refused");
  CHECK(around(*tree, "var count") == "nothing");
  CHECK(code_around(*tree, "error{") == "const Failure = error{ Empty, Full };");
}

TEST_CASE("Haskell") {
  const auto tree = tree_of(fixture("Parser.hs"));
  CHECK(outline_of(*tree) ==
        "Parser\nToken\nNames\nPrintable\n  display()\nFunctor\n  "
        "fmap()\nnumber()\nnameOf()\nnameOf()\n"
        "limit()\nmain()\n");
  CHECK(imports_of(*tree) == "import Data.Char (isDigit)\nimport qualified Data.Map as Map\n");
  CHECK(around(*tree, "null digits") == "number");
  CHECK(around(*tree, "at least one") == "number");
  CHECK(around(*tree, "replicate (3") == "pad");
  CHECK(around(*tree, "that a token has") == "nameOf");
  CHECK(around(*tree, "let names") == "main");
  CHECK(around(*tree, "(value, rest)") == "fmap");
  CHECK(around(*tree, "Word String") == "Token");
  CHECK(code_around(*tree, "IO ()") ==
        "main :: IO ()\nmain = do\n  let names = Map.fromList [(\"one\", Number 1)]\n"
        "  mapM_ (putStrLn . nameOf) (Map.elems names)");
}

TEST_CASE("OCaml") {
  const auto tree = tree_of(fixture("tree.ml"));
  CHECK(outline_of(*tree) ==
        "tree\nEmpty\nOrdered\n  t\n  compare()\nMake\n  key\n  mem()\n  add()\ncounter\n  next()\n"
        "depth()\nsize()\n");
  CHECK(imports_of(*tree) == "open Printf\nopen! Base.List\ninclude Stdlib.Option\n");
  CHECK(around(*tree, "let order") == "mem");
  CHECK(around(*tree, "if a > b") == "larger");
  CHECK(around(*tree, "1 + larger") == "depth");
  CHECK(around(*tree, "size left +") == "size");
  CHECK(around(*tree, "is not added") == "add");
  CHECK(around(*tree, "Sorted trees") == "tree");
  CHECK(around(*tree, "let limit") == "nothing");
  CHECK(code_around(*tree, "of string") == "exception Empty of string");
}

TEST_CASE("YAML") {
  const auto tree = tree_of(fixture("compose.yaml"));
  CHECK(outline_of(*tree) ==
        "version\nservices\n  web\n  database\nvolumes\n  orders\nquoted key\nsecond\n");
  CHECK(imports_of(*tree) == "");
  CHECK(around(*tree, "8443:443") == "ports");
  CHECK(around(*tree, "to the shop") == "GREETING");
  CHECK(around(*tree, "/var/lib") == "path");
  CHECK(code_around(*tree, "database]") == "depends_on: [database]");
}

TEST_CASE("TOML") {
  const auto tree = tree_of(fixture("service.toml"));
  CHECK(outline_of(*tree) ==
        "title\nversion\nserver\n  host\n  port\n  timeout\n  tls\nserver.limits\n  requests\n  "
        "names\n"
        "mirror\n  url\n  weight\nmirror\n  url\n  weight\nquoted table\n  greeting\n  started\n");
  CHECK(imports_of(*tree) == "");
  CHECK(around(*tree, "\"large\"") == "names");
  CHECK(around(*tree, "server.pem") == "certificate");
  CHECK(around(*tree, "to the shop") == "greeting");
  CHECK(around(*tree, "take longer") == "timeout");
  CHECK(code_around(*tree, "[server]").starts_with("[server]\nhost = "));
  CHECK(code_around(*tree, "[server]").ends_with("verify = true }"));
}

TEST_CASE("HTML") {
  const auto tree = tree_of(fixture("page.html"));
  CHECK(outline_of(*tree) == "html\n  head\n  body\n");
  CHECK(imports_of(*tree) == "");
  CHECK(around(*tree, "Coffee") == "li");
  CHECK(around(*tree, "count=") == "shop-basket");
  CHECK(around(*tree, "can be bought") == "main");
  CHECK(around(*tree, "items.length") == "script");
  CHECK(around(*tree, "margin: 0") == "style");
  CHECK(code_around(*tree, "<footer>") ==
        "<footer>\n      <p>Open from nine to six.</p>\n    </footer>");
}

TEST_CASE("CSS") {
  const auto tree = tree_of(fixture("site.css"));
  CHECK(outline_of(*tree) ==
        ":root\nheader > h1, header .title\na:hover::after\nheader\n.offers li\nblink\n@font-face\n"
        "main\n");
  CHECK(imports_of(*tree) == "@import url(\"base.css\");\n");
  CHECK(around(*tree, "margin: 0 auto") == "header > h1, header .title");
  CHECK(around(*tree, "above the offers") == "header > h1, header .title");
  CHECK(around(*tree, "padding") == ".offers li");
  CHECK(around(*tree, "opacity: 1") == "blink");
  CHECK(code_around(*tree, "#0a7") == ":root {\n  --accent: #0a7;\n}");
}

TEST_CASE("behind a comment that was closed is not in it, whatever closes it") {
  const std::vector<std::pair<std::string, std::string>> comments = {
      {"ocaml", "(* a *)"}, {"haskell", "{- a -}"}, {"css", "/* a */"}, {"html", "<!-- a -->"}};
  for (const auto& [language, comment] : comments) {
    CAPTURE(language);
    const auto tree = tree_of(snapshot("untitled:1", comment + "\n", language));
    CHECK(tree->in_comment({5}));
    CHECK_FALSE(tree->in_comment({comment.size()}));
  }
}
