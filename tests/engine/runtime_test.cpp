// What is immutable, and what runs: by way of a const Engine, or of a const Runtime, nothing can be
// changed, and what a Runtime computes changes nothing of its Engine.
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/engine.hpp"
#include "engine/forward/executor.hpp"
#include "engine/forward/model.hpp"
#include "engine/support/digest.hpp"

namespace hearth::tests {
namespace {

using namespace engine;

template <class T>
concept gives_backend = requires(T& it) {
  it.backend();
};
template <class T>
concept gives_executor = requires(T& it) {
  it.executor();
};
template <class T>
concept gives_prefixes = requires(T& it) {
  it.prefixes();
};
template <class T>
concept looks_up_prefixes = requires(T& it) {
  it.cached_prefix({});
};
template <class T>
concept checks_files = requires(T& it) {
  it.check_files();
};

static_assert(gives_backend<Runtime> && gives_executor<Runtime> && gives_prefixes<Runtime>);
static_assert(looks_up_prefixes<Runtime> && checks_files<Runtime>);
static_assert(!gives_backend<const Runtime> && !gives_executor<const Runtime>);
static_assert(!gives_prefixes<const Runtime> && !looks_up_prefixes<const Runtime>);
static_assert(!checks_files<const Runtime>);
static_assert(!gives_backend<Engine> && !gives_executor<Engine> && !gives_prefixes<Engine>);

// Whatever an Engine hands out is a value or const.
template <class T>
constexpr bool is_read_only =
    !std::is_reference_v<T> || std::is_const_v<std::remove_reference_t<T>>;
template <class Result>
constexpr bool gives_read_only(Result (Engine::*)() const) {
  return is_read_only<Result>;
}
template <class... Members>
constexpr bool are_read_only(Members... members) {
  return (gives_read_only(members) && ...);
}
static_assert(are_read_only(&Engine::options, &Engine::config, &Engine::tokenizer, &Engine::profile,
                            &Engine::defaults, &Engine::context, &Engine::fingerprint,
                            &Engine::description, &Engine::numerics, &Engine::threads, &Engine::isa,
                            &Engine::chunk_rows, &Engine::notes, &Engine::model, &Engine::has_mtp,
                            &Engine::has_shortlist, &Engine::sampling_seconds));
static_assert(std::is_same_v<decltype(std::declval<Runtime&>().engine()), const Engine&>);
static_assert(std::is_const_v<std::remove_reference_t<decltype(*std::declval<Model>().tensors)>>);
static_assert(std::is_const_v<std::remove_reference_t<decltype(*std::declval<Model>().store)>>);
static_assert(!std::is_default_constructible_v<Engine> && !std::is_copy_constructible_v<Engine>);
static_assert(!std::is_assignable_v<Engine&, const Engine&>);

// Sessions are made from what runs, not from what can only be read.
static_assert(std::is_constructible_v<Session, std::shared_ptr<Runtime>>);
static_assert(!std::is_constructible_v<Session, std::shared_ptr<const Runtime>>);
static_assert(!std::is_constructible_v<Session, std::shared_ptr<const Engine>>);

// Everything of an engine that has a value, its weights' bytes included.
struct Seen {
  std::uint64_t weights = 0;
  std::uint64_t fingerprint = 0;
  std::string description;
  std::vector<std::string> notes;
  std::uint64_t dense_bytes = 0;
  std::int64_t context = 0;
  bool operator==(const Seen&) const = default;
};

Seen look(Runtime& runtime) {
  const Engine& engine = runtime.engine();
  Seen seen{0,
            engine.fingerprint(),
            engine.description(),
            engine.notes(),
            engine.model().dense_bytes,
            engine.context()};
  const auto add = [&](std::span<const kernels::Buffer> storage) {
    for (const kernels::Buffer& weights : storage)
      seen.weights = digest(*runtime.backend().map(weights), seen.weights);
  };
  add(engine.model().storage);
  for (const Layer& layer : engine.model().layers) add(layer.storage);
  return seen;
}

TEST_CASE("a runtime computes, forgets and shrinks, and its engine stays what it was") {
  EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/tests/golden/fp8";
  options.host().threads = 2;
  const std::shared_ptr<Runtime> runtime = Runtime::load(options);
  const std::shared_ptr<const Runtime> watched = runtime;
  const Seen before = look(*runtime);

  const std::vector<TokenId> prompt{5, 77, 130, 5, 9, 5, 77, 41};
  const auto run = [&] {
    Session session(runtime);
    session.sync(prompt);
    while (session.prefill(prompt, {}, nullptr) != Progress::done) {
    }
    REQUIRE(session.decode(3, nullptr) == Progress::done);
    return std::vector<float>(session.logits().begin(), session.logits().end());
  };
  const std::vector<float> first = run();
  CHECK(watched->experts().hits + watched->experts().misses > 0);  // what runs has changed
  CHECK(watched->prefix_statistics().ram_checkpoints > 0);
  CHECK(look(*runtime) == before);

  runtime->executor().experts->resize(0);
  runtime->executor().experts->forget();
  CHECK(run() == first);
  CHECK(look(*runtime) == before);
}

}  // namespace
}  // namespace hearth::tests
