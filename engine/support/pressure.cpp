// Waits on the kernel's pressure trigger.
#include "engine/support/pressure.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "engine/support/types.hpp"

namespace hearth::engine {

namespace {

// Microseconds of stalls, of a window. Those who are not root may ask for whole multiples of 2 s.
constexpr std::string_view trigger = "some 100000 2000000";

void drain(int descriptor) {
  std::uint64_t count = 0;
  const ssize_t got = ::read(descriptor, &count, sizeof count);
  static_cast<void>(got);  // empty already: not blocking
}

}  // namespace

PressureSignal open_pressure_signal(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return {};
  // The kernel wants the end of the text, too.
  const ssize_t written = ::write(descriptor, trigger.data(), trigger.size() + 1);
  if (written == static_cast<ssize_t>(trigger.size() + 1)) return {descriptor, POLLPRI};
  ::close(descriptor);
  return {};
}

PressureSleep::PressureSleep(PressureSignal signal)
    : signal_(signal), woken_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (woken_ >= 0) return;
  const int error = errno;
  if (signal_.descriptor >= 0) ::close(signal_.descriptor);
  throw Error("cannot make an eventfd: " + std::generic_category().message(error));
}

PressureSleep::~PressureSleep() {
  ::close(woken_);
  if (signal_.descriptor >= 0) ::close(signal_.descriptor);
}

void PressureSleep::wait(int milliseconds, bool heed_pressure) {
  pollfd pollers[] = {{woken_, POLLIN, 0},
                      {heed_pressure ? signal_.descriptor : -1, signal_.events, 0}};
  if (::poll(pollers, 2, milliseconds) <= 0) return;
  drain(woken_);
  if ((pollers[1].revents & POLLIN) != 0) drain(signal_.descriptor);
  // A trigger that the kernel has taken back would be ready for ever.
  if ((pollers[1].revents & (POLLERR | POLLNVAL)) == 0) return;
  ::close(signal_.descriptor);
  signal_.descriptor = -1;
}

void PressureSleep::wake() {
  const std::uint64_t one = 1;
  const ssize_t written = ::write(woken_, &one, sizeof one);
  static_cast<void>(written);  // full: it is to wake already
}

}  // namespace hearth::engine
