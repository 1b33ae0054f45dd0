// One stream of a device, and events in a ring: the number of an event that has been overwritten
// stands for a later one, since a stream runs in order.
#include "kernels/cuda/native_runtime.hpp"

#include <cuda_runtime_api.h>

#include <array>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "kernels/access.hpp"
#include "kernels/host_memory.hpp"

namespace hearth::kernels::cuda {
namespace {

// As the library numbers CUDA's versions: 13000 is 13.0.
std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// The oldest driver that runs a program of this library.
constexpr const char* needed_driver = CUDART_VERSION >= 13000 ? "580" : "525";

// Without making a context there.
CudaDevice describe(int index) {
  CudaDevice device;
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, index) == cudaSuccess) {
    device.name = properties.name;
    device.capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
    device.memory = properties.totalGlobalMem;
    device.shares_memory = properties.integrated != 0;
  }
  char address[16] = {};
  if (cudaDeviceGetPCIBusId(address, sizeof address, index) == cudaSuccess)
    device.address = address;
  cudaGetLastError();  // the next call is another's
  return device;
}

std::string missing_device(int index) {
  const CudaDevices found = native_devices();
  return "CUDA device " + std::to_string(index) + " cannot be used: " +
         (found.count == 0
              ? found.missing
              : "this machine has " + std::to_string(found.count) + ", numbered from 0");
}

void free_device(std::byte* data) {
  cudaFree(data);  // of a device that is lost: an error that nobody can use
}

// What the host has page-locked, and how many runtimes each device has. Locked memory is the host's
// own: it outlives a device's context, and is locked again when the next one is there.
struct Shared {
  std::mutex mutex;
  std::map<std::byte*, std::size_t> locked;  // bytes by address
  std::map<int, int> runtimes;               // by device
};
Shared& shared() {
  static Shared all;
  return all;
}

// A wish: where no more can be locked, copies are slower.
void lock_pages(std::byte* data, std::size_t bytes) {
  if (cudaHostRegister(data, bytes, cudaHostRegisterPortable) != cudaSuccess) cudaGetLastError();
}
void unlock_pages(std::byte* data) {
  if (cudaHostUnregister(data) != cudaSuccess) cudaGetLastError();  // it was not
}

void free_page_locked(std::byte* data) {
  if (data == nullptr) return;
  {
    const std::lock_guard lock(shared().mutex);
    shared().locked.erase(data);
    unlock_pages(data);
  }
  free_host(data);
}

// A device's context, for as long as some runtime needs it: then it goes, with all that it took of
// the device's memory.
class Context {
 public:
  explicit Context(int index) : index_(index) {
    const std::lock_guard lock(shared().mutex);
    const bool first = shared().runtimes.empty();
    ++shared().runtimes[index_];
    if (cudaSetDevice(index_) != cudaSuccess) cudaGetLastError();  // said by who opens it
    if (!first) return;
    for (const auto& [data, bytes] : shared().locked) lock_pages(data, bytes);
  }
  ~Context() {
    const std::lock_guard lock(shared().mutex);
    if (--shared().runtimes[index_] > 0) return;
    shared().runtimes.erase(index_);
    if (shared().runtimes.empty())
      for (const auto& [data, bytes] : shared().locked) unlock_pages(data);
    if (cudaSetDevice(index_) == cudaSuccess) cudaDeviceReset();
    cudaGetLastError();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 private:
  const int index_;
};

class NativeRuntime final : public Runtime {
 public:
  explicit NativeRuntime(int index) : device_{Device::Kind::cuda, index}, context_(index) {
    const auto opened = [&](cudaError_t error) {
      if (error == cudaSuccess) return;
      cudaGetLastError();  // the next call is another's
      throw Error(missing_device(index) + " (" + cudaGetErrorString(error) + ")");
    };
    cudaDeviceProp properties{};
    opened(cudaSetDevice(index));
    opened(cudaGetDeviceProperties(&properties, index));
    description_ = std::string(properties.name) + ", compute capability " +
                   std::to_string(properties.major) + "." + std::to_string(properties.minor);
    check("a stream", cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (cudaEvent_t& event : events_)
      check("an event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  }
  ~NativeRuntime() override {
    cudaSetDevice(device_.index);
    for (cudaEvent_t event : events_)
      if (event != nullptr) cudaEventDestroy(event);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  NativeRuntime(const NativeRuntime&) = delete;
  NativeRuntime& operator=(const NativeRuntime&) = delete;

  // A kernel is loaded when it is first asked for; not in the middle of a token.
  template <class Arguments>
  void load(const Kernel<Arguments>& kernel) {
    cudaFuncAttributes attributes{};
    check(kernel.name, cudaFuncGetAttributes(&attributes, kernel.entry));
  }

  Device device() const override { return device_; }
  std::string description() const override { return description_; }

  DeviceMemory memory() override {
    use();
    std::size_t free = 0, total = 0;
    check("asking for its memory", cudaMemGetInfo(&free, &total));
    return {free, total};
  }

  Buffer allocate(std::size_t bytes, MemoryKind kind) override {
    use();
    void* data = nullptr;
    const std::size_t whole = bytes == 0 ? 1 : bytes;
    if (kind == MemoryKind::page_locked) {
      std::byte* const locked = Access::take(allocate_host(whole));
      Buffer result = Access::buffer({}, locked, bytes, free_page_locked);
      const std::lock_guard lock(shared().mutex);
      shared().locked.emplace(locked, whole);
      lock_pages(locked, whole);
      return result;
    }
    const cudaError_t taken = cudaMalloc(&data, whole);
    if (taken == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw DeviceFull();
    }
    check("an allocation", taken);
    Buffer result = Access::buffer(device_, static_cast<std::byte*>(data), bytes, free_device);
    check("clearing memory", cudaMemsetAsync(data, 0, whole, stream_));
    return result;
  }

  void copy(void* to, const void* from, std::size_t bytes) override {
    use();
    check("a copy", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_));
  }

  std::uint64_t record() override {
    use();
    check("an event", cudaEventRecord(events_[(recorded_ + 1) % events_.size()], stream_));
    return ++recorded_;
  }
  bool passed(std::uint64_t mark) override {
    if (mark <= passed_) return true;
    use();
    const cudaError_t state = cudaEventQuery(event_of(mark));
    if (state == cudaErrorNotReady) {
      cudaGetLastError();  // it is no error
      return false;
    }
    check("what was queued", state);
    passed_ = mark;
    return true;
  }
  void wait(std::uint64_t mark) override {
    if (mark <= passed_) return;
    use();
    check("what was queued", cudaEventSynchronize(event_of(mark)));
    passed_ = mark;
  }

 protected:
  void launch(const char* name, const void* entry, Grid grid, unsigned threads,
              const void* arguments, std::size_t) override {
    use();
    void* parameters[] = {const_cast<void*>(arguments)};
    check(name, cudaLaunchKernel(entry, dim3(grid.x, grid.y, grid.z), dim3(threads), parameters, 0,
                                 stream_));
  }

 private:
  // Of several devices the thread's calls go to the one that was used last.
  void use() const { check("choosing the device", cudaSetDevice(device_.index)); }
  void check(const char* what, cudaError_t error) const {
    if (error == cudaSuccess) return;
    cudaGetLastError();
    throw LostDevice(name(device_) + ": " + what + " failed: " + cudaGetErrorString(error));
  }
  // The mark's own, or a later one in its place.
  cudaEvent_t event_of(std::uint64_t mark) const { return events_[mark % events_.size()]; }

  const Device device_;
  const Context context_;  // goes when all that is below has gone
  std::string description_;
  cudaStream_t stream_ = nullptr;
  std::array<cudaEvent_t, 64> events_{};
  std::uint64_t recorded_ = 0;
  std::uint64_t passed_ = 0;  // the latest mark that is known to have
};

}  // namespace

std::unique_ptr<Runtime> native_runtime(int index, const Kernels& kernels) {
  auto runtime = std::make_unique<NativeRuntime>(index);
  for_each(kernels, [&](const auto& kernel) { runtime->load(kernel); });
  return runtime;
}

CudaDevices native_devices() {
  CudaDevices result{
      .built = true, .count = 0, .missing = {}, .needed_driver = needed_driver, .devices = {}};
  const cudaError_t error = cudaGetDeviceCount(&result.count);
  if (error == cudaSuccess && result.count > 0) {
    for (int i = 0; i < result.count; ++i) result.devices.push_back(describe(i));
    return result;
  }
  cudaGetLastError();  // the next call is another's
  result.count = 0;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    result.missing = std::string("there is no NVIDIA driver; this hearth needs version ") +
                     needed_driver + " or newer";
  } else if (driver / 1000 < CUDART_VERSION / 1000) {
    result.missing = "the NVIDIA driver is for CUDA " + version(driver) +
                     ", and this hearth was built with CUDA " + version(CUDART_VERSION) +
                     ": it needs driver " + needed_driver + " or newer";
  } else {
    result.missing = std::string("the NVIDIA driver finds none: ") + cudaGetErrorString(error);
  }
  return result;
}

}  // namespace hearth::kernels::cuda
