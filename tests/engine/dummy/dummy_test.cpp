// Dummy checkpoints: laid out like the published ones, deterministic, all or nothing, and a
// model that computes ordinary numbers.
#include "engine/dummy/dummy.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <map>
#include <random>
#include <set>

#include "engine/checkpoint/safetensors.hpp"
#include "engine/checkpoint/safetensors_header.hpp"
#include "engine/dummy/tensors.hpp"
#include "engine/engine.hpp"
#include "engine/session_access.hpp"
#include "engine/support/json_tree.hpp"
#include "kernels/numeric.hpp"
#include "tests/engine/files.hpp"
#include "tests/short_run.hpp"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

// Everything the published model has, a thousandth of its size.
ModelConfig small_config(int layers, int experts) {
  ModelConfig config = published_config(layers, experts);
  config.vocab_size = 640;
  config.hidden_size = 256;
  config.max_position_embeddings = 4096;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 64;
  config.rotary_dim = 16;
  config.linear_num_key_heads = 2;
  config.linear_num_value_heads = 4;
  config.linear_key_head_dim = 64;
  config.linear_value_head_dim = 64;
  config.moe_intermediate_size = 192;  // one and a half scale blocks
  config.shared_expert_intermediate_size = 128;
  return config;
}

DummyOptions small_options(const fs::path& out) {
  DummyOptions options;
  options.out = out;
  options.config = small_config(4, 12);
  return options;
}

std::vector<fs::path> files_of(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

std::string content(const fs::path& file) {
  return read_text(file, 1 << 30);
}

std::shared_ptr<Runtime> load(const fs::path& model, bool mtp = false) {
  EngineOptions options;
  options.model = model;
  options.host().threads = 1;
  options.mtp = mtp ? MtpUse::always : MtpUse::off;
  return Runtime::load(options);
}

// What a run over random tokens, decoded one by one, shows.
struct Run {
  bool finite = true;
  double largest = 0;  // of all hidden values
  double hits = 0;     // share of the chosen experts among the quarter that was used last
};

Run run(const std::shared_ptr<Runtime>& runtime, int tokens) {
  Session session(runtime);
  std::minstd_rand random(7);
  const ModelConfig& config = runtime->engine().config();
  const auto experts = static_cast<std::size_t>(config.num_experts);
  std::list<std::size_t> recent;  // the last used first
  const std::size_t slots = experts * config.layers.size() / 4;
  std::size_t hits = 0;
  std::size_t uses = 0;
  Run result;
  for (int i = 0; i < tokens; ++i) {
    const auto token = static_cast<TokenId>(random() % static_cast<unsigned>(config.vocab_size));
    Taps taps;
    SessionAccess::run(session, std::span(&token, 1), kernels::DeltaForm::step, taps);
    for (const std::vector<float>& row : taps.hidden) {
      for (const float value : row) {
        result.finite = result.finite && std::isfinite(value);
        result.largest = std::max(result.largest, static_cast<double>(std::fabs(value)));
      }
    }
    for (const float value : taps.logits) result.finite = result.finite && std::isfinite(value);
    for (std::size_t layer = 0; layer < taps.router.size(); ++layer) {
      for (const std::int32_t expert : taps.router[layer]) {
        const std::size_t key = layer * experts + static_cast<std::size_t>(expert);
        const auto found = std::ranges::find(recent, key);
        ++uses;
        if (found != recent.end()) {
          ++hits;
          recent.erase(found);
        }
        recent.push_front(key);
        if (recent.size() > slots) recent.pop_back();
      }
    }
  }
  result.hits = static_cast<double>(hits) / static_cast<double>(uses);
  return result;
}

std::uint64_t blocks_on_disk(const fs::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace

TEST_CASE("a dummy checkpoint has every tensor that the engine asks for, with its shape") {
  const ScratchDirectory scratch;
  for (const bool mtp : {false, true}) {
    CAPTURE(mtp);
    DummyOptions options = small_options(scratch.path() / (mtp ? "mtp" : "plain"));
    options.mtp = mtp;
    const auto summary = write_dummy(options);
    REQUIRE(summary);
    const auto runtime = load(options.out, mtp);
    CHECK(runtime->engine().config().num_layers() == 4);
    CHECK(runtime->engine().config().layers[3] == LayerKind::full_attention);
    CHECK(runtime->engine().config().num_experts_per_tok == 10);
    CHECK(runtime->engine().config().rotary_dim == 16);
    CHECK(runtime->engine().model().mtp.has_value() == mtp);
    CHECK(runtime->engine().defaults().eos == std::vector<TokenId>{151645, 151643});
    std::uint64_t expert_bytes = 0;
    for (const DummyTensor& tensor : list_tensors(options.config, mtp)) {
      if (tensor.expert) expert_bytes += tensor.bytes;
    }
    CHECK(runtime->engine().model().dense_bytes + expert_bytes ==
          summary->bytes);  // nothing is left over
  }
}

TEST_CASE("the published shapes give the published number of tensors and bytes") {
  const ModelConfig config = published_config(48, 512);
  CHECK(config.num_experts_per_tok == 10);
  CHECK(std::ranges::count(config.layers, LayerKind::full_attention) == 12);
  const std::vector<DummyTensor> tensors = list_tensors(config, true);
  CHECK(tensors.size() == 151'479);
  std::uint64_t bytes = 0;
  for (const DummyTensor& tensor : tensors) bytes += tensor.bytes;
  CHECK(static_cast<double>(bytes) / (1 << 30) == doctest::Approx(76.42).epsilon(0.001));
}

TEST_CASE("the second family's shapes give its published number of tensors and bytes") {
  const auto model = [](std::string_view name) {
    return *std::ranges::find(published_models(), name, &PublishedModel::name);
  };
  const auto gigabytes = [](const std::vector<DummyTensor>& tensors) {
    double bytes = 0;
    for (const DummyTensor& tensor : tensors) bytes += static_cast<double>(tensor.bytes);
    return bytes * 1e-9;
  };
  const PublishedModel large = model("qwen3.6-35b-a3b");
  const std::vector<DummyTensor> tensors = list_tensors(large.config, true, large.form);
  constexpr std::size_t vision_tower = 333;
  CHECK(tensors.size() + vision_tower == 64'196);
  CHECK(gigabytes(tensors) == doctest::Approx(36.6).epsilon(0.02));  // and 0.9 of the tower

  const PublishedModel rows = model("ornith-1.5-35b-a3b");
  CHECK(gigabytes(list_tensors(rows.config, true, rows.form)) ==
        doctest::Approx(38.5).epsilon(0.02));
  const PublishedModel small = model("qwen3.5-0.8b");
  CHECK(gigabytes(list_tensors(small.config, false, small.form)) ==
        doctest::Approx(1.5).epsilon(0.02));
}

TEST_CASE("a dummy of each published model loads and decodes, few of its layers and experts") {
  const ScratchDirectory scratch;
  for (const PublishedModel& model : published_models()) {
    if (tests::is_short_run() && model.name != published_models().front().name) continue;
    CAPTURE(std::string(model.name));
    DummyOptions options;
    options.out = scratch.path() / model.name;
    options.form = model.form;
    options.mtp = model.mtp;
    options.config = with_layers(
        model, 4, model.config.is_dense() ? std::optional<int>{} : std::optional<int>{3});
    options.config.vocab_size = 640;
    options.config.hidden_size = 256;
    options.config.intermediate_size =
        std::min<std::int64_t>(options.config.intermediate_size, 300);
    const auto summary = write_dummy(options);
    REQUIRE(summary);
    const auto runtime = load(options.out, model.mtp);
    CHECK(runtime->engine().model().unused.empty());
    CHECK(runtime->engine().model().mtp.has_value() == model.mtp);
    Session session(runtime);
    CHECK(session.decode(5, nullptr) == Progress::done);
    CHECK(std::ranges::all_of(session.logits(), [](float value) { return std::isfinite(value); }));
  }
  CHECK(contains(error_of([] {
                   with_layers(
                       *std::ranges::find(published_models(), "qwen3.6-27b", &PublishedModel::name),
                       4, 8);
                 }),
                 "qwen3.6-27b has no experts"));
}

TEST_CASE("a shard's tensors lie by falling size of type, then by name, without gaps") {
  const ScratchDirectory scratch;
  DummyOptions options = small_options(scratch.path() / "model");
  options.shard_bytes = 3'000'000;
  const auto summary = write_dummy(options);
  REQUIRE(summary);
  CHECK(summary->shards > 2);

  for (const fs::path& path : files_of(options.out)) {
    if (path.extension() != ".safetensors") continue;
    CAPTURE(path.string());
    CHECK(fs::file_size(path) <= options.shard_bytes);
    const auto file = open_file(path);
    SafetensorsHeader header = read_safetensors_header(*file);
    CHECK(header.metadata.at("format") == "pt");
    std::ranges::sort(header.tensors, [](const TensorInfo& a, const TensorInfo& b) {
      return std::pair(size_of(b.type), a.name) < std::pair(size_of(a.type), b.name);
    });
    std::uint64_t at = header.tensors.front().offset;
    CHECK(at % 8 == 0);
    for (const TensorInfo& tensor : header.tensors) {
      CHECK(tensor.offset == at);
      at += tensor.bytes;
    }
    CHECK(at == file->size());
  }
}

TEST_CASE("the index names every tensor, and shards follow the order of the layers") {
  const ScratchDirectory scratch;
  DummyOptions options = small_options(scratch.path() / "model");
  options.shard_bytes = 3'000'000;
  const auto summary = write_dummy(options);
  REQUIRE(summary);

  const Tensors tensors = Tensors::open(options.out);
  const auto index = parse_json(content(options.out / "model.safetensors.index.json"), "index");
  CHECK(index["weight_map"].size() == tensors.all().size());
  CHECK(index["metadata"]["total_size"] == summary->bytes);
  const auto shard = [&](const std::string& name) {
    return index["weight_map"][name].get<std::string>();
  };
  CHECK(shard("model.embed_tokens.weight").starts_with("model-00001-of-0000"));
  CHECK(shard("model.layers.0.mlp.gate.weight") <= shard("model.layers.1.mlp.gate.weight"));
  CHECK(shard("model.layers.0.mlp.gate.weight") < shard("model.layers.3.mlp.gate.weight"));
  CHECK(shard("model.layers.3.mlp.gate.weight") <= shard("lm_head.weight"));

  const std::string expert = "model.layers.1.mlp.experts.5.";
  const TensorInfo& down = tensors.require(expert + "down_proj.weight");
  const TensorInfo& gate = tensors.require(expert + "gate_proj.weight");
  CHECK(down.type == TensorType::f8_e4m3);
  CHECK(gate.offset == down.offset + down.bytes);
  CHECK(tensors.require(expert + "gate_proj.weight_scale_inv").shape ==
        std::vector<std::int64_t>{2, 2});
}

TEST_CASE("the same seed gives the same bytes, another seed others") {
  const ScratchDirectory scratch;
  const auto write = [&](const char* name, std::uint64_t seed) {
    DummyOptions options = small_options(scratch.path() / name);
    options.seed = seed;
    REQUIRE(write_dummy(options));
    return content(options.out / "model-00001-of-00001.safetensors");
  };
  const std::string first = write("first", 1);
  CHECK(first == write("again", 1));
  CHECK(first != write("other", 2));
}

TEST_CASE("no code is NaN, no two experts are alike, and weights have the spread they should") {
  const ScratchDirectory scratch;
  const DummyOptions options = small_options(scratch.path() / "model");
  REQUIRE(write_dummy(options));
  const Tensors tensors = Tensors::open(options.out);
  std::set<std::string> seen;
  for (const auto& [name, tensor] : tensors.all()) {
    if (tensor.type != TensorType::f8_e4m3) continue;
    std::string codes(tensor.bytes, '\0');
    tensors.read(tensor, 0, std::as_writable_bytes(std::span(codes)));
    CHECK(codes.find_first_of("\x7f\xff") == std::string::npos);
    CHECK(seen.insert(codes).second);
  }

  const std::string name = "model.layers.2.mlp.experts.3.up_proj.weight";
  const TensorInfo& up = tensors.require(name);
  const std::vector<float> scales = tensors.read_f32(tensors.require(name + "_scale_inv"));
  std::vector<std::byte> codes(up.bytes);
  tensors.read(up, 0, codes);
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::size_t row = i / 256;
    const std::size_t col = i % 256;
    const double weight =
        static_cast<double>(kernels::widen_f8(static_cast<std::uint8_t>(codes[i]))) *
        static_cast<double>(scales[row / 128 * 2 + col / 128]);
    sum += weight;
    squares += weight * weight;
  }
  const auto count = static_cast<double>(codes.size());
  CHECK(sum / count == doctest::Approx(0).epsilon(0.002));
  CHECK(std::sqrt(squares / count) == doctest::Approx(1.0 / 16).epsilon(0.25));
}

TEST_CASE("activations stay of ordinary size through many layers, with and without holes") {
  const ScratchDirectory scratch;
  for (const bool sparse : {false, true}) {
    CAPTURE(sparse);
    DummyOptions options = small_options(scratch.path() / (sparse ? "sparse" : "full"));
    options.config = small_config(HEARTH_SANITIZED ? 8 : 48, 16);
    options.config.moe_intermediate_size = 64;
    options.sparse = sparse;
    REQUIRE(write_dummy(options));
    const Run result = run(load(options.out), 6);
    CHECK(result.finite);
    CHECK(result.largest > 1);
    CHECK(result.largest < 100);
  }
}

TEST_CASE("the head for drafts computes as well") {
  const ScratchDirectory scratch;
  DummyOptions options = small_options(scratch.path() / "model");
  options.mtp = true;
  options.skew = 2;
  REQUIRE(write_dummy(options));
  Session session(load(options.out, true));
  REQUIRE(session.decode(3, nullptr) == Progress::done);
  REQUIRE(session.decode(4, nullptr) == Progress::done);
  CHECK(session.draft(5, 3).size() == 3);
}

TEST_CASE("a skew of 2 makes a quarter of the experts serve most tokens, a skew of 0 all alike") {
  const ScratchDirectory scratch;
  const auto hits = [&](const char* name, double skew) {
    DummyOptions options = small_options(scratch.path() / name);
    options.config = small_config(3, 256);
    options.config.moe_intermediate_size = 16;
    options.skew = skew;
    REQUIRE(write_dummy(options));
    return run(load(options.out), HEARTH_SANITIZED ? 100 : 300).hits;
  };
  const double even = hits("even", 0);
  const double uneven = hits("uneven", 2);
  CHECK(even > 0.18);
  CHECK(even < 0.35);
  CHECK(uneven > 0.5);
  CHECK(uneven < 0.85);
}

TEST_CASE("a sparse checkpoint keeps its size and takes no space for experts") {
  const ScratchDirectory scratch;
  DummyOptions options = small_options(scratch.path() / "full");
  options.config = small_config(4, 64);
  const auto full = write_dummy(options);
  options.out = scratch.path() / "sparse";
  options.sparse = true;
  const auto sparse = write_dummy(options);
  REQUIRE(full);
  REQUIRE(sparse);
  CHECK(sparse->bytes == full->bytes);
  CHECK(sparse->written < full->written / 2);

  const char* shard = "model-00001-of-00001.safetensors";
  const std::string whole = content(scratch.path() / "full" / shard);
  const std::string hollow = content(options.out / shard);
  CHECK(whole.size() == hollow.size());
  CHECK(blocks_on_disk(options.out / shard) < blocks_on_disk(scratch.path() / "full" / shard) / 2);

  const Tensors tensors = Tensors::open(options.out);
  for (const auto& [name, tensor] : tensors.all()) {
    CAPTURE(name);
    const bool hole = name.find(".experts.") != std::string::npos && name.ends_with(".weight");
    const std::string_view bytes =
        std::string_view(hollow).substr(tensor.offset, static_cast<std::size_t>(tensor.bytes));
    if (hole) {
      CHECK(bytes.find_first_not_of('\0') == std::string_view::npos);
    } else {
      CHECK(bytes == std::string_view(whole).substr(tensor.offset, bytes.size()));
    }
  }
}

TEST_CASE("too little free space is refused with the arithmetic, before anything is written") {
  const ScratchDirectory scratch;
  DummyOptions options;
  options.out = scratch.path() / "model";
  options.config = published_config(8, 512);
  options.free_bytes = 9'000'000'000;
  const std::string message = error_of([&] { write_dummy(options); });
  CHECK(contains(message, "8 layers with 512 experts take 14.4"));
  CHECK(contains(message, "12.88 GB of them experts' weights"));
  CHECK(contains(message, "has 9.00 GB free"));
  CHECK(files_of(scratch.path()).empty());

  options.sparse = true;
  options.free_bytes = 1'000'000'000;
  CHECK(contains(error_of([&] { write_dummy(options); }), "has 1.00 GB free"));
}

TEST_CASE("what exists is never written over") {
  const ScratchDirectory scratch;
  scratch.write("file", "x");
  fs::create_directory(scratch.path() / "full");
  scratch.write("full/file", "x");
  fs::create_directory(scratch.path() / "empty");
  fs::create_directory(scratch.path() / "begun.partial");
  const auto message = [&](const char* name) {
    return error_of([&] { write_dummy(small_options(scratch.path() / name)); });
  };
  CHECK(contains(message("file"), "no empty directory"));
  CHECK(contains(message("full"), "no empty directory"));
  CHECK(contains(message("begun"), "begun.partial exists"));
  CHECK(message("empty").empty());
  CHECK(fs::exists(scratch.path() / "empty" / "config.json"));
  CHECK(message("new/deep/").empty());
  CHECK(fs::exists(scratch.path() / "new" / "deep" / "config.json"));
  CHECK(content(scratch.path() / "full" / "file") == "x");
}

TEST_CASE("nothing is left of a run that is stopped or fails") {
  const ScratchDirectory scratch;
  const std::atomic<bool> stop{true};
  CHECK(!write_dummy(small_options(scratch.path() / "model"), {}, &stop));
  CHECK(files_of(scratch.path()).empty());

  DummyOptions options = small_options(scratch.path() / "model");
  const auto failing = [](const DummyProgress&) { throw Error("the listener failed"); };
  CHECK(error_of([&] { write_dummy(options, failing); }) == "the listener failed");
  CHECK(files_of(scratch.path()).empty());

  options.config.num_experts_per_tok = 13;  // of 12
  CHECK(contains(error_of([&] { write_dummy(options); }), "num_experts_per_tok"));
  CHECK(files_of(scratch.path()).empty());
}

TEST_CASE("progress rises to the whole") {
  const ScratchDirectory scratch;
  DummyProgress last;
  const auto watch = [&](const DummyProgress& now) {
    CHECK(now.bytes_done >= last.bytes_done);
    CHECK(now.bytes_done <= now.bytes_total);
    last = now;
  };
  REQUIRE(write_dummy(small_options(scratch.path() / "model"), watch));
  CHECK(last.bytes_total > 0);
  CHECK(last.bytes_done == last.bytes_total);
}

TEST_CASE("a tokenizer is copied from a directory or a file, and refused when it does not fit") {
  const fs::path ember = fs::path(HEARTH_SOURCE_DIR) / "engine/ember";
  const ScratchDirectory scratch;
  for (const fs::path& source : {ember, ember / "tokenizer.json"}) {
    DummyOptions options = small_options(scratch.path() / source.filename());
    options.config.vocab_size = 151'936;
    options.config.hidden_size = 128;
    options.tokenizer = source;
    REQUIRE(write_dummy(options));
    CHECK(content(options.out / "tokenizer.json") == content(ember / "tokenizer.json"));
    const auto runtime = load(options.out);
    CHECK(runtime->engine().config().vocab_size == 151'936);
    CHECK(runtime->engine().tokenizer().special("<|im_start|>"));
  }

  DummyOptions options = small_options(scratch.path() / "refused");
  options.config.vocab_size = 100;
  options.tokenizer = ember;
  CHECK(contains(error_of([&] { write_dummy(options); }), "more than the model's 100"));
  options.tokenizer = scratch.path() / "elsewhere.json";
  CHECK(contains(error_of([&] { write_dummy(options); }), "a file named tokenizer.json"));
  CHECK(!fs::exists(options.out));
}

TEST_CASE("a tiny checkpoint has the tokenizer's vocabulary, a long context and either order") {
  const ScratchDirectory scratch;
  for (const FimOrder order : {FimOrder::prefix_first, FimOrder::suffix_first}) {
    DummyOptions options;
    options.out = scratch.path() / (order == FimOrder::prefix_first ? "published" : "suffix");
    options.config = tiny_config(256, 4, 32);
    options.tokenizer = fs::path(HEARTH_SOURCE_DIR) / "engine/ember";
    options.fim_order = order;
    const auto summary = write_dummy(options);
    REQUIRE(summary);
    CHECK(summary->written < 50'000'000);
    const auto runtime = load(options.out);
    const Engine& engine = runtime->engine();
    const Tokenizer& tokenizer = engine.tokenizer();
    CHECK(engine.config().vocab_size == 4096);
    CHECK(engine.context() == 8192);
    CHECK(engine.profile().fim_order == order);
    CHECK(engine.profile().surroundings);
    CHECK(engine.profile().fim_stop.size() == 7);
    CHECK(engine.defaults().eos == std::vector<TokenId>{*tokenizer.special("<|im_end|>"),
                                                        *tokenizer.special("<|endoftext|>")});
    const TokenPrompt prompt =
        tokenize(tokenizer, render_fim(engine.profile(), "def mean(values):\n    ", "\n"));
    CHECK(prompt.tokens.size() < 60);  // words, not bytes
    Session session(runtime);
    while (session.prefill(prompt.tokens, prompt.boundaries, nullptr) == Progress::more) {
    }
    CHECK(session.prefill_done() == static_cast<double>(prompt.tokens.size()));
  }
}

TEST_CASE("sizes that are none of a tiny checkpoint are refused, and an order without its tokens") {
  const auto refused = [](int hidden, int layers, int experts) {
    return error_of([&] { tiny_config(hidden, layers, experts); });
  };
  CHECK(contains(refused(250, 4, 32), "a multiple of 128"));
  CHECK(contains(refused(0, 4, 32), "a multiple of 128"));
  CHECK(contains(refused(2048, 4, 32), "up to 1024"));
  CHECK(contains(refused(256, 0, 32), "at least one of each"));
  CHECK(contains(refused(256, 4, 0), "at least one of each"));
  for (const int hidden : {128, 384, 1024}) CHECK(refused(hidden, 1, 1).empty());
}

}  // namespace hearth::engine
