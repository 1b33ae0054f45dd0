// Which sequence serves which prompt.
#include "daemon/models/session_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>

using namespace hearth;
using daemon::SessionPool;
using Tokens = std::vector<engine::TokenId>;

namespace {

// A fresh one: its checkpoints serve all sessions.
std::shared_ptr<engine::Runtime> ember(std::uint64_t prefix_bytes = 1 << 26) {
  engine::EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/engine/ember";
  options.host().threads = 1;
  options.prefix_ram_bytes = prefix_bytes;
  return engine::Runtime::load(options);
}

Tokens numbers(engine::TokenId from, engine::TokenId to) {
  Tokens tokens;
  for (auto id = from; id < to; ++id) tokens.push_back(id);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Reads the prompt with a session of the pool; says how many tokens were there already.
std::size_t read(SessionPool& pool, const Tokens& prompt,
                 std::vector<std::size_t> boundaries = {}) {
  const auto lease = pool.acquire(prompt);
  auto& session = lease.session();
  const std::size_t kept = session.sync(prompt);
  while (session.prefill(prompt, boundaries, nullptr) == engine::Progress::more) {
  }
  return kept;
}

}  // namespace

TEST_CASE("a prompt that goes on is served by the session that has its beginning") {
  SessionPool pool(ember(), 3);
  CHECK(read(pool, numbers(10, 30)) == 0);
  CHECK(read(pool, numbers(100, 120)) == 0);
  CHECK(pool.common(numbers(10, 40)) == 20);
  CHECK(read(pool, numbers(10, 40)) == 20);
  CHECK(pool.size() == 2);
}

TEST_CASE(
    "a prompt that shares little takes another session, with what is common from a checkpoint") {
  SessionPool pool(ember(), 3);
  const Tokens system = numbers(10, 20);
  read(pool, system + numbers(100, 140), {10});
  CHECK(read(pool, system + numbers(200, 240), {10}) == 10);
  CHECK(pool.size() == 2);
  CHECK(pool.common(system + numbers(100, 150)) == 50);
  CHECK(pool.common(system + numbers(200, 250)) == 50);
}

TEST_CASE("the least recently used makes room") {
  SessionPool pool(ember(0), 2);  // without checkpoints
  read(pool, numbers(10, 30));
  read(pool, numbers(100, 120));
  read(pool, numbers(10, 31));
  read(pool, numbers(200, 220));
  CHECK(pool.size() == 2);
  CHECK(pool.common(numbers(10, 40)) == 21);
  CHECK(pool.common(numbers(100, 130)) == 0);
}

TEST_CASE("the session that makes room leaves its answer's state as a checkpoint") {
  SessionPool pool(ember(), 1);
  Tokens conversation = numbers(10, 30);
  read(pool, conversation);
  {
    const auto lease = pool.acquire(conversation);
    for (engine::TokenId token = 300; token < 370; ++token) {
      REQUIRE(lease.session().decode(token, nullptr) == engine::Progress::done);
      conversation.push_back(token);
    }
  }
  read(pool, numbers(100, 120));
  CHECK(pool.size() == 1);
  CHECK(read(pool, conversation + numbers(50, 60)) == 90);
}

TEST_CASE("a prompt typed on keeps its session") {
  SessionPool pool(ember(), 3);
  read(pool, numbers(10, 200));
  for (engine::TokenId key = 0; key < 10; ++key)
    read(pool, numbers(10, 190) + numbers(300 + key, 312 + key));
  CHECK(pool.size() == 1);
}

TEST_CASE("a session that is lent is not given to another") {
  SessionPool pool(ember(), 2);
  read(pool, numbers(10, 30));
  const auto lease = pool.acquire(numbers(10, 40));
  const auto other = pool.acquire(numbers(10, 40));
  CHECK(&lease.session() != &other.session());
}

TEST_CASE("an interrupted reading is gone on with by the session that began it") {
  SessionPool pool(ember(), 3);
  const Tokens prompt = numbers(10, 60);
  engine::Session* began = nullptr;
  {
    const auto lease = pool.acquire(prompt);
    began = &lease.session();
    began->sync(prompt);
    CHECK(began->prefill(prompt, {}, nullptr) == engine::Progress::more);
    CHECK(began->position() == 0);  // a part of the layers
  }
  const auto lease = pool.acquire(prompt);
  CHECK(&lease.session() == began);
}
