// What the emulated device is for: mistakes in a kernel's synchronisation and in the host's use of
// the device show, each planted here on purpose; and a device that fails is an error that names it,
// at whichever call.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/access.hpp"
#include "kernels/cuda/thread.cuh"

#include "tests/kernels/cuda/emulated_runtime.hpp"
#include "tests/kernels/cuda/emulator.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::cuda {
namespace {

using test::made_up;
using test::made_up_codes;
using test::Values;

constexpr Device first{Device::Kind::cuda, 0};
const doctest::skip watched(!can_emulate);

// --- Kernels with mistakes -----------------------------------------------------------------------

struct Reversal {
  float* values = nullptr;
  bool synchronised = true;
};
// Reverses 64 values through memory that the block shares.
HEARTH_KERNEL void reverse(const Reversal a) {
  HEARTH_SHARED float shared[64];
  shared[thread()] = a.values[thread()];
  if (a.synchronised) barrier();
  a.values[thread()] = shared[63 - thread()];
}
HEARTH_KERNEL void half_a_barrier(const Reversal) {
  if (thread() < 16) barrier();
}
HEARTH_KERNEL void exchange_of_some(const Reversal a) {
  if (lane() < 16) a.values[thread()] = from_lane(a.values[thread()], 0);
}
HEARTH_KERNEL void load_beside(const Reversal a) {
  struct Two {
    float value[2];
  };
  a.values[0] = load<Two>(a.values + 1).value[0];
}

template <class Arguments>
void run(Emulator& emulator, const Kernel<Arguments>& kernel, const Arguments& arguments) {
  emulator.run(kernel.name, kernel.entry, {}, 64, &arguments);
}

TEST_CASE("a barrier that is missing gives wrong values, and one that is there right ones" *
          watched) {
  for (const bool synchronised : {true, false}) {
    Emulator emulator(7);
    const Values before = made_up(64, 1, synchronised ? 1 : 2);
    alignas(8) float values[64];
    std::copy(before.begin(), before.end(), values);
    run(emulator, HEARTH_ENTRY(reverse), Reversal{values, synchronised});
    const Values reversed(before.rbegin(), before.rend());
    CHECK((Values(values, values + 64) == reversed) == synchronised);
  }
}

TEST_CASE("a kernel's mistakes are errors that name it, and the next kernel runs" * watched) {
  Emulator emulator(1);
  alignas(8) float values[64] = {};
  const Reversal arguments{values};
  for (int again = 0; again < 2; ++again) {
    CHECK_THROWS_WITH_AS(run(emulator, HEARTH_ENTRY(half_a_barrier), arguments),
                         "half_a_barrier: a barrier is reached by only some threads of a block",
                         std::logic_error);
    CHECK_THROWS_WITH_AS(run(emulator, HEARTH_ENTRY(exchange_of_some), arguments),
                         "exchange_of_some: an exchange misses lanes of its warp",
                         std::logic_error);
    CHECK_THROWS_WITH_AS(run(emulator, HEARTH_ENTRY(load_beside), arguments),
                         "load_beside: a load of 8 bytes that is not aligned", std::logic_error);
    run(emulator, HEARTH_ENTRY(reverse), arguments);
  }
}

// --- Mistakes of the host ------------------------------------------------------------------------

// A product on a device, of which each step can be left out.
struct Work {
  explicit Work(std::shared_ptr<EmulatedControl> wanted = std::make_shared<EmulatedControl>())
      : control(std::move(wanted)), device(emulated_backend(first, control)) {}

  Matrix weights(const Buffer& slot) {
    device->write(slot, 0, codes);
    return {slot, 0, DType::bf16, 64, 64};
  }
  Values product() {
    const Buffer slot = device->allocate(codes.size());
    const Buffer in = device->allocate(x.size() * sizeof(float));
    const Buffer out = device->allocate(64 * sizeof(float));
    device->write(slice(in), x);
    device->matmul(weights(slot), slice(in), slice(out), 1);
    Values y(64);
    device->read(slice(out), y);
    return y;
  }

  std::shared_ptr<EmulatedControl> control;
  std::unique_ptr<Backend> device;
  std::vector<std::byte> codes = made_up_codes(DType::bf16, 64 * 64, 1);
  Values x = made_up(64, 1, 2);
};

TEST_CASE("a copy reads its source when it runs, and nothing runs before somebody waits" *
          watched) {
  Work work;
  const Buffer from = work.device->allocate(16, MemoryKind::page_locked);
  const Buffer there = work.device->allocate(16);
  const std::span<std::byte> source = *work.device->map(from);
  const Event sent = work.device->transfer(from, 0, there, 0, 16);
  source[0] = std::byte{5};  // too early
  work.device->wait(sent);
  std::vector<std::byte> back(16);
  work.device->read(there, 0, back);
  CHECK(back[0] == std::byte{5});
  CHECK_FALSE(work.device->map(there).has_value());
}

TEST_CASE("planted: a wait that is missing" * watched) {
  const Values expected = Work().product();
  Work work;
  CHECK(work.product() == expected);
  const std::uint64_t waits = work.control->waits;
  REQUIRE(waits >= 1);
  Work forgetful;
  forgetful.control->forgotten_wait = waits;  // the last one: for the result
  CHECK(forgetful.product() != expected);
}

TEST_CASE("planted: a staging buffer that is used again too early" * watched) {
  std::vector<std::byte> data(std::size_t{3} << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + (i >> 16));
  const auto there_and_back = [&](std::uint64_t forgotten, std::uint64_t& waits) {
    Work work;
    const Buffer buffer = work.device->allocate(data.size());
    const std::uint64_t before = work.control->waits;
    work.control->forgotten_wait = forgotten == 0 ? 0 : before + forgotten;
    work.device->write(buffer, 0, data);
    waits = work.control->waits - before;
    work.control->forgotten_wait = 0;
    std::vector<std::byte> back(data.size());
    work.device->read(buffer, 0, back);
    return back;
  };
  std::uint64_t waits = 0;
  CHECK(there_and_back(0, waits) == data);
  REQUIRE(waits >= 4);
  int wrong = 0;
  for (std::uint64_t forgotten = 1; forgotten <= waits; ++forgotten) {
    std::uint64_t ignored = 0;
    if (there_and_back(forgotten, ignored) != data) ++wrong;
  }
  CHECK(wrong >= static_cast<int>(waits) / 2);
}

TEST_CASE("planted: a slot that is given away while a product still reads it" * watched) {
  Work work;
  const Values expected = work.product();
  for (const bool evicted : {false, true}) {
    Buffer slot = work.device->allocate(work.codes.size());
    const Matrix w = work.weights(slot);
    const Buffer in = work.device->allocate(work.x.size() * sizeof(float));
    const Buffer out = work.device->allocate(64 * sizeof(float));
    work.device->write(slice(in), work.x);
    work.device->finish();
    work.device->matmul(w, slice(in), slice(out), 1);
    if (evicted) slot = Buffer();
    Values y(64);
    work.device->read(slice(out), y);
    CHECK((y == expected) == !evicted);
    // The other way to lose a slot: another expert comes into it.
    if (evicted) continue;
    const Buffer other = work.device->allocate(work.codes.size(), MemoryKind::page_locked);
    work.device->transfer(other, 0, slot, 0, work.codes.size());
    work.device->matmul(w, slice(in), slice(out), 1);
    work.device->read(slice(out), y);
    CHECK(y == Values(64, 0.0f));
  }
}

TEST_CASE("what a kernel touches behind its memory faults" * watched) {
  const auto signal_of = [](int offset) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (const int number : {SIGSEGV, SIGBUS}) ::signal(number, SIG_DFL);
      const auto control = std::make_shared<EmulatedControl>();
      const std::unique_ptr<Runtime> runtime = emulated_runtime(first, control);
      const Buffer buffer = runtime->allocate(64 * sizeof(float), MemoryKind::device);
      auto* const data = reinterpret_cast<float*>(Access::data(buffer));
      runtime->launch(HEARTH_ENTRY(reverse), {}, 64, Reversal{data + offset});
      runtime->wait(runtime->record());
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  CHECK(signal_of(0) == 0);
  CHECK(signal_of(1) == SIGSEGV);
}

TEST_CASE("a device that fails at any call is an error that names it, and leaves nothing behind" *
          watched) {
  Work healthy;
  const Values expected = healthy.product();
  const std::uint64_t calls = healthy.control->calls;
  REQUIRE(calls > 10);
  for (std::uint64_t call = 1; call <= calls; ++call) {
    CAPTURE(call);
    const auto control = std::make_shared<EmulatedControl>();
    control->fail_from = call;
    std::string error;
    try {
      Work work(control);
      const Values y = work.product();
      CHECK(y == expected);
    } catch (const Error& failed) {
      error = failed.what();
    }
    CHECK(error.starts_with("cuda 0: "));
    CHECK(error.ends_with("the device is lost"));
    CHECK(control->bytes == 0);
  }
}

TEST_CASE("a device without room throws bad_alloc and goes on" * watched) {
  Work work;
  work.control->capacity = work.control->bytes + 64;
  CHECK_THROWS_AS(work.device->allocate(65), std::bad_alloc);
  CHECK(work.device->allocate(64).bytes() == 64);
  work.control->capacity = ~std::uint64_t{0};
  CHECK(work.product() == Work().product());
}

// --- What the host's side promises ---------------------------------------------------------------

TEST_CASE("a group of products of one format is one launch, and takes no memory" * watched) {
  Work work;
  const Buffer slot = work.device->allocate(work.codes.size());
  const Matrix w = work.weights(slot);
  const Buffer in = work.device->allocate(9 * 64 * sizeof(float));
  const Buffer out = work.device->allocate(20 * 9 * 64 * sizeof(float));
  for (const int rows : {1, 2, 9}) {
    std::vector<MatMul> group;
    const auto width = static_cast<std::size_t>(rows) * 64;
    for (std::size_t i = 0; i < 20; ++i)
      group.push_back({w, slice(in).sub(0, width), slice(out).sub(i * width, width), rows});
    const std::uint64_t launches = work.control->launches;
    const std::uint64_t allocations = work.control->allocations;
    work.device->matmul(group, ProductForm::gemv);
    CHECK(work.device->finish());
    CHECK(work.control->launches == launches + 1);
    CHECK(work.control->allocations == allocations);
  }
}

TEST_CASE("a key that F16 cannot hold is reported by the next call that waits, once" * watched) {
  Work work;
  KvCache kv{.keys = work.device->allocate(64),
             .values = work.device->allocate(64),
             .type = DType::f16,
             .capacity = 4,
             .heads = 1,
             .head_dim = 8};
  const Buffer in = work.device->allocate(8 * sizeof(float));
  for (const float value : {65504.0f, 65536.0f, -HUGE_VALF, std::nanf("")}) {
    CAPTURE(value);
    work.device->write(slice(in), Values(8, value));
    work.device->kv_append(kv, slice(in), slice(in), 1, 1);
    if (value == 65504.0f) {
      CHECK(work.device->finish());
      continue;
    }
    CHECK_THROWS_WITH_AS(work.device->finish(), doctest::Contains("which F16 cannot hold"), Error);
    CHECK(work.device->finish());
  }
}

TEST_CASE("an interrupt keeps operations from being queued, and no copy" * watched) {
  Work work;
  const Buffer there = work.device->allocate(2 * sizeof(float));
  const std::atomic<bool> interrupt = true;
  work.device->begin(&interrupt);
  work.device->write(slice(there), Values{1, 2});
  work.device->silu_mul(slice(there), slice(there), slice(there));
  Values now(2);
  work.device->read(slice(there), now);
  CHECK(now == Values{1, 2});
  CHECK_FALSE(work.device->finish());
  CHECK(work.device->finish());
}

TEST_CASE("a handle of another device is an error that names both" * watched) {
  Work work;
  Backend& host = test::backend(Isa::scalar, 1);
  const Buffer here = host.allocate(64);
  const Slice s = slice(here);
  CHECK_THROWS_WITH_AS(work.device->silu_mul(s, s, s), "cuda 0 was given a handle of host", Error);
  CHECK_THROWS_AS(work.device->softmax(s, 1, 16), Error);
  CHECK_THROWS_AS(work.device->write(s, Values(16)), Error);
}

}  // namespace
}  // namespace hearth::kernels::cuda
