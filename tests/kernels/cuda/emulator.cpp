// The fibers and their barriers.
#include "tests/kernels/cuda/emulator.hpp"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/preallocated.hpp>
#include <cstring>
#include <exception>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/thread.cuh"

#if defined(__SANITIZE_ADDRESS__)
#define HEARTH_FIBERS_ANNOUNCED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEARTH_FIBERS_ANNOUNCED
#endif
#endif
#ifdef HEARTH_FIBERS_ANNOUNCED
#include <sanitizer/common_interface_defs.h>
#endif

namespace hearth::kernels::cuda {
namespace {

namespace context = boost::context;

constexpr std::size_t stack_bytes = 128 << 10;
constexpr int lanes = warp;

// Thrown out of a kernel that is not to go on.
struct Abandoned {};

enum class Waits : std::uint8_t { no, for_block, for_warp, ended };

struct Fiber {
  Emulator::State* owner = nullptr;  // whose thread it is now
  context::stack_context stack;
  context::fiber context;
  Waits waits = Waits::ended;
  std::uint64_t turn = 0;  // of exchange(): which of the two values
  std::byte value[2][16];
  void* fake_stack = nullptr;  // AddressSanitizer's
};

// AddressSanitizer has to know which stack is in use.
struct StackInUse {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  void* fake_stack = nullptr;
};
void leave([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
           [[maybe_unused]] std::size_t bytes) {
#ifdef HEARTH_FIBERS_ANNOUNCED
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#endif
}
void arrive([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
            [[maybe_unused]] std::size_t* bytes) {
#ifdef HEARTH_FIBERS_ANNOUNCED
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
#endif
}

thread_local Emulator::State* running = nullptr;

// Fibers between two owners. None ever ends: what is below its first function would need the stack
// that AddressSanitizer had taken away by then.
struct IdleFibers {
  std::mutex mutex;
  std::vector<std::unique_ptr<Fiber>> all;
};
IdleFibers& idle_fibers() {
  static IdleFibers* const idle = new IdleFibers;
  return *idle;
}

}  // namespace

struct Emulator::State {
  explicit State(std::uint32_t seed) : random(seed) {}
  ~State() {
    const std::lock_guard lock(idle_fibers().mutex);
    for (std::unique_ptr<Fiber>& fiber : fibers) idle_fibers().all.push_back(std::move(fiber));
  }

  void run_block();
  void make_fibers();
  void resume(Fiber& fiber);
  void body();
  void suspend(Waits reason);
  void release_warp(std::size_t first);
  void abandon();

  std::mt19937 random;
  std::vector<std::unique_ptr<Fiber>> fibers;
  context::fiber outside;
  StackInUse outside_stack;

  // The launch.
  void (*entry)(const void*) = nullptr;
  const void* arguments = nullptr;
  Grid grid;
  std::size_t threads = 0;
  std::int64_t block[3] = {};
  std::size_t current = 0;
  std::exception_ptr failure;
  bool abandoning = false;
  std::vector<std::size_t> ready;
};

void Emulator::State::make_fibers() {
  while (fibers.size() < threads) {
    std::unique_ptr<Fiber> fiber;
    if (const std::lock_guard lock(idle_fibers().mutex); !idle_fibers().all.empty()) {
      fiber = std::move(idle_fibers().all.back());
      idle_fibers().all.pop_back();
    } else {
      fiber = std::make_unique<Fiber>();
      context::fixedsize_stack allocator(stack_bytes);
      fiber->stack = allocator.allocate();
      fiber->context = context::fiber(
          std::allocator_arg,
          context::preallocated(fiber->stack.sp, fiber->stack.size, fiber->stack), allocator,
          [mine = fiber.get()](context::fiber&& from) {
            mine->owner->outside = std::move(from);
            arrive(nullptr, &mine->owner->outside_stack.bottom, &mine->owner->outside_stack.bytes);
            for (;;) {
              mine->owner->body();
              mine->owner->suspend(Waits::ended);
            }
            return context::fiber();
          });
    }
    fiber->owner = this;
    fibers.push_back(std::move(fiber));
  }
}

// A thread's life.
void Emulator::State::body() {
  try {
    entry(arguments);
  } catch (const Abandoned&) {
  } catch (...) {
    failure = std::current_exception();
  }
}

void Emulator::State::resume(Fiber& fiber) {
  leave(&outside_stack.fake_stack, static_cast<std::byte*>(fiber.stack.sp) - fiber.stack.size,
        fiber.stack.size);
  fiber.context = std::move(fiber.context).resume();
  arrive(outside_stack.fake_stack, nullptr, nullptr);
}

// When it goes on, the fiber may have another owner.
void Emulator::State::suspend(Waits reason) {
  Fiber& mine = *fibers[current];
  mine.waits = reason;
  leave(&mine.fake_stack, outside_stack.bottom, outside_stack.bytes);
  context::fiber from = std::move(outside).resume();
  State& now = *mine.owner;
  arrive(mine.fake_stack, &now.outside_stack.bottom, &now.outside_stack.bytes);
  now.outside = std::move(from);
  if (now.abandoning && reason != Waits::ended) throw Abandoned{};
}

void Emulator::State::release_warp(std::size_t first) {
  for (std::size_t i = first; i < std::min(threads, first + lanes); ++i) {
    fibers[i]->waits = Waits::no;
    ready.push_back(i);
  }
}

void Emulator::State::abandon() {
  abandoning = true;
  for (current = 0; current < threads; ++current)
    while (fibers[current]->waits != Waits::ended) resume(*fibers[current]);
  abandoning = false;
}

void Emulator::State::run_block() {
  ready.clear();
  for (std::size_t i = 0; i < threads; ++i) {
    fibers[i]->waits = Waits::no;
    fibers[i]->turn = 0;
    ready.push_back(i);
  }
  std::size_t ended = 0, at_barrier = 0;
  std::vector<int> at_exchange((threads + lanes - 1) / lanes);
  while (!ready.empty()) {
    std::swap(ready[random() % ready.size()], ready.back());
    current = ready.back();
    ready.pop_back();
    resume(*fibers[current]);
    if (failure) return;
    const std::size_t first = current / lanes * lanes;
    switch (fibers[current]->waits) {
      case Waits::no:
        break;
      case Waits::ended:
        ++ended;
        break;
      case Waits::for_block:
        if (++at_barrier < threads) break;
        at_barrier = 0;
        for (std::size_t warp_first = 0; warp_first < threads; warp_first += lanes)
          release_warp(warp_first);
        break;
      case Waits::for_warp:
        if (++at_exchange[first / lanes] <
            static_cast<int>(std::min<std::size_t>(lanes, threads - first)))
          break;
        at_exchange[first / lanes] = 0;
        release_warp(first);
        break;
    }
  }
  if (ended != threads)
    throw std::logic_error(at_barrier > 0 ? "a barrier is reached by only some threads of a block"
                                          : "an exchange misses lanes of its warp");
}

Emulator::Emulator(std::uint32_t seed) : state_(std::make_unique<State>(seed)) {}
Emulator::~Emulator() = default;

void Emulator::run(const char* name, const void* entry, Grid grid, unsigned threads,
                   const void* arguments) {
  State& s = *state_;
  s.entry = reinterpret_cast<void (*)(const void*)>(reinterpret_cast<std::uintptr_t>(entry));
  s.arguments = arguments;
  s.grid = grid;
  s.threads = threads;
  s.failure = nullptr;
  s.make_fibers();
  std::vector<std::int64_t> blocks(std::size_t{grid.x} * grid.y * grid.z);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::int64_t>(i);
  std::shuffle(blocks.begin(), blocks.end(), s.random);
  running = &s;
  try {
    for (const std::int64_t block : blocks) {
      s.block[0] = block % grid.x;
      s.block[1] = block / grid.x % grid.y;
      s.block[2] = block / grid.x / grid.y;
      s.run_block();
      if (s.failure) std::rethrow_exception(s.failure);
    }
  } catch (const std::exception& error) {
    const std::string text = error.what();
    s.abandon();
    running = nullptr;
    throw std::logic_error(std::string(name) + ": " + text);
  }
  running = nullptr;
}

namespace emulated {

int thread() {
  return static_cast<int>(running->current);
}
int threads() {
  return static_cast<int>(running->threads);
}
std::int64_t block(int axis) {
  return running->block[axis];
}
void barrier() {
  running->suspend(Waits::for_block);
}
// Two values in turn: nobody writes the second next one before all have read this one.
void exchange(const void* mine, void* theirs, std::size_t bytes, int lane) {
  Emulator::State& s = *running;
  const std::size_t current = s.current;
  Fiber& fiber = *s.fibers[current];
  const std::uint64_t turn = fiber.turn++ % 2;
  std::memcpy(fiber.value[turn], mine, bytes);
  s.suspend(Waits::for_warp);
  const std::size_t other = current / lanes * lanes + static_cast<std::size_t>(lane);
  if (lane < 0 || lane >= lanes || other >= s.threads)
    throw std::logic_error("an exchange with lane " + std::to_string(lane));
  std::memcpy(theirs, s.fibers[other]->value[turn], bytes);
}
void require_aligned(const void* address, std::size_t alignment) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0)
    throw std::logic_error("a load of " + std::to_string(alignment) + " bytes that is not aligned");
}

}  // namespace emulated

}  // namespace hearth::kernels::cuda
