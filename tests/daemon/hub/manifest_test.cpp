// Lists of files, digests and ranges: what a server says, and what of it is taken.
#include "daemon/hub/manifest.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "daemon/hub/digest.hpp"
#include "daemon/hub/ranges.hpp"
#include "daemon/platform/error.hpp"

using namespace hearth::hub;
using hearth::daemon::Error;
using nlohmann::json;

namespace {

const std::string git_id(40, 'a');
const std::string sha256(64, 'b');

json small(const std::string& name) {
  return {{"rfilename", name}, {"size", 10U}, {"blobId", git_id}};
}

json large(const std::string& name, std::uint64_t size = 1000) {
  return {{"rfilename", name},
          {"size", 130U},
          {"blobId", git_id},
          {"lfs", {{"sha256", sha256}, {"size", size}}}};
}

std::string why(const json& list) {
  try {
    read_files(list, "hub");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string index_of(const std::vector<std::string>& shards, std::uint64_t total) {
  json map = json::object();
  for (const std::string& shard : shards) map["tensor of " + shard] = shard;
  return json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump();
}

}  // namespace

TEST_CASE("digests are those that git and sha256sum compute") {
  Digest git = Digest::git_blob(6);
  git.add("hel");
  git.add("lo\n");
  CHECK(git.hex() == "ce013625030ba8dba906f756967f9e9ca394464a");
  Digest sha = Digest::sha256();
  sha.add("hello\n");
  CHECK(sha.hex() == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  CHECK_FALSE(is_hex(std::string(40, 'A'), 40));
}

TEST_CASE("of a repository's files only those are taken that a checkpoint needs, by plain names") {
  const json list{small("config.json"),        small("README.md"),         small("model.py"),
                  small("pytorch_model.bin"),  small("../config.json"),    small("/etc/vocab.json"),
                  small("onnx/config.json"),   small(".config.json"),      small("notes.txt"),
                  small("tokenizer\n.json"),   large("model.safetensors"), small("merges.txt"),
                  small("chat_template.jinja")};
  std::vector<std::string> names;
  for (const RemoteFile& file : read_files(list, "hub")) names.push_back(file.name);
  CHECK(names == std::vector<std::string>{"config.json", "model.safetensors", "merges.txt",
                                          "chat_template.jinja"});
  CHECK(read_files(list, "hub")[1] == RemoteFile{"model.safetensors", 1000, sha256, ""});
  CHECK(read_files(list, "hub")[0] == RemoteFile{"config.json", 10, "", git_id});
}

TEST_CASE("a file without a size or a digest is refused by its name") {
  json file = small("config.json");
  file.erase("size");
  CHECK(why(json::array({file})) == "hub: the file config.json has no size, or one that cannot be");
  file["size"] = -1;
  CHECK(why(json::array({file})).find("config.json") != std::string::npos);
  file["size"] = std::uint64_t{1} << 60;
  CHECK(why(json::array({file})).find("config.json") != std::string::npos);
  file = small("config.json");
  file["blobId"] = "short";
  CHECK(why(json::array({file})) == "hub: the file config.json has no digest to verify it by");
  file = large("model.safetensors");
  file["lfs"]["sha256"] = git_id;
  CHECK(why(json::array({file})) ==
        "hub: the file model.safetensors has no SHA-256 to verify it by");
  file = small("config.json");
  file["size"] = std::uint64_t{1} << 30;
  CHECK(why(json::array({file})).find("more than such a file can have") != std::string::npos);
  CHECK(why(json::array({small("config.json"), small("config.json")})).find("twice") !=
        std::string::npos);
  CHECK_FALSE(why(json::object()).empty());
  CHECK_FALSE(why(json::array({1})).empty());
}

TEST_CASE("the index names the shards, which are all there and large enough") {
  const std::vector<RemoteFile> files =
      read_files({small("config.json"), large("a.safetensors"), large("b.safetensors"),
                  large("consolidated.safetensors")},
                 "hub");
  const auto needed = [&](const std::string& index) {
    std::string names;
    for (const RemoteFile& file : needed_files(files, index, "hub")) names += file.name + " ";
    return names;
  };
  CHECK(needed(index_of({"a.safetensors", "b.safetensors"}, 1900)) ==
        "config.json a.safetensors b.safetensors ");
  CHECK_THROWS_WITH_AS(needed(index_of({"a.safetensors", "c.safetensors"}, 1900)),
                       "hub has no c.safetensors, which model.safetensors.index.json asks for",
                       Error);
  CHECK_NOTHROW(needed(index_of({"a.safetensors"}, 1000)));
  CHECK_THROWS_WITH_AS(needed(index_of({"a.safetensors"}, 2'000'000'000)),
                       "hub: model.safetensors.index.json speaks of 2.0 GB of weights, and its "
                       "shards have 1.0 KB",
                       Error);
  for (const char* name : {"../a.safetensors", "/a.safetensors", "a.bin", "", ".a.safetensors"})
    CHECK_THROWS_AS(needed(index_of({name}, 1)), Error);
  for (const char* index : {"[]", "{", "{\"weight_map\":{}}", "{\"weight_map\":{\"a\":1}}"})
    CHECK_THROWS_AS(needed(index), Error);
  CHECK_THROWS_AS(needed(""), Error);  // no model.safetensors either
}

TEST_CASE("a manifest is read as it was written, and refused where it was changed") {
  const Manifest manifest{"https://hub.example",
                          "owner/name",
                          "main",
                          git_id,
                          {{"config.json", 10, "", git_id}, {"a.safetensors", 9, sha256, ""}}};
  const Manifest read = parse_manifest(to_text(manifest), "file");
  CHECK(read.files == manifest.files);
  CHECK(read.commit == git_id);
  CHECK(read.bytes() == 19);
  json changed = json::parse(to_text(manifest));
  changed["files"][0]["name"] = "../config.json";
  CHECK_THROWS_AS(parse_manifest(changed.dump(), "file"), Error);
  CHECK_THROWS_AS(parse_manifest("{}", "file"), Error);
  CHECK_THROWS_AS(parse_manifest("", "file"), Error);
  for (const char* id : {"name", "a/b/c", "../b", "a/..", "a/b c", "/b", "a/", "-a/b"})
    CHECK_FALSE(is_repository_id(id));
}

TEST_CASE("ranges join, and what is missing between them is cut into pieces") {
  Ranges ranges;
  ranges.add({10, 20});
  ranges.add({30, 40});
  ranges.add({5, 5});
  CHECK(ranges.all() == std::vector<Range>{{10, 20}, {30, 40}});
  CHECK(ranges.missing(45, 8) == std::vector<Range>{{0, 8}, {8, 10}, {20, 28}, {28, 30}, {40, 45}});
  ranges.add({20, 30});
  CHECK(ranges.all() == std::vector<Range>{{10, 40}});
  ranges.add({0, 100});
  CHECK(ranges.missing(100, 8).empty());

  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<bool> there(64, false);
    Ranges some;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t begin = random() % 64;
      const std::uint64_t end = begin + random() % (65 - begin);
      some.add({begin, end});
      std::fill(there.begin() + static_cast<long>(begin), there.begin() + static_cast<long>(end),
                true);
    }
    CHECK(some.bytes() == static_cast<std::uint64_t>(std::ranges::count(there, true)));
    for (const Range& range : some.missing(64, 5)) {
      CHECK(range.end - range.begin <= 5);
      for (std::uint64_t at = range.begin; at < range.end; ++at) {
        CHECK_FALSE(there[at]);
        there[at] = true;
      }
    }
    CHECK(std::ranges::count(there, true) == 64);
  }
}
