// A checkpoint is downloaded from a server that does all that goes wrong on the way.
#include "daemon/hub/pull.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "daemon/hub/partial.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "tests/daemon/home.hpp"
#include "tests/daemon/hub/hub_server.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth::hub;
using hearth::daemon::Error;
using hearth::daemon::read_file;
using hearth::tests::contains;
using hearth::tests::first_commit;
using hearth::tests::HubFaults;
using hearth::tests::HubServer;
using hearth::tests::make_certificate;
using hearth::tests::second_commit;
using hearth::tests::TemporaryDirectory;
using hearth::tests::WebConnection;
using hearth::tests::WebRequest;
using hearth::tests::WebServer;

namespace fs = std::filesystem;

namespace {

const fs::path source = HEARTH_SOURCE_DIR "/tests/golden/fp8";
constexpr std::uint64_t weights = 2599032 + 2593136;

// What a whole checkpoint has beside the golden one's files, and what nobody wants.
HubFaults with_more(HubFaults faults = {}) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    faults.more[name] = read_file(HEARTH_SOURCE_DIR "/engine/ember/" + std::string(name), 1 << 20);
  faults.more["modeling.py"] = "import os";
  faults.more["pytorch_model.bin"] = "pickle";
  return faults;
}

// Pulls tests/ember of one server into one folder, quickly.
class Puller {
 public:
  explicit Puller(const std::string& origin, const std::string& token = "")
      : wanted_(parse_wanted(HubServer::id, "", {hearth::http::parse_url(origin), token})) {
    options_.download.first_pause = options_.download.longest_pause = std::chrono::milliseconds(1);
    options_.download.range_bytes = 1 << 20;
    options_.download.record_interval = std::chrono::milliseconds(20);
  }
  PullOptions& options() { return options_; }
  fs::path folder() const { return directory_.path() / "models/ember"; }
  fs::path partial() const { return folder().string() + partial_suffix; }

  Pulled pull() {
    PullEvents events;
    events.begins = [&](const Manifest& manifest, std::uint64_t bytes) {
      here_ = bytes;
      text_bytes_ = manifest.bytes() - weights;
    };
    events.progress = [&](const DownloadProgress& progress) {
      if (stop_after_ != 0 && progress.bytes_done >= stop_after_) stop_ = true;
    };
    stop_ = false;
    return hearth::hub::pull(Repository(wanted_), folder(), options_, events, stop_);
  }
  // Why it failed; empty where it did not.
  std::string why() {
    try {
      pull();
    } catch (const Error& error) {
      return error.what();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }
  void stop_after(std::uint64_t bytes) { stop_after_ = bytes; }
  std::uint64_t here() const { return here_; }  // of the weights, when their download began
  std::uint64_t text_bytes() const { return text_bytes_; }

  bool is_whole() const {
    for (const char* name : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                             "config.json", "model.safetensors.index.json"}) {
      if (!fs::exists(folder() / name) ||
          read_file(folder() / name, 1 << 24) != read_file(source / name, 1 << 24))
        return false;
    }
    return true;
  }

 private:
  TemporaryDirectory directory_;
  Wanted wanted_;
  PullOptions options_;
  std::atomic<bool> stop_ = false;
  std::uint64_t stop_after_ = 0;
  std::uint64_t here_ = 0;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace

TEST_CASE("a checkpoint comes whole, without what is not needed, and once") {
  HubFaults faults = with_more();
  SUBCASE("from a list with sizes") {}
  SUBCASE("from a tree, page by page") {
    faults.lists_blobs = false;
  }
  HubServer server(source, faults);
  Puller puller(server.origin());
  CHECK(puller.pull() == Pulled::done);
  CHECK(puller.is_whole());
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(puller.folder()))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  CHECK(names == std::vector<std::string>{
                     ".hearth-pull.json", "config.json", "model-00001-of-00002.safetensors",
                     "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                     "tokenizer.json", "tokenizer_config.json"});
  CHECK_FALSE(fs::exists(puller.partial()));
  CHECK(read_manifest(puller.folder())->commit == first_commit);
  const std::size_t asked = server.requests().size();
  CHECK(puller.pull() == Pulled::was_there);
  CHECK(server.requests().size() == asked);
}

TEST_CASE("connections that are cut and servers that are busy are asked again, for what is left") {
  HubFaults faults = with_more();
  SUBCASE("cut after a part") {
    faults.cut_after = 100'000;
  }
  SUBCASE("429") {
    faults.busy = 5;
  }
  SUBCASE("503") {
    faults.failing = 2;
  }
  HubServer server(source, faults);
  Puller puller(server.origin());
  CHECK(puller.pull() == Pulled::done);
  CHECK(puller.is_whole());
  CHECK(server.sent() < weights + 400'000);  // the texts, and no byte of the weights twice
}

TEST_CASE("a server that stays busy, or sends nothing right, is given up, and what came is kept") {
  HubFaults faults = with_more();
  std::string said;
  SUBCASE("503 for ever") {
    faults.status = 503;
    said = "is busy (503)";
  }
  SUBCASE("another part of a file than was asked for") {
    faults.shifts_ranges = true;
    said = "sends another part than was asked for";
  }
  SUBCASE("no parts of files") {
    faults.ignores_ranges = true;
    said = "sends no parts of files";
  }
  SUBCASE("a file that is not there") {
    faults.missing = "model-00002-of-00002.safetensors";
    said = " has no tests/ember/model-00002-of-00002.safetensors (404)";
  }
  HubServer server(source, faults);
  Puller puller(server.origin());
  CHECK(contains(puller.why(), said));
  CHECK_FALSE(fs::exists(puller.folder()));
  server.change([](HubFaults& right) { right = with_more(); });
  CHECK(puller.pull() == Pulled::done);
  CHECK(puller.is_whole());
}

TEST_CASE("a damaged file is fetched again once, and never taken") {
  HubFaults faults = with_more();
  faults.corrupt = 1;
  HubServer server(source, faults);
  Puller puller(server.origin());
  SUBCASE("once") {
    CHECK(puller.pull() == Pulled::done);
    CHECK(puller.is_whole());
    CHECK(server.sent() > weights + 2'000'000);
  }
  SUBCASE("always") {
    server.change([](HubFaults& all) { all.corrupt = 1'000; });
    CHECK(contains(puller.why(), "without the digest that the server names"));
    CHECK_FALSE(fs::exists(puller.folder()));
  }
  SUBCASE("on the disk, between two starts") {
    server.change([](HubFaults& slow) {
      slow.corrupt = 0;
      slow.bytes_per_second = 2'000'000;
    });
    puller.stop_after(weights / 2);
    CHECK(puller.pull() == Pulled::stopped);
    server.change([](HubFaults& quick) { quick.bytes_per_second = 0; });
    std::size_t changed = 0;
    for (const auto& entry : fs::directory_iterator(puller.partial())) {
      if (entry.path().extension() != ".safetensors") continue;
      std::string content = read_file(entry.path(), 1 << 24);
      if (content.empty()) continue;
      content[content.size() / 3] ^= 1;
      hearth::daemon::write_file(entry.path(), content);
      ++changed;
    }
    CHECK(changed > 0);
    puller.stop_after(0);
    CHECK(puller.pull() == Pulled::done);
    CHECK(puller.is_whole());
  }
}

TEST_CASE("what was stopped goes on at its commit, whatever the revision is by then") {
  HubFaults faults = with_more();
  faults.bytes_per_second = 2'000'000;
  HubServer server(source, faults);
  Puller puller(server.origin());
  puller.stop_after(weights / 3);
  CHECK(puller.pull() == Pulled::stopped);
  CHECK_FALSE(fs::exists(puller.folder()));
  const std::uint64_t kept = recorded_bytes(puller.partial());
  CHECK(kept >= weights / 3);
  server.change([](HubFaults& later) {
    later.commit = second_commit;  // whose files it does not have
    later.bytes_per_second = 0;
  });
  puller.stop_after(0);
  CHECK(puller.pull() == Pulled::done);
  CHECK(puller.here() + puller.text_bytes() == kept);
  CHECK(puller.is_whole());
  CHECK(read_manifest(puller.folder())->commit == first_commit);
  CHECK(std::ranges::count_if(server.requests(), [](const std::string& target) {
          return contains(target, "/revision/");
        }) == 1);
}

TEST_CASE("the disk's room is looked at before the weights come") {
  HubServer server(source, with_more());
  Puller puller(server.origin());
  puller.options().free_bytes = 500'000'000;
  const std::string why = puller.why();
  CAPTURE(why);
  CHECK(contains(why, "and the disk of "));
  CHECK(contains(why, "has 500 MB free: it needs "));
  for (const std::string& target : server.requests()) CHECK_FALSE(contains(target, "safetensors?"));
  CHECK(server.sent() < 400'000);
}

TEST_CASE("what is refused is told with what to do") {
  HubServer server(source, with_more());
  const auto with_status = [&](int status) {
    server.change([&](HubFaults& faults) { faults.status = status; });
  };
  Puller puller(server.origin());
  const std::string name = server.origin() + "/tests/ember";
  with_status(401);
  CHECK(puller.why() == name +
                            " is not shown to everybody (401). If the name is right, accept its "
                            "licence at " +
                            name + ", make a token at " + server.origin() +
                            "/settings/tokens and set HF_TOKEN=… in the environment.");
  with_status(403);
  CHECK(contains(puller.why(), "(403): accept its licence at " + name));
  with_status(404);
  CHECK(puller.why() == server.origin() + " has no model tests/ember (404).");
  with_status(418);
  CHECK(contains(puller.why(), "(418)"));
  Puller known(server.origin(), "secret");
  with_status(401);
  CHECK(known.why() == server.origin() + " does not take the token in HF_TOKEN (401): see " +
                           server.origin() + "/settings/tokens.");
  with_status(403);
  CHECK(contains(known.why(), "by the user of HF_TOKEN (403): accept its licence at " + name));
  CHECK_FALSE(fs::exists(known.folder()));
  CHECK_FALSE(fs::exists(known.partial()));
}

TEST_CASE("the token goes to the server that is configured, and along no redirect") {
  HubFaults faults = with_more();
  HubServer elsewhere(source, faults);
  faults.weights_at = elsewhere.origin();
  faults.token = "secret";
  HubServer server(source, faults);
  Puller puller(server.origin(), "secret");
  CHECK(puller.pull() == Pulled::done);
  CHECK(puller.is_whole());
  CHECK(server.saw_token());
  CHECK_FALSE(elsewhere.saw_token());
  CHECK(elsewhere.sent() >= weights);

  const Endpoint configured{hearth::http::parse_url("https://hub.example"), "secret"};
  CHECK(parse_wanted("https://hub.example/a/b", "", configured).endpoint.token == "secret");
  CHECK(parse_wanted("https://other.example/a/b", "", configured).endpoint.token.empty());
  CHECK(parse_wanted("https://hub.example/a/b/tree/v1", "", configured).revision == "v1");
  for (const char* wrong : {"http://hub.example/a/b", "https://hub.example/a",
                            "https://hub.example/a/b/c", "https://hub.example/../b", "a", "a/b/c"})
    CHECK_THROWS_AS(parse_wanted(wrong, "", configured), Error);
  CHECK_THROWS_AS(parse_wanted("https://hub.example/a/b/tree/v1", "v2", configured), Error);
}

TEST_CASE("a redirect leads neither to plain http elsewhere nor round in circles") {
  HubFaults faults = with_more();
  std::string said;
  SUBCASE("to plain http") {
    faults.weights_at = "http://cdn.example";
    said = "redirects to http://cdn.example/tests/ember/resolve/";
  }
  SUBCASE("to another scheme") {
    faults.weights_at = "file://etc";
    said = "it must begin with https://";
  }
  SUBCASE("to itself") {
    faults.weights_at = " ";
    said = "redirects more than 5 times";
  }
  HubServer server(source, faults);
  Puller puller(server.origin());
  CHECK(contains(puller.why(), said));

  std::string origin;
  WebServer circle([&](const WebRequest& request, WebConnection& connection) {
    connection.respond(307, "Location: " + request.target + "\r\n", "");
  });
  CHECK(contains(Puller(circle.origin()).why(), "redirects more than 5 times"));
}

TEST_CASE("what this program could not run is refused before its weights come, or at the end") {
  HubFaults faults = with_more();
  std::string said;
  SUBCASE("a configuration of another family") {
    faults.more["config.json"] = "{\"model_type\": \"other\"}";
    said = "config.json";
  }
  SUBCASE("no tokenizer") {
    faults.more.erase("tokenizer.json");
    said = "has no tokenizer.json";
  }
  SUBCASE("an index of another checkpoint") {
    faults.more["model.safetensors.index.json"] =
        "{\"weight_map\": {\"other\": \"model-00001-of-00002.safetensors\"}}";
    said = "other";
  }
  HubServer server(source, faults);
  Puller puller(server.origin());
  CHECK(contains(puller.why(), said));
  CHECK_FALSE(fs::exists(puller.folder()));
}

TEST_CASE("one process at a time downloads into a folder, and another model has another name") {
  HubServer server(source, with_more());
  Puller puller(server.origin());
  {
    const Partial taken(puller.folder());
    CHECK(contains(puller.why(), "another process downloads into "));
  }
  CHECK(puller.pull() == Pulled::done);
  const Repository other(parse_wanted("other/ember", "", {}));
  const std::atomic<bool> stop = false;
  CHECK_THROWS_AS(hearth::hub::pull(other, puller.folder(), {}, {}, stop), Error);
  fs::remove(puller.folder() / manifest_name);
  CHECK(contains(puller.why(), "was not downloaded by hearth"));
}
