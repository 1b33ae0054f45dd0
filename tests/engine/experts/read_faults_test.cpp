// Files that are damaged while experts are read from them: the request fails and names the file, or
// the bits are those of whole files.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/experts/store.hpp"
#include "tests/engine/experts/tiers.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
using namespace tiers;

// Decodes until an error comes; its text.
std::string failing_decode(Session& session) {
  return error_of([&] {
    for (TokenId token = 0; token < 100; ++token) session.decode(token, nullptr);
  });
}

TEST_CASE("a shard that is cut while in use fails the request, and names the file") {
  for (const ReaderKind reader : {ReaderKind::uring, ReaderKind::threads}) {
    const CheckpointCopy copy;
    const auto runtime = Runtime::load(copy.options(reader));
    Session session(runtime);
    REQUIRE(session.decode(1, nullptr) == Progress::done);
    for (int shard : {1, 2}) std::filesystem::resize_file(copy.shard(shard), 5000);
    const std::string error = failing_decode(session);
    CHECK(contains(error, copy.directory.path().string()));
    CHECK(contains(error, "cut while in use"));
    // What lies in memory still serves, and a second error is an error again, not a wait.
    CHECK(failing_decode(session) != "");
  }
}

TEST_CASE("a shard that is overwritten while in use fails the request, and names the file") {
  const CheckpointCopy copy;
  const auto runtime = Runtime::load(copy.options(ReaderKind::threads));
  Session session(runtime);
  REQUIRE(session.decode(1, nullptr) == Progress::done);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // file times are coarse
  for (int shard : {1, 2}) {
    std::fstream file(copy.shard(shard), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('x');
  }
  const std::string error = failing_decode(session);
  CHECK(contains(error, copy.directory.path().string()));
  CHECK(contains(error, "changed while in use"));
}

TEST_CASE("a shard that is deleted or replaced while in use is read on as it was opened") {
  EngineOptions plain = options_for(golden / "fp8");
  Session expected(Runtime::load(plain));
  const CheckpointCopy copy;
  Session session(Runtime::load(copy.options(ReaderKind::uring)));
  std::filesystem::remove(copy.shard(1));
  std::filesystem::remove(copy.shard(2));
  copy.directory.write(copy.shard(1).filename().string(), "something else");
  for (const TokenId token : {4, 9, 121}) {
    REQUIRE(expected.decode(token, nullptr) == Progress::done);
    REQUIRE(session.decode(token, nullptr) == Progress::done);
    CHECK(std::ranges::equal(session.logits(), expected.logits()));
  }
}

// A file whose reads go wrong now and then.
class FaultyFile final : public File {
 public:
  enum class Fault { none, short_reads, error };
  FaultyFile(std::unique_ptr<File> file, const std::atomic<Fault>& fault)
      : file_(std::move(file)), fault_(fault) {}
  const std::string& name() const override { return file_->name(); }
  std::uint64_t size() const override { return file_->size(); }
  void read(std::uint64_t offset, std::span<std::byte> to) const override {
    file_->read(offset, to);
  }
  std::size_t read_direct(std::uint64_t offset, std::span<std::byte> to) const override {
    if (fault_ == Fault::error) {
      throw Error(name() + ": reading at byte " + std::to_string(offset) +
                  " failed: Input/output error");
    }
    const bool cut = fault_ == Fault::short_reads && to.size() > direct_alignment;
    return file_->read_direct(offset, cut ? to.first(direct_alignment) : to);
  }

 private:
  std::unique_ptr<File> file_;
  const std::atomic<Fault>& fault_;
};

TEST_CASE("short reads are completed, and an I/O error passes when the disk recovers") {
  std::atomic<FaultyFile::Fault> fault = FaultyFile::Fault::none;
  std::vector<std::unique_ptr<File>> files;
  for (const int shard : {1, 2}) {
    files.push_back(std::make_unique<FaultyFile>(
        open_file(golden / "fp8" /
                  ("model-0000" + std::to_string(shard) + "-of-00002.safetensors")),
        fault));
  }
  const Tensors tensors = Tensors::from_files(std::move(files));
  const ModelConfig config = read_config(golden / "fp8");
  ExpertStore store(tensors, config, {"model.layers.0.mlp.experts."});
  kernels::CpuChoice choice;
  const auto backend = kernels::open_cpu(1, std::nullopt, choice);
  ExpertCache cache(store, tensors.files(), {.devices = {{backend.get(), 4 * store.slot_bytes()}}});

  const auto down_row = [&](int expert) {  // 1 · the expert's down projection
    const std::vector<ExpertId> wanted{{expert}};
    std::vector<float> row;
    cache.lend(LayerId{0}, wanted, Pass::decode, nullptr, [&](Leases& leases) {
      const std::vector<Lease> ready = leases.next();
      REQUIRE(ready.size() == 1);
      const kernels::Matrix& down = ready.front().weights.down;
      const auto x = backend->allocate(static_cast<std::size_t>(down.cols()) * sizeof(float));
      const auto y = backend->allocate(static_cast<std::size_t>(down.rows()) * sizeof(float));
      backend->write(kernels::slice(x),
                     std::vector<float>(static_cast<std::size_t>(down.cols()), 1.0F));
      backend->matmul(down, kernels::slice(x), kernels::slice(y), 1);
      row.resize(static_cast<std::size_t>(down.rows()));
      backend->read(kernels::slice(y), row);
    });
    return row;
  };
  const std::vector<float> expected = down_row(0);
  for (int expert = 1; expert < 6; ++expert) down_row(expert);  // pushes the first out
  fault = FaultyFile::Fault::short_reads;
  CHECK(down_row(0) == expected);
  for (int expert = 1; expert < 6; ++expert) down_row(expert);
  fault = FaultyFile::Fault::error;
  const std::string error = error_of([&] { down_row(0); });
  CHECK(contains(error, "Input/output error"));
  CHECK(contains(error, ".safetensors"));
  fault = FaultyFile::Fault::none;
  CHECK(down_row(0) == expected);
}

}  // namespace
}  // namespace hearth::tests
