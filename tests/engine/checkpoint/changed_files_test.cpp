// A checkpoint's files that change between or during uses: what was computed from other bytes is
// never answered from, and whoever comes across it is told which file and tensor it was.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/checkpoint/digest.hpp"
#include "engine/engine.hpp"
#include "engine/experts/cache.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/model.hpp"
#include "engine/prefix/cache.hpp"
#include "tests/engine/files.hpp"

namespace hearth::tests {
namespace {

using namespace engine;
namespace fs = std::filesystem;

constexpr std::size_t questions = 16;

// The embedded checkpoint, to be damaged and repaired.
struct Copy {
  Copy() {
    for (const auto& entry : fs::directory_iterator(original))
      fs::copy(entry.path(), directory.path() / entry.path().filename());
  }
  // With room for few experts: they are read from the disk again and again.
  EngineOptions small_options() const {
    EngineOptions small = options();
    small.host().expert_memory = 4 * [&] {
      EngineOptions plain = options();
      plain.prefix_directory.clear();
      const auto runtime = Runtime::load(plain);
      return runtime->experts().budget_bytes / runtime->experts().slots;
    }();
    return small;
  }
  EngineOptions options() const {
    EngineOptions options;
    options.model = directory.path();
    options.host().threads = 2;
    options.prefix_directory = state.path() / "prefixes";
    options.disk_min_seconds = 0;
    return options;
  }
  // Has `change` alter the bytes of each expert's weight.
  void change_experts(const std::function<void(const TensorInfo&, std::string&)>& change) const {
    const Tensors tensors = Tensors::open(directory.path());
    for (const auto& [name, tensor] : tensors.all()) {
      if (!is_expert_weight(name)) continue;
      std::string bytes(static_cast<std::size_t>(tensor.bytes), '\0');
      tensors.read(tensor, 0, std::as_writable_bytes(std::span(bytes)));
      change(tensor, bytes);
      write(tensors.files()[tensor.file]->name(), tensor.offset, bytes);
    }
  }
  static void write(const std::string& file, std::uint64_t offset, const std::string& bytes) {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(offset));
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void repair() const {
    for (const auto& entry : fs::directory_iterator(original))
      fs::copy_file(entry.path(), directory.path() / entry.path().filename(),
                    fs::copy_options::overwrite_existing);
  }

  fs::path original = fs::path(HEARTH_SOURCE_DIR) / "engine/ember";
  ScratchDirectory directory;
  ScratchDirectory state;
};

std::vector<TokenId> question(std::size_t number) {
  std::vector<TokenId> tokens(200);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<TokenId>((i * 37 + number * 911) % 4000);
  return tokens;
}

std::vector<TokenId> answer(const std::shared_ptr<Runtime>& runtime, std::size_t number) {
  Session session(runtime);
  GenerationRequest request;
  request.prompt.tokens = question(number);
  request.sampling.temperature = 0;
  request.max_tokens = 6;
  Generation generation(session, std::move(request));
  while (generation.step(nullptr) != Progress::done) {
  }
  return generation.answer();
}

using Answers = std::vector<std::vector<TokenId>>;

Answers answers(const std::shared_ptr<Runtime>& runtime) {
  Answers all;
  for (std::size_t i = 0; i < questions; ++i) all.push_back(answer(runtime, i));
  return all;
}

std::size_t equal(const Answers& a, const Answers& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < questions; ++i) count += a[i] == b[i] ? 1 : 0;
  return count;
}

bool has_files(const Copy& copy) {
  return std::ranges::any_of(
      fs::directory_iterator(copy.state.path() / "prefixes"),
      [](const auto& entry) { return entry.path().extension() == ".prefix"; });
}

void wait_until_warm(const Runtime& runtime) {
  while (runtime.experts().warming) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

Answers right_answers() {
  static const Answers right = [] {
    const Copy copy;
    EngineOptions options = copy.options();
    options.prefix_directory.clear();
    options.prefix_ram_bytes = 0;
    return answers(Runtime::load(options));
  }();
  return right;
}

// A byte of an expert that no sample has, and of whose tensor the first routed token sees
// something.
struct Place {
  std::string file;
  std::string tensor;
  std::uint64_t offset = 0;
};

Place outside_every_sample(const fs::path& directory, int layer, int expert) {
  const Tensors tensors = Tensors::open(directory);
  const TensorInfo& tensor =
      tensors.require("model.layers." + std::to_string(layer) + ".mlp.experts." +
                      std::to_string(expert) + ".up_proj.weight");
  const std::vector<std::uint64_t> offsets = sample_offsets(tensors, tensor.file);
  REQUIRE(offsets.size() == 64);
  for (std::uint64_t at = tensor.offset; at < tensor.offset + tensor.bytes; ++at) {
    const bool sampled = std::ranges::any_of(
        offsets, [&](std::uint64_t offset) { return at >= offset && at < offset + sample_bytes; });
    if (!sampled) return {tensors.files()[tensor.file]->name(), tensor.name, at};
  }
  return {};
}

void flip(const Place& place) {
  char byte = 0;
  std::ifstream in(place.file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(place.offset));
  in.get(byte);
  Copy::write(place.file, place.offset, std::string(1, static_cast<char>(byte ^ 0x40)));
}

// A place outside the samples in an expert that there is one for.
Place some_place(const fs::path& directory) {
  for (int expert = 0; expert < 32; ++expert) {
    const Place place = outside_every_sample(directory, 3, expert);
    if (!place.file.empty()) return place;
  }
  FAIL("the samples cover everything");
  return {};
}

}  // namespace

TEST_CASE("weights that were damaged and repaired answer as if they had never been damaged") {
  const Copy copy;
  copy.change_experts(
      [](const TensorInfo&, std::string& bytes) { std::ranges::fill(bytes, '\0'); });
  const Answers wrong = answers(Runtime::load(copy.options()));
  CHECK(equal(wrong, right_answers()) < questions / 2);
  REQUIRE(has_files(copy));
  copy.repair();
  CHECK(equal(answers(Runtime::load(copy.options())), right_answers()) == questions);
}

TEST_CASE("a byte that no sample has is noticed once its expert was read") {
  const Copy copy;
  const Place place = some_place(copy.directory.path());
  flip(place);
  const std::uint64_t damaged = [&] {
    const auto runtime = Runtime::load(copy.options());
    answers(runtime);
    wait_until_warm(*runtime);
    return runtime->engine().fingerprint();
  }();
  REQUIRE(has_files(copy));
  copy.repair();

  SUBCASE("ahead of any request") {
    EngineOptions options = copy.options();
    std::mutex mutex;
    std::vector<std::string> notes;
    options.note = [&](const std::string& note) {
      const std::scoped_lock lock(mutex);
      notes.push_back(note);
    };
    const auto runtime = Runtime::load(options);
    CHECK(runtime->engine().fingerprint() == damaged);  // no sample has the byte
    wait_until_warm(*runtime);
    CHECK(equal(answers(runtime), right_answers()) == questions);
    const std::scoped_lock lock(mutex);
    REQUIRE(notes.size() == 1);
    CHECK(contains(notes.front(), place.file + ": tensor " + place.tensor));
  }
  SUBCASE("by a request that waits for it") {
    const auto runtime = Runtime::load(copy.small_options());
    std::vector<std::string> errors;
    std::size_t asked = 0;
    for (; asked < questions && errors.empty(); ++asked) {
      const std::string error = error_of([&] {
        // Another prompt: what is known of the old ones may need no expert at all.
        Session session(runtime);
        const std::vector<TokenId> tokens = question(100 + asked);
        session.sync(tokens);
        while (session.prefill(tokens, {}, nullptr) != Progress::done) {
        }
      });
      if (!error.empty()) errors.push_back(error);
    }
    REQUIRE(errors.size() == 1);
    CHECK(contains(errors.front(), place.file + ": tensor " + place.tensor));
    CHECK(contains(errors.front(), "ask again"));
    for (std::size_t i = 0; i < questions; ++i) CHECK(runtime->cached_prefix(question(i)) == 0);
    CHECK(equal(answers(runtime), right_answers()) == questions);
  }
  // The repaired bytes are what counts from then on, and what is kept now may be used.
  EngineOptions options = copy.options();
  std::vector<std::string> notes;
  options.note = [&](const std::string& note) { notes.push_back(note); };
  const auto runtime = Runtime::load(options);
  wait_until_warm(*runtime);
  CHECK(equal(answers(runtime), right_answers()) == questions);
  CHECK(runtime->prefix_statistics().hits > 0);
  CHECK(notes.empty());
}

TEST_CASE("no token comes of an expert that differs, though it is compared beside its use") {
  const Copy copy;
  const Place place = some_place(copy.directory.path());
  flip(place);
  {
    const auto runtime = Runtime::load(copy.options());
    answers(runtime);
    wait_until_warm(*runtime);
  }
  copy.repair();
  const auto runtime = Runtime::load(copy.small_options());
  ExpertDigests& digests = *runtime->executor().digests;
  Session session(runtime);
  std::string error;
  for (TokenId token = 0; token < 1000 && error.empty(); ++token) {
    error = error_of([&] { session.decode(token, nullptr); });
    if (error.empty()) REQUIRE(digests.differences() == 0);
  }
  CHECK(contains(error, place.file + ": tensor " + place.tensor));
}

TEST_CASE("what a session was computed from is not gone on with once an expert differed") {
  const Copy copy;
  const auto runtime = Runtime::load(copy.options());
  wait_until_warm(*runtime);
  Session session(runtime);
  const std::vector<TokenId> tokens = question(0);
  session.sync(tokens);
  while (session.prefill(tokens, {}, nullptr) != Progress::done) {
  }
  CHECK(runtime->cached_prefix(tokens) > 0);

  // As if the first expert came differently from the disk the next time.
  const ExpertStore& store = *runtime->engine().model().store;
  std::vector<std::byte> slot(store.slot_bytes());
  ExpertDigests& digests = *runtime->executor().digests;
  CHECK(!digests.check(0, slot));
  const std::string difference = digests.last_difference();
  CHECK(contains(difference, "model.layers.0.mlp.experts.0.gate_proj.weight"));
  CHECK(contains(difference, "Nobody changed the file"));
  bool same = true;  // and it stays one, on whatever thread
  digests.check_later(0, slot, [&](bool found) { same = found; });
  CHECK(digests.differences() == 2);  // waits for it
  CHECK(!same);

  CHECK(runtime->cached_prefix(tokens) == 0);
  CHECK(session.common(tokens) == 0);
  CHECK(error_of([&] { session.decode(5, nullptr); }) == difference);
  session.keep();
  CHECK(runtime->cached_prefix(tokens) == 0);
  CHECK(session.sync(tokens) == 0);  // begins anew
  while (session.prefill(tokens, {}, nullptr) != Progress::done) {
  }
  CHECK(session.decode(5, nullptr) == Progress::done);
  CHECK(runtime->cached_prefix(tokens) > 0);
}

TEST_CASE("states without a record of the experts they were computed from are not used") {
  const Copy copy;
  {
    const auto runtime = Runtime::load(copy.options());
    answer(runtime, 0);
  }
  REQUIRE(has_files(copy));
  fs::path record;
  for (const auto& entry : fs::directory_iterator(copy.state.path() / "prefixes"))
    if (entry.path().extension() == ".experts") record = entry.path();
  REQUIRE(!record.empty());
  CHECK(Runtime::load(copy.options())->cached_prefix(question(0)) > 0);
  SUBCASE("it is gone") {
    fs::remove(record);
  }
  SUBCASE("it is damaged") {
    Copy::write(record.string(), 40, "x");
  }
  CHECK(Runtime::load(copy.options())->cached_prefix(question(0)) == 0);
}

TEST_CASE("files that are changed under a running engine fail the next request, by name") {
  const Copy copy;
  const auto runtime = Runtime::load(copy.options());
  wait_until_warm(*runtime);
  const auto expected = answer(runtime, 1);
  const Tensors tensors = Tensors::open(copy.directory.path());
  const TensorInfo& norm = tensors.require("model.norm.weight");
  const std::string file = tensors.files()[norm.file]->name();
  const auto bytes = [&] {
    std::string some(static_cast<std::size_t>(norm.bytes), '\0');
    tensors.read(norm, 0, std::as_writable_bytes(std::span(some)));
    return some;
  }();
  const auto write_later = [&](const std::string& content) {
    const auto before = fs::last_write_time(file);
    Copy::write(file, norm.offset, content);
    fs::last_write_time(file, before + std::chrono::seconds(1));  // file times are coarse
  };
  write_later(std::string(bytes.size(), '\1'));
  for (int i = 0; i < 2; ++i) {
    const std::string error = error_of([&] { answer(runtime, 1); });
    CHECK(contains(error, file));
    CHECK(contains(error, "hearth stop"));
  }
  write_later(bytes);  // the very same bytes again
  CHECK(answer(runtime, 1) == expected);
  fs::rename(copy.directory.path() / file, copy.directory.path() / "elsewhere");
  CHECK(answer(runtime, 1) == expected);  // read on as it was opened
}

TEST_CASE(
    "samples are spread over every file's experts, and where they are follows from its size") {
  const Tensors tensors = Tensors::open(fs::path(HEARTH_SOURCE_DIR) / "engine/ember");
  for (std::size_t file = 0; file < tensors.files().size(); ++file) {
    const std::vector<std::uint64_t> offsets = sample_offsets(tensors, file);
    CHECK(offsets == sample_offsets(tensors, file));
    CHECK(std::set(offsets.begin(), offsets.end()).size() == 64);
    CHECK(std::ranges::is_sorted(offsets));
    for (const std::uint64_t offset : offsets) {
      CHECK(offset % sample_bytes == 0);
      CHECK(std::ranges::any_of(tensors.all(), [&](const auto& entry) {
        const TensorInfo& tensor = entry.second;
        return tensor.file == file && is_expert_weight(entry.first) &&
               offset < tensor.offset + tensor.bytes && tensor.offset < offset + sample_bytes;
      }));
    }
  }
}

}  // namespace hearth::tests
