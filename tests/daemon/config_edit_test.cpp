// One value of a config.toml is changed, and nothing else.
#include "daemon/config_edit.hpp"

#include <doctest/doctest.h>

#include "daemon/platform/error.hpp"

using hearth::daemon::Error;
using hearth::daemon::set_value;

namespace {

std::string with_path(const std::string& toml, const std::string& path = "/m") {
  return set_value(toml, "model", "path", path);
}

}  // namespace

TEST_CASE("a value that is there is replaced, whatever stands around it") {
  CHECK(with_path("[model]\npath = \"/old\"  # mine\nkv = \"f16\"\n") ==
        "[model]\npath = \"/m\"  # mine\nkv = \"f16\"\n");
  CHECK(with_path("# é\n[log]\nlevel = \"info\"\n\n[ model ]\r\n  path='/é'\r\n") ==
        "# é\n[log]\nlevel = \"info\"\n\n[ model ]\r\n  path=\"/m\"\r\n");
  CHECK(with_path("model.path = '''\n/a''' # b\n") == "model.path = \"/m\" # b\n");
  CHECK(with_path("model = { note = \"é\", path = \"/old\" }\n") ==
        "model = { note = \"é\", path = \"/m\" }\n");
  CHECK(with_path("model = \"small\"  # fast\n") == "model = \"/m\"  # fast\n");
}

TEST_CASE("a value that is missing gets a line of its own") {
  CHECK(with_path("") == "[model]\npath = \"/m\"\n");
  CHECK(with_path("# only this") == "# only this\n\n[model]\npath = \"/m\"\n");
  CHECK(with_path("[log]\nlevel = \"info\"\n") ==
        "[log]\nlevel = \"info\"\n\n[model]\npath = \"/m\"\n");
  CHECK(with_path("[model]  # which\n# path = \"\"\nkv = \"f16\"\n[log]\n") ==
        "[model]  # which\npath = \"/m\"\n# path = \"\"\nkv = \"f16\"\n[log]\n");
  CHECK(with_path("[log]\r\n[model]") == "[log]\r\n[model]\r\npath = \"/m\"\r\n");
}

TEST_CASE("a value is written so that it is read as it was meant") {
  const std::string path = "/a \"b\"\\c\né";
  const std::string text = with_path("[model]\npath = \"\"\n", path);
  CHECK(with_path(text, path) == text);
  CHECK(text.find("\\\"b\\\"") != std::string::npos);
}

TEST_CASE("where there is no place for it, or no TOML, it says so") {
  CHECK_THROWS_AS(with_path("model = { kv = \"f16\" }\n"), Error);
  CHECK_THROWS_AS(with_path("model.kv = \"f16\"\n"), Error);
  CHECK_THROWS_AS(with_path("model = 1\n"), Error);
  CHECK_THROWS_WITH_AS(with_path("[model]\npath = \n"), doctest::Contains("line 2"), Error);
}
