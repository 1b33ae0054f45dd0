// Two devices: copies between them, and that nobody but a device reaches its memory.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <vector>

#include "tests/kernels/fake_device.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

constexpr Device first{Device::Kind::cuda, 0};

struct TwoDevices {
  std::shared_ptr<FakeDeviceControl> control = std::make_shared<FakeDeviceControl>();
  std::unique_ptr<Backend> device = make_fake_device(first, control);
  Backend& host = backend(Isa::scalar, 1);

  Buffer host_buffer(const Values& values) {
    Buffer buffer = device->allocate(values.size() * sizeof(float), MemoryKind::page_locked);
    host.write(slice(buffer), values);
    return buffer;
  }
};

// How a child process ends that does this: the signal, or 0.
template <class Action>
int signal_of(Action action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (const int number : {SIGSEGV, SIGBUS}) ::signal(number, SIG_DFL);
    action();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("a device's memory cannot be reached from outside, not even by mistake") {
  TwoDevices two;
  const Buffer there = two.device->allocate(64);
  CHECK(there.device() == first);
  CHECK_FALSE(two.device->map(there).has_value());
  CHECK(two.device->map(two.device->allocate(64, MemoryKind::page_locked)).has_value());
  // The host's backend, given the device's handle, as an engine would that forgets where it is.
  const Buffer here = two.host.allocate(64);
  CHECK(signal_of([&] { two.host.add(slice(there), slice(there), slice(here)); }) == SIGSEGV);
  CHECK(signal_of([&] { two.host.add(slice(here), slice(here), slice(here)); }) == 0);
  // The device is given the host's: an error.
  CHECK_THROWS_WITH_AS(two.device->silu_mul(slice(here), slice(here), slice(here)),
                       "cuda 0 was given a handle of host", Error);
}

TEST_CASE("copies between devices are queued in order, and there once their event has passed") {
  TwoDevices two;
  const Values values{1, 2, 3, 4};
  const Buffer from = two.host_buffer(values);
  const Buffer back = two.host_buffer({0, 0, 0, 0});
  const Buffer there = two.device->allocate(4 * sizeof(float));
  const Event in = two.device->transfer(slice(from), slice(there));
  two.device->transfer(there, 0, back, 0, 2 * sizeof(float));
  const Event out = two.device->transfer(slice(there).sub(2, 2), slice(back).sub(2, 2));
  CHECK_FALSE(two.device->passed(in));
  Values now(4);
  two.host.read(slice(back), now);
  CHECK(now == Values{0, 0, 0, 0});
  two.device->wait(out);
  CHECK(two.device->passed(in));
  two.host.read(slice(back), now);
  CHECK(now == values);
  CHECK(two.control->to_device == 1);
  CHECK(two.control->from_device == 2);
  CHECK(two.control->synchronisations == 1);
  CHECK_THROWS_AS(two.device->transfer(there, 8, back, 0, 12), Error);
  CHECK_THROWS_AS(two.device->transfer(slice(there), slice(back).sub(0, 3)), Error);
}

TEST_CASE("an interrupt skips a device's operations and none of its copies") {
  TwoDevices two;
  const Buffer from = two.host_buffer({1, 2});
  const Buffer back = two.host_buffer({0, 0});
  const Buffer there = two.device->allocate(2 * sizeof(float));
  const std::atomic<bool> interrupt = true;
  two.device->begin(&interrupt);
  two.device->transfer(slice(from), slice(there));
  two.device->silu_mul(slice(there), slice(there), slice(there));
  two.device->transfer(slice(there), slice(back));
  CHECK_FALSE(two.device->finish());
  Values now(2);
  two.host.read(slice(back), now);
  CHECK(now == Values{1, 2});
  CHECK(two.device->finish());
}

TEST_CASE("the host copies at once, and has nothing to wait for") {
  Backend& host = backend(Isa::scalar, 1);
  const Buffer a = host.allocate(8, MemoryKind::page_locked);
  const Buffer b = host.allocate(8);
  host.write(slice(a), Values{3, 4});
  const Event event = host.transfer(slice(a), slice(b));
  CHECK(host.passed(event));
  host.wait(event);
  Values now(2);
  host.read(slice(b), now);
  CHECK(now == Values{3, 4});
  host.transfer(a, 4, b, 0, 4);
  host.read(slice(b), now);
  CHECK(now == Values{4, 4});
  CHECK_THROWS_AS(host.transfer(a, 4, b, 0, 8), Error);
}

TEST_CASE("a device that fails names itself") {
  TwoDevices two;
  const Buffer from = two.host_buffer({1, 2});
  const Buffer there = two.device->allocate(2 * sizeof(float));
  two.control->refuse_transfers = true;
  CHECK_THROWS_WITH_AS(two.device->transfer(slice(from), slice(there)),
                       "cuda 0: a copy was refused", Error);
  two.control->refuse_transfers = false;
  two.device->transfer(slice(from), slice(there));
  two.control->lost = true;
  CHECK_THROWS_WITH_AS(two.device->finish(), "cuda 0 was lost", Error);
  two.control->lost = false;
  two.control->capacity = two.control->bytes + 8;
  CHECK_THROWS_AS(two.device->allocate(9), std::bad_alloc);
  CHECK(two.device->allocate(8).bytes() == 8);
}

}  // namespace
}  // namespace hearth::kernels::test
