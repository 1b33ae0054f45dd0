// `hearth doctor --fim`: where lines are taken out, what is counted, and what is said of it.
#include "daemon/commands/fim_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::daemon;
using hearth::engine::FimOrder;
using hearth::tests::contains;
using hearth::tests::Finished;
using hearth::tests::Home;
using hearth::tests::Json;

namespace {

std::string code_of(int functions) {
  std::string text = "import math\n";
  for (int i = 0; i < functions; ++i) {
    const std::string n = std::to_string(i);
    text += "\n\ndef average" + n + "(values):\n    total = 0\n    for value in values:\n" +
            "        total += value\n    # --\n    return total / len(values)\n";
  }
  return text;
}

FimCounts counted(std::size_t prefix, std::size_t suffix, std::size_t chat) {
  FimCounts counts;
  counts.places = 12;
  counts.right = {prefix, suffix, chat};
  return counts;
}

// What doctor --json says of it.
Json completion_in(const Finished& finished) {
  for (const Json& each : Json::parse(finished.out)) {
    if (each["subject"] == "completion") return each;
  }
  FAIL("nothing is said of completions");
  return {};
}

}  // namespace

TEST_CASE("lines are taken out of all the files, at their beginnings and in their middles") {
  const std::vector<std::string> texts{code_of(10), code_of(10)};
  const auto places = fim_places(texts, 12);
  REQUIRE(places.size() == 12);
  std::size_t begins = 0;
  for (const FimPlace& place : places) {
    const std::string whole = place.prefix + place.missing + place.suffix;
    CHECK(contains(texts[0], whole));
    CHECK_FALSE(place.missing.empty());
    CHECK(place.missing.find('\n') == std::string::npos);
    CHECK(place.missing.back() != ' ');
    CHECK((place.suffix.empty() || place.suffix.front() == '\n'));
    const std::string line = place.prefix.substr(place.prefix.rfind('\n') + 1);
    begins += line.find_first_not_of(' ') == std::string::npos ? 1 : 0;
  }
  CHECK(begins == 6);
  const auto again = fim_places(texts, 12);
  CHECK(std::ranges::equal(places, again, {}, &FimPlace::prefix, &FimPlace::prefix));

  CHECK(fim_places({"", "\n\n", "import math", "x\n    }\n  });\n# ------------\n"}, 12).empty());
  CHECK(fim_places({code_of(1)}, 12).size() == 5);
  // What is enormous is cut at lines, and characters stay whole.
  std::string large;
  for (int i = 0; i < 1000; ++i) large += "wörter = [ä, ö, ü, é, è]\n";
  for (const FimPlace& place : fim_places({large}, 12)) {
    CHECK(place.prefix.size() <= 2'000);
    CHECK(place.suffix.size() <= 500);
    CHECK((place.prefix.empty() || place.prefix.starts_with("wörter")));
    CHECK((static_cast<unsigned char>(place.missing.front()) & 0xC0) != 0x80);
  }
}

TEST_CASE("another way is better where it is right in two more places") {
  CHECK(counted(6, 7, 2).best(FimOrder::prefix_first) == FimOrder::prefix_first);
  CHECK(counted(6, 8, 2).best(FimOrder::prefix_first) == FimOrder::suffix_first);
  CHECK(counted(0, 0, 5).best(FimOrder::suffix_first) == FimOrder::chat);
  CHECK(counted(3, 5, 9).best(FimOrder::prefix_first) == FimOrder::chat);
  CHECK(counted(5, 5, 9).best(FimOrder::chat) == FimOrder::chat);
  CHECK(counted(0, 0, 0).best(FimOrder::suffix_first) == FimOrder::suffix_first);
  CHECK(counted(7, 9, 4).show() ==
        "7 of 12 lines right prefix first, 9 suffix first, 4 as a chat turn");
  FimCounts chat_alone;
  chat_alone.places = 3;
  chat_alone.right[2] = 1;
  CHECK(chat_alone.show() == "1 of 3 lines right as a chat turn");
}

TEST_CASE("doctor tries a checkpoint's completions on the files that it is given") {
  const Home home;
  const hearth::tests::TemporaryDirectory directory;
  const std::string file = (directory.path() / "stats.py").string();
  write_file(file, code_of(3));
  const Finished seen = home.hearth("doctor --json --fim '" + file + "'");
  CAPTURE(seen.out);
  CAPTURE(seen.err);
  const Json finding = completion_in(seen);
  const auto text = finding["seen"].get<std::string>();
  for (const char* part : {" of 12 lines right prefix first", " suffix first", " as a chat turn",
                           "suffix_first is used"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
  CHECK(finding["level"] == "ok");
  CHECK(seen.code == 0);

  // The same with another order in its hearth.json: what suits it is said.
  const std::filesystem::path ember = HEARTH_SOURCE_DIR "/engine/ember";
  for (const auto& each : std::filesystem::directory_iterator(ember)) {
    if (each.path().filename() == "hearth.json") continue;
    std::filesystem::create_symlink(each.path(), directory.path() / each.path().filename());
  }
  Json profile = Json::parse(read_file(ember / "hearth.json", 1 << 20));
  profile["fim_order"] = "chat";
  write_file(directory.path() / "hearth.json", profile.dump());
  const Json other = completion_in(home.hearth(
      "doctor --json --model '" + directory.path().string() + "' --fim '" + file + "'"));
  CHECK(other["level"] == "warning");
  CHECK(contains(other["seen"].get<std::string>(), "chat is used"));
  CHECK(contains(other["advice"].get<std::string>(), "Put \"fim_order\": \"suffix_first\" into "));

  write_file(file, "x = 1\n");
  const Finished nothing = home.hearth("doctor --json --fim '" + file + "'");
  CHECK(nothing.code == 1);
  CHECK(contains(nothing.out, "there is no line to ask for"));
  CHECK(home.hearth("doctor --fim /nowhere/at/all.py").code == 2);
  CHECK_FALSE(contains(home.hearth("doctor --json").out, "\"completion\""));
}
