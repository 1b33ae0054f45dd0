// Waiting until the system is short of memory, without looking: a trigger on the kernel's account
// of stalls (PSI), or where it grants none, a look now and then.
#pragma once

#include <cstdint>
#include <filesystem>

namespace hearth::engine {

// A descriptor that poll(2) finds ready, with one of `events`, whenever tasks have waited for
// memory. -1: there is none. Whoever opened it closes it.
struct PressureSignal {
  int descriptor = -1;
  short events = 0;
};

// Asks for a signal after 100 ms of stalls within 2 s, at most once in such a time.
PressureSignal open_pressure_signal(const std::filesystem::path& file = "/proc/pressure/memory");

// One thread's sleep, and what ends it. Everything but wait from any thread.
class PressureSleep {
 public:
  // Owns the signal.
  explicit PressureSleep(PressureSignal signal);
  ~PressureSleep();
  PressureSleep(const PressureSleep&) = delete;
  PressureSleep& operator=(const PressureSleep&) = delete;

  bool has_signal() const { return signal_.descriptor >= 0; }

  // Returns after a wake() since the last call, on pressure (with `heed_pressure`), or when the
  // time is over; -1 is for ever.
  void wait(int milliseconds, bool heed_pressure);
  void wake();

 private:
  PressureSignal signal_;
  int woken_;  // eventfd
};

}  // namespace hearth::engine
