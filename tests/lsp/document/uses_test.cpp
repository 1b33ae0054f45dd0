// What code calls, which types it uses and what imports bind, in every language of code.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/document/syntax.hpp"
#include "tests/lsp/document/documents_for_tests.hpp"

using namespace hearth::lsp;
using namespace hearth::lsp::test;

namespace {

struct Case {
  const char* language;
  const char* code;
  const char* calls;     // "helper a.take": with what qualifies them
  const char* types;     // without
  const char* bindings;  // "x=y z=z"
};

constexpr Case cases[] = {
    {"c",
     "static user_t *go(struct cart *c, order_t o) {\n  shelf_t s;\n  helper(2);\n"
     "  return (user_t *)p->x(3);\n}\n",
     "helper p.x", "user_t cart order_t shelf_t", ""},
    {"cpp",
     "using std::vector;\nusing Map = a::HashMap<int>;\nnamespace fs = std::filesystem;\n"
     "struct X : Base { U go(const std::vector<Cart>& c) { auto b = new Shelf{3}; a.take(c); "
     "helper<int>(2); return ns::fn(1); } };\n",
     "a.take helper ns.fn", "HashMap Map Base U vector Cart Shelf",
     "vector=vector HashMap=Map filesystem=fs"},
    {"python",
     "import numpy as np\nfrom a.b import c as d, e\n\nclass X(Base, m.Meta):\n"
     "    @cached\n    def go(self, c: List[Cart]) -> Optional[U]:\n        a = Shelf(3)\n"
     "        np.zeros(2).take(c)\n        return d(f(1))\n",
     "cached Shelf take np.zeros d f", "Base m Meta List Cart Optional U", "numpy=np c=d e=e"},
    {"javascript",
     "import { x as y, z } from './store';\nimport def, * as ns from 'mod';\n"
     "const { q, r: s } = require('w');\nconst w = require('w');\n"
     "class X extends Base { go(c) { const a = new Shelf(3); a?.take(c); return U.find(3); } }\n",
     "require Shelf a.take U.find", "Base", "x=y z=z def=def ns=ns q=q r=s w=w"},
    {"typescript",
     "import { x as y, z } from './store';\nimport Short = Long.Name;\n"
     "class X extends Base<K> implements I { go(c: Cart[]): U { const a: Map<string, V> = "
     "new Shelf(3); return helper<number>(2); } }\n",
     "Shelf helper", "Base K I Cart U Map V", "x=y z=z Name=Short"},
    {"typescriptreact", "function A(p: Props) { return <B x={f(1)}><C.D/></B>; }\n", "B f C.D",
     "Props", ""},
    {"rust",
     "use a::b as c;\nuse a::b::{D, E as F};\nuse x::Y;\ntype R = Result<Foo, Bar>;\n"
     "fn go(c: &Vec<Cart>) -> Option<U> { let a = Shelf::new(3); a.take(c); "
     "helper::<i32>(2); let s = Order { x: 1 }; log!(\"x\"); x.y(3)? }\n",
     "Shelf.new a.take helper log x.y", "R Result Foo Bar Vec Cart Option U Order",
     "b=c D=D E=F Y=Y Result=R"},
    {"go",
     "package main\nimport ( \"fmt\"; f \"a/b/c\" )\ntype X struct { y Order }\n"
     "func (x *X) go2(c []Cart) (*U, error) { a := Shelf{3}; f.Help(2); "
     "return &pkg.V{}, nil }\n",
     "f.Help", "Order X Cart U error Shelf V", "fmt=fmt c=f"},
    {"java",
     "import a.b.C;\nimport static a.B.c;\nimport a.*;\n"
     "class X extends Base implements I { Order o; U go(List<Cart> c) { Shelf a = new Shelf(3); "
     "a.take(c); helper(2); return U.find(D::new); } }\n",
     "a.take helper U.find D.new", "Base I Order U List Cart Shelf", "C=C c=c"},
    {"csharp",
     "using System.IO;\nusing Json = Newtonsoft.Json.JsonConvert;\n"
     "class A : Base<Foo>, IThing { Order? Make(Cart[] cart, List<Item> items) { "
     "var a = new Shelf(3); Row b = a.Take<Sum>(cart); Log(x); return Json.Do((Kind)a); } }\n",
     "a.Take Log Json.Do", "Base Foo IThing Order Cart List Item Shelf Row Sum Kind var",
     "IO=IO JsonConvert=Json"},
    {"ruby",
     "class A < Base::B\n  def go(x)\n    Shelf.new(3)\n    x.take?(1)\n    save y\n  end\nend\n",
     "Shelf.new x.take? save", "Base B Shelf", ""},
    {"php",
     "<?php\nuse App\\Models\\User as U;\nuse App\\Order;\nuse App\\{A, B as C};\n"
     "class X extends Base implements I {\n function go(Cart $c, ?Item $i): V { "
     "$a = new Shelf(3); $a->take($c); helper(2); return U::find(3); } }\n",
     "$a.take helper U.find", "Base I Cart Item V Shelf", "User=U Order=Order A=A B=C"},
    {"kotlin",
     "import a.b.C\nimport a.b.D as E\nclass X(val y: Order) : Base(3), I { "
     "fun go(c: List<Cart>): U? { val a = Shelf(3); a.take(c); return V.find(3) } }\n",
     "Shelf a.take V.find", "Order Base I List Cart U", "C=C D=E"},
    {"swift",
     "import Foundation\nclass X: Base { func go(c: [Cart]) -> U? { let a = Shelf(3); "
     "a.take(c: c); let z: Order = V.find(3); return z } }\n",
     "Shelf a.take V.find", "Base Cart U Order", "Foundation=Foundation"},
    {"scala",
     "import a.b.C\nimport a.b.{D, E => F}\nimport a.b.G as H\nimport a.b._\n"
     "class X(y: Order) extends Base(3) with I { def go(c: List[Cart]): U = { "
     "val a = new Shelf(3); a.take(c); helper[Int](2); V.find(3) } }\n",
     "a.take helper V.find", "Order Base I List Cart U Shelf Int", "C=C D=D E=F G=H"},
    {"zig",
     "const std = @import(\"std\");\nconst Tray = @import(\"cart.zig\").Cart;\n"
     "pub fn go(self: *X, c: []const Item) !U { var a: Shelf = Shelf.init(3); helper(2); "
     "return Order{ .x = a }; }\n",
     "Shelf.init helper", "X Item U Shelf Order", "std=std Cart=Tray"},
    {"haskell",
     "module M where\nimport qualified Data.Map as M\nimport Data.List (sortBy, nub)\n\n"
     "go :: Cart -> Maybe U\ngo 1 = helper 3 (M.lookup 2 3)\n",
     "sortBy nub go helper M.lookup", "Cart Maybe U", "Map=M List=List sortBy=sortBy nub=nub"},
    {"ocaml",
     "open Shelf\nmodule H = Helper\nlet go (c : Cart.t) : user = let a = Shelf.take c 3 in "
     "helper a |> H.print\n",
     "H.print Shelf.take helper", "t user Cart", "Shelf=Shelf Helper=H"},
    {"lua",
     "local json = require(\"json\")\nfunction go(c) local s = Shelf.new(3); s:take(c); "
     "helper(2) end\n",
     "require Shelf.new s.take helper", "", "json=json"},
    {"shellscript", "source ./lib.sh\ngo() { help-me 1 2; x=$(take3 y); }\n",
     "source help-me take3", "", ""},
};

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string sorted(std::vector<std::string> words) {
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

std::string used(const std::vector<Use>& uses, UseRule::Kind kind) {
  std::vector<std::string> names;
  for (const Use& use : uses) {
    if (use.kind != kind) continue;
    const bool qualified = kind == UseRule::Kind::call && !use.qualifier.empty();
    names.push_back(qualified ? use.qualifier + "." + use.name : use.name);
  }
  return sorted(std::move(names));
}

ByteRange all_of(const Snapshot& snapshot) {
  return {{0}, {snapshot.text->str().size()}};
}

}  // namespace

TEST_CASE("calls, types and bindings are told in every language of code") {
  for (const Case& row : cases) {
    CAPTURE(row.language);
    const auto tree = tree_of(snapshot("untitled:1", row.code, row.language));
    REQUIRE(tree->parsed());
    CHECK(tree->errors() == 0);
    const auto uses = tree->uses(all_of(tree->snapshot()));
    CHECK(used(uses, UseRule::Kind::call) == sorted(words(row.calls)));
    CHECK(used(uses, UseRule::Kind::type) == sorted(words(row.types)));
    std::vector<std::string> bound;
    for (const Binding& binding : tree->bindings()) {
      bound.push_back(binding.name + "=" + binding.alias);
      CHECK(tree->snapshot().text->view(binding.import).find(binding.alias) !=
            std::string_view::npos);
    }
    CHECK(sorted(bound) == sorted(words(row.bindings)));
  }
}

TEST_CASE("every language that has functions has rules for what they call") {
  for (const Language& language : languages()) {
    CAPTURE(language.name);
    const bool code = std::ranges::any_of(language.declarations, [](const DeclarationRule& rule) {
      return rule.kind == DeclarationRule::Kind::function;
    });
    CHECK(code == !language.uses.empty());
  }
}

TEST_CASE("what only a part of the code uses is told of that part") {
  const auto document =
      snapshot("untitled:1",
               "def one():\n    return first(1)\n\ndef two():\n    return second(2)\n", "python");
  const auto tree = tree_of(document);
  const auto uses = tree->uses(range_of(*document, "def two", "(2)"));
  REQUIRE(uses.size() == 1);
  CHECK(uses[0].name == "second");
}

TEST_CASE("a call of what is only computed has no name") {
  const auto document = snapshot("untitled:1", "make(1)(2)\n(a or b)(3)\n", "python");
  CHECK(used(tree_of(document)->uses(all_of(*document)), UseRule::Kind::call) == "make ");
}

TEST_CASE("uses without end are cut") {
  std::string code;
  for (std::size_t i = 0; i < SyntaxTree::max_uses + 100; ++i) {
    code += "f" + std::to_string(i) + "(1)\n";
  }
  const auto document = snapshot("untitled:1", code, "python");
  CHECK(tree_of(document)->uses(all_of(*document)).size() == SyntaxTree::max_uses);
}

TEST_CASE("text without a tree uses nothing") {
  const auto document = snapshot("untitled:1", "call(1)\n", "plaintext");
  const auto tree = tree_of(document);
  CHECK(tree->uses(all_of(*document)).empty());
  CHECK(tree->bindings().empty());
}
