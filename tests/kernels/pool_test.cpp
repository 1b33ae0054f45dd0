// The worker pool and interruption: what is counted, never how long it takes.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kernels/pool.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

TEST_CASE("every piece runs once, whatever the number of threads") {
  for (const int threads : {1, 2, 3, 5}) {
    Pool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int pieces : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(pieces));
      pool.run(pieces, [&](std::int64_t piece) { ++runs[static_cast<std::size_t>(piece)]; });
      int wrong = 0;
      for (const auto& count : runs) wrong += count == 1 ? 0 : 1;
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("job after job, each is complete when run returns") {
  Pool pool(4);
  std::vector<int> values(64);  // not atomic: the pool orders the accesses
  for (int job = 0; job < 2000; ++job)
    pool.run(64, [&](std::int64_t piece) { ++values[static_cast<std::size_t>(piece)]; });
  CHECK(values == std::vector<int>(64, 2000));
}

TEST_CASE("a thread that is held up in a piece holds up only that piece") {
  for (const int threads : {2, 4}) {
    Pool pool(threads);
    const std::thread::id caller = std::this_thread::get_id();
    constexpr int pieces = 400;
    std::atomic<int> others = 0;  // pieces done while one is held up
    std::atomic<bool> held = false;
    pool.run(pieces, [&](std::int64_t) {
      // The first worker that gets a piece keeps it until all others have run.
      if (std::this_thread::get_id() != caller && !held.exchange(true)) {
        while (others < pieces - 1) std::this_thread::yield();
        return;
      }
      ++others;
      // The calling thread leaves a worker time to come.
      while (!held && others == 1) std::this_thread::yield();
    });
    CHECK(held);
    CHECK(others == pieces - 1);
  }
}

TEST_CASE("an interrupt lets no further piece begin") {
  for (const int threads : {1, 4}) {
    Pool pool(threads);
    std::atomic<bool> interrupt = false;
    std::atomic<int> runs = 0;
    pool.begin(&interrupt);
    pool.run(100000, [&](std::int64_t) {
      if (++runs == 3) interrupt = true;
    });
    CHECK(runs >= 3);
    CHECK(runs < 3 + threads);  // the pieces that had begun

    const int before = runs;
    interrupt = false;  // seen once is enough
    pool.run(100, [&](std::int64_t) { ++runs; });
    CHECK(runs == before);
    CHECK(pool.stopped());
    CHECK_FALSE(pool.finish());

    pool.run(100, [&](std::int64_t) { ++runs; });
    CHECK(runs == before + 100);
    CHECK(pool.finish());
  }
}

TEST_CASE("an idle pool sleeps") {
  Pool pool(4);
  pool.run(100, [](std::int64_t) {});
  const auto others_running = [] {
    int running = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream stat(task.path() / "stat");
      std::string line;
      std::getline(stat, line);
      const std::size_t end = line.rfind(')');  // of the name; the state follows
      if (end != std::string::npos && line[end + 2] == 'R') ++running;
    }
    return running - 1;  // this thread
  };
  // A thread that has just gone to sleep may still be seen on its way.
  int running = others_running();
  for (int looks = 0; running > 0 && looks < 20000; ++looks) {
    std::this_thread::yield();
    running = others_running();
  }
  CHECK(running == 0);
}

TEST_CASE("an interrupted backend leaves outputs alone until finish") {
  for (const int threads : {1, 3}) {
    TestDevice d(backend(Isa::scalar, threads), 0);
    const Matrix w = d.matrix(DType::f32, 40, 40, made_up_codes(DType::f32, 1600, 1));
    const Slice x = d.put(made_up(40, 1, 2)), y = d.room(40);
    const Values untouched = d.get(y);
    std::atomic<bool> interrupt = true;
    d->begin(&interrupt);
    d->matmul(w, x, y, 1);
    d->add(x, x, y);
    d->gather_rows(x, 40, std::vector<std::int32_t>{0}, y);
    CHECK(d.get(y) == untouched);
    std::vector<std::int32_t> ids = {-1};
    Values values = {0};
    d->top_k(x, 1, 40, 1, ids, values);
    CHECK(ids[0] == 0);  // in range, whatever comes of it
    CHECK_FALSE(d->finish());

    d->matmul(w, x, y, 1);
    CHECK(d.get(y) != untouched);
    CHECK(d->finish());
  }
}

TEST_CASE("an interrupt stops inside one product") {
  constexpr int rows = 512, side = 2048;  // seconds of work by the scalar definition
  TestDevice d(backend(Isa::scalar, 2), 0);
  const Matrix w = d.matrix(DType::f32, side, side, made_up_codes(DType::f32, side * side, 1));
  const Slice x = d.put(Values(rows * side, 0.5f)), y = d.room(rows * side);
  const float untouched = d.get(y)[0];
  std::atomic<bool> started = false, interrupt = false;
  std::thread other([&] {
    started.wait(false);
    interrupt = true;
  });
  d->begin(&interrupt);
  started = true;
  started.notify_one();
  d->matmul(w, x, y, rows);
  other.join();
  CHECK_FALSE(d->finish());
  std::int64_t left = 0;
  for (const float value : d.get(y)) left += value == untouched ? 1 : 0;
  CHECK(left > 0);
}

TEST_CASE("without an interrupt finish says that everything ran") {
  TestDevice d(backend(Isa::scalar, 2), 0);
  std::atomic<bool> interrupt = false;
  d->begin(&interrupt);
  const Slice x = d.put({1, 2}), y = d.room(2);
  d->add(x, x, y);
  CHECK(d->finish());
  CHECK(d.get(y) == Values{2, 4});
}

}  // namespace
}  // namespace hearth::kernels::test
