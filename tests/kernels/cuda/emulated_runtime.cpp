// The emulated device's memory, and its queue.
#include "tests/kernels/cuda/emulated_runtime.hpp"

#include <sys/mman.h>

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/access.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/host_memory.hpp"

#include "tests/kernels/cuda/emulator.hpp"

namespace hearth::kernels::cuda {
namespace {

constexpr std::size_t page = 4096;
// What CUDA aligns allocations to.
constexpr std::size_t alignment = 256;
// As numbers of any format NaN, as an index out of range.
constexpr int poison = 0xff;

// --- Memory --------------------------------------------------------------------------------------

struct Allocation {
  std::byte* mapping = nullptr;
  std::size_t mapped = 0;
  std::size_t bytes = 0;
  std::shared_ptr<EmulatedControl> control;
};

// Of all emulated devices: a Buffer's deleter knows an address only.
struct Memory {
  std::mutex mutex;
  std::map<std::byte*, Allocation> live;
  std::deque<Allocation> freed;
  std::size_t freed_bytes = 0;
};
Memory& all_memory() {
  static Memory all;
  return all;
}

std::byte* take(std::size_t bytes, std::shared_ptr<EmulatedControl> control) {
  const std::size_t used = (bytes + alignment - 1) / alignment * alignment;
  const std::size_t pages = (used + page - 1) / page * page;
  Allocation made{.mapped = pages + 2 * page, .bytes = bytes, .control = std::move(control)};
  void* const mapping =
      ::mmap(nullptr, made.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  made.mapping = static_cast<std::byte*>(mapping);
  if (::mprotect(made.mapping + page, pages, PROT_READ | PROT_WRITE) != 0) {
    ::munmap(mapping, made.mapped);
    throw std::bad_alloc();
  }
  // Up to the page that faults.
  std::byte* const data = made.mapping + page + (pages - used);
  made.control->bytes += bytes;
  const std::lock_guard lock(all_memory().mutex);
  all_memory().live.emplace(data, std::move(made));
  return data;
}

// Freed memory stays for what is queued to find, until there is much of it.
void give_back(std::byte* data) {
  if (data == nullptr) return;
  constexpr std::size_t kept = std::size_t{64} << 20;
  Memory& all = all_memory();
  const std::lock_guard lock(all.mutex);
  const auto found = all.live.find(data);
  if (found == all.live.end()) std::abort();  // freed twice
  Allocation freed = std::move(found->second);
  all.live.erase(found);
  freed.control->bytes -= freed.bytes;
  freed.control.reset();
  std::memset(freed.mapping + page, poison, freed.mapped - 2 * page);
  all.freed_bytes += freed.mapped;
  all.freed.push_back(std::move(freed));
  while (all.freed_bytes > kept) {
    all.freed_bytes -= all.freed.front().mapped;
    ::munmap(all.freed.front().mapping, all.freed.front().mapped);
    all.freed.pop_front();
  }
}

// --- The queue -----------------------------------------------------------------------------------

class EmulatedRuntime final : public Runtime {
 public:
  EmulatedRuntime(Device device, std::shared_ptr<EmulatedControl> control)
      : device_(device),
        control_(std::move(control)),
        random_(control_->seed),
        emulator_(control_->seed) {}

  Device device() const override { return device_; }
  std::string description() const override { return name(device_) + ", emulated"; }

  DeviceMemory memory() override {
    const std::uint64_t used = control_->bytes + control_->taken;
    return {control_->capacity - std::min(control_->capacity, used), control_->capacity};
  }

  Buffer allocate(std::size_t bytes, MemoryKind kind) override {
    call("an allocation");
    ++control_->allocations;
    if (kind == MemoryKind::page_locked) return allocate_host(bytes);
    if (bytes > memory().free) throw DeviceFull();
    Buffer result = Access::buffer(device_, take(bytes, control_), bytes, give_back);
    // Not zero before its turn has come.
    std::byte* const data = Access::data(result);
    std::memset(data, poison, bytes);
    queue([data, bytes] { std::memset(data, 0, bytes); });
    return result;
  }

  void copy(void* to, const void* from, std::size_t bytes) override {
    call("a copy");
    ++control_->copies;
    control_->copied_bytes += bytes;
    queue([to, from, bytes] { std::memmove(to, from, bytes); });
  }

  std::uint64_t record() override {
    call("an event");
    return queued_;
  }
  bool passed(std::uint64_t mark) override {
    call("a query");
    const bool before = mark <= done_;
    // Now and then something has run meanwhile; who goes on asking gets there.
    if (!before && random_() % 2 == 0) run(done_ + 1);
    return before;
  }
  void wait(std::uint64_t mark) override {
    call("a wait");
    if (mark <= done_) return;
    if (++control_->waits == control_->forgotten_wait) return;
    run(mark);
    // Or a little more than was waited for.
    if (random_() % 4 == 0 && done_ < queued_) run(done_ + 1);
  }

 protected:
  void launch(const char* name, const void* entry, Grid grid, unsigned threads,
              const void* arguments, std::size_t bytes) override {
    call("a launch");
    ++control_->launches;
    const auto* const begin = static_cast<const std::byte*>(arguments);
    queue([this, name, entry, grid, threads, copy = std::vector(begin, begin + bytes)] {
      emulator_.run(name, entry, grid, threads, copy.data());
    });
  }

 private:
  void call(const std::string& what) {
    if (++control_->calls >= control_->fail_from)
      throw LostDevice(name(device_) + ": " + what + " failed: the device is lost");
  }
  void queue(std::function<void()> work) {
    queue_.push_back(std::move(work));
    ++queued_;
  }
  void run(std::uint64_t until) {
    for (; done_ < until; ++done_) {
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      work();
    }
  }

  const Device device_;
  const std::shared_ptr<EmulatedControl> control_;
  std::mt19937 random_;
  Emulator emulator_;
  std::deque<std::function<void()>> queue_;
  std::uint64_t queued_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

std::unique_ptr<Runtime> emulated_runtime(Device device, std::shared_ptr<EmulatedControl> control) {
  return std::make_unique<EmulatedRuntime>(device, std::move(control));
}

std::unique_ptr<Backend> emulated_backend(Device device, std::shared_ptr<EmulatedControl> control) {
  return make_backend(emulated_runtime(device, std::move(control)), emulated_kernels());
}

}  // namespace hearth::kernels::cuda
