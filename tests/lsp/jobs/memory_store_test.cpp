// What every JobStore promises, in the one that has no disk.
#include "lsp/jobs/memory_store.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {

TEST_CASE("a memory store keeps what was changed, and a second one goes on from its records") {
  VirtualHost host;
  MemoryJobStore store(host);
  const JobId first = store.next_id();
  const JobId second = store.next_id();
  CHECK(second > first);
  JobRecord record;
  record.workspace = "file:///w";
  record.id = second;
  record.request = "{}";
  store.create(record);
  record.id = first;
  store.create(record);

  std::vector<std::string> heard;
  const auto done = [&](const std::string& failure) { heard.push_back(failure); };
  store.append(first, "one ", {1});
  store.append(first, "two", {2, 3});
  store.change(first, {.request = {}, .standing = "done", .text = {}, .tokens = {}}, done);
  CHECK(heard.empty());  // never before the call returns
  host.run();
  CHECK(heard == std::vector<std::string>{""});

  MemoryJobStore next(host, store.records());
  const auto records = next.load();
  REQUIRE(records.size() == 2);
  CHECK(records[0].id == first);
  CHECK(records[0].request == "{}");
  CHECK(records[0].standing == "done");
  CHECK(records[0].text == "one two");
  CHECK(records[0].tokens == std::vector<std::int32_t>{1, 2, 3});
  CHECK(next.next_id() > second);

  next.remove({first}, done);
  host.run();
  CHECK(heard.size() == 2);
  CHECK(next.records().size() == 1);
  next.change(first, {.request = {}, .standing = "x", .text = {}, .tokens = {}}, done);
  next.append(first, "more", {4});
  host.run();
  CHECK(heard.back() == "there is no record of job " + std::to_string(first));
  CHECK(next.records().size() == 1);
}

TEST_CASE("a store that keeps nothing says so of each change") {
  VirtualHost host;
  MemoryJobStore store(host, {}, 41, "there is no state directory");
  JobRecord record;
  record.id = store.next_id();
  CHECK(record.id == 42);
  store.create(record);
  std::string heard;
  const auto done = [&](const std::string& failure) { heard = failure; };
  store.change(42, {.request = {}, .standing = {}, .text = "all", .tokens = {}}, done);
  host.run();
  CHECK(heard == "there is no state directory");
  CHECK(store.records().at(0).text == "all");
  store.fail({});
  store.change(42, {.request = {}, .standing = {}, .text = "new", .tokens = {}}, done);
  host.run();
  CHECK(heard.empty());
}

}  // namespace hearth::lsp::test
