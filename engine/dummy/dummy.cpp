// Writing a dummy checkpoint: checks, files at the disk's speed, all or nothing.
#include "engine/dummy/dummy.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/dummy/tensors.hpp"
#include "engine/dummy/values.hpp"
#include "engine/support/file.hpp"
#include "engine/support/json_tree.hpp"
#include "engine/support/partial_directory.hpp"
#include "engine/tokenizer/profile.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t block = 4096;  // what direct writes are aligned to
constexpr std::uint64_t portion_bytes = 8 << 20;
constexpr int writers = 2;  // one makes values while the other writes
constexpr std::chrono::milliseconds report_interval{100};

constexpr std::array tokenizer_files{"tokenizer.json",
                                     "tokenizer_config.json",
                                     "special_tokens_map.json",
                                     "added_tokens.json",
                                     "vocab.json",
                                     "merges.txt",
                                     "chat_template.jinja"};

std::uint64_t round_up(std::uint64_t bytes) {
  return (bytes + block - 1) / block * block;
}

[[noreturn]] void fail(const fs::path& path, const char* action) {
  throw Error(path.string() + ": cannot " + action + ": " + std::generic_category().message(errno));
}

// --- What is written --------------------------------------------------------------------------

struct TextFile {
  std::string name;
  std::string content;
};

// The ids that end a text and an answer: the published ones, unless a tokenizer has others.
struct EndIds {
  TokenId text = 0;
  TokenId answer = 0;

  static EndIds of(const ModelConfig& config) {
    if (config.delta_layout == DeltaLayout::plain) return {248044, 248046};
    return {151643, 151645};
  }
};

using Json = nlohmann::ordered_json;

// Names of the modules whose weights are not quantised.
Json unquantised_modules(const std::vector<DummyShard>& shards) {
  Json names = Json::array();
  constexpr std::string_view suffix = ".weight";
  for (const DummyShard& shard : shards) {
    for (const DummyTensor& tensor : shard.tensors) {
      if (tensor.type != TensorType::bf16 || !tensor.name.ends_with(suffix)) continue;
      names.push_back(tensor.name.substr(0, tensor.name.size() - suffix.size()));
    }
  }
  return names;
}

Json quantization(WeightForm form, const std::vector<DummyShard>& shards) {
  if (form == WeightForm::fp8) {
    return {{"activation_scheme", "dynamic"},
            {"fmt", "e4m3"},
            {"modules_to_not_convert", unquantised_modules(shards)},
            {"quant_method", "fp8"},
            {"weight_block_size", {128, 128}}};
  }
  const Json weights{
      {"num_bits", 8}, {"type", "float"}, {"symmetric", true}, {"strategy", "channel"}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "float-quantized"},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}},
          {"ignore", unquantised_modules(shards)}};
}

// The fields that both families have.
Json common_fields(const ModelConfig& config) {
  return {{"attention_bias", false},
          {"attention_dropout", 0.0},
          {"full_attention_interval", attention_interval},
          {"head_dim", config.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", config.hidden_size},
          {"initializer_range", 0.02},
          {"linear_conv_kernel_dim", config.linear_conv_kernel_dim},
          {"linear_key_head_dim", config.linear_key_head_dim},
          {"linear_num_key_heads", config.linear_num_key_heads},
          {"linear_num_value_heads", config.linear_num_value_heads},
          {"linear_value_head_dim", config.linear_value_head_dim},
          {"max_position_embeddings", config.max_position_embeddings},
          {"num_attention_heads", config.num_attention_heads},
          {"num_hidden_layers", config.num_layers()},
          {"num_key_value_heads", config.num_key_value_heads},
          {"rms_norm_eps", 1e-6},
          {"use_cache", true},
          {"vocab_size", config.vocab_size}};
}

void add_expert_fields(Json& fields, const ModelConfig& config) {
  fields.update({{"moe_intermediate_size", config.moe_intermediate_size},
                 {"num_experts", config.num_experts},
                 {"num_experts_per_tok", config.num_experts_per_tok},
                 {"output_router_logits", false},
                 {"router_aux_loss_coef", 0.001},
                 {"shared_expert_intermediate_size", config.shared_expert_intermediate_size}});
}

Json qwen3_next_fields(const ModelConfig& config, const EndIds& end) {
  Json fields = common_fields(config);
  add_expert_fields(fields, config);
  fields.update(
      Json{{"architectures", {"Qwen3NextForCausalLM"}},
           {"bos_token_id", end.text},
           {"decoder_sparse_step", 1},
           {"eos_token_id", end.answer},
           {"intermediate_size", 5120},
           {"mlp_only_layers", Json::array()},
           {"model_type", "qwen3_next"},
           {"norm_topk_prob", config.norm_topk_prob},
           {"partial_rotary_factor", static_cast<double>(config.rotary_dim) / config.head_dim},
           {"rope_scaling", nullptr},
           {"rope_theta", config.rope_theta},
           {"tie_word_embeddings", config.tie_word_embeddings},
           {"torch_dtype", "bfloat16"},
           {"use_sliding_window", false}});
  return fields;
}

// The wrapped form, without the vision tower that published ones have beside it.
Json qwen3_5_fields(const ModelConfig& config, const EndIds& end, bool mtp) {
  const std::string type = config.is_dense() ? "qwen3_5" : "qwen3_5_moe";
  Json text = common_fields(config);
  text.update(
      Json{{"attn_output_gate", true},
           {"dtype", "bfloat16"},
           {"eos_token_id", end.text},
           {"mamba_ssm_dtype", "float32"},
           {"model_type", type + "_text"},
           {"mtp_num_hidden_layers", mtp ? 1 : 0},
           {"mtp_use_dedicated_embeddings", false},
           {"rope_parameters",
            {{"partial_rotary_factor", static_cast<double>(config.rotary_dim) / config.head_dim},
             {"rope_theta", config.rope_theta},
             {"rope_type", "default"}}}});
  if (config.is_dense())
    text["intermediate_size"] = config.intermediate_size;
  else
    add_expert_fields(text, config);
  return {{"architectures",
           {config.is_dense() ? "Qwen3_5ForConditionalGeneration"
                              : "Qwen3_5MoeForConditionalGeneration"}},
          {"model_type", type},
          {"text_config", text},
          {"tie_word_embeddings", config.tie_word_embeddings}};
}

TextFile config_file(const DummyOptions& options, const std::vector<DummyShard>& shards,
                     const EndIds& end) {
  const ModelConfig& config = options.config;
  Json document = config.delta_layout == DeltaLayout::plain
                      ? qwen3_5_fields(config, end, options.mtp)
                      : qwen3_next_fields(config, end);
  if (options.form != WeightForm::bf16)
    document["quantization_config"] = quantization(options.form, shards);
  return {"config.json", document.dump(2) + "\n"};
}

TextFile generation_file(const EndIds& end) {
  const nlohmann::ordered_json document{{"bos_token_id", end.text},
                                        {"pad_token_id", end.text},
                                        {"do_sample", true},
                                        {"eos_token_id", {end.answer, end.text}},
                                        {"temperature", 0.7},
                                        {"top_p", 0.8},
                                        {"top_k", 20}};
  return {"generation_config.json", document.dump(2) + "\n"};
}

std::uint64_t tensor_bytes(const std::vector<DummyShard>& shards) {
  std::uint64_t bytes = 0;
  for (const DummyShard& shard : shards) {
    for (const DummyTensor& tensor : shard.tensors) bytes += tensor.bytes;
  }
  return bytes;
}

TextFile index_file(const std::vector<DummyShard>& shards) {
  std::vector<std::pair<std::string_view, std::string_view>> places;
  for (const DummyShard& shard : shards) {
    for (const DummyTensor& tensor : shard.tensors) places.emplace_back(tensor.name, shard.name);
  }
  std::ranges::sort(places);
  std::string json =
      "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(tensor_bytes(shards)) +
      "\n  },\n  \"weight_map\": {\n";
  for (const auto& [tensor, shard] : places) {
    json.append("    \"").append(tensor).append("\": \"").append(shard).append("\"");
    json += tensor == places.back().first ? "\n" : ",\n";
  }
  return {"model.safetensors.index.json", json + "  }\n}\n"};
}

// What a checkpoint has of its tokenizer.
struct TokenizerPart {
  std::vector<TextFile> files;
  std::int64_t vocab_size = 4'096;  // without one: for token ids
  EndIds end;
};

// A file's or its directory's, as either may be named.
fs::path tokenizer_directory(const fs::path& named) {
  std::error_code ignored;  // what cannot be looked at is no directory to us
  if (fs::is_directory(named, ignored)) return named;
  if (named.filename() != "tokenizer.json") {
    throw Error(named.string() +
                ": expected a checkpoint's directory or a file named tokenizer.json");
  }
  return named.parent_path();
}

// Once it is known that the model can use it.
TokenizerPart read_tokenizer(const DummyOptions& options) {
  TokenizerPart part;
  part.end = EndIds::of(options.config);
  if (options.tokenizer.empty()) return part;
  const fs::path directory = tokenizer_directory(options.tokenizer);
  const fs::path file = directory / "tokenizer.json";
  const Tokenizer tokenizer = Tokenizer::load(directory);
  const auto tokens = static_cast<std::int64_t>(tokenizer.vocab_size());
  part.vocab_size = (tokens + 127) / 128 * 128;
  const std::int64_t room = options.config.vocab_size;
  if (room > 0 && tokens > room) {
    throw Error(file.string() + ": its " + std::to_string(tokens) +
                " tokens are more than the model's " + std::to_string(room));
  }
  read_profile(directory, options.config, tokenizer, {});  // throws for one without ChatML's tokens
  for (const char* content : {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}) {
    if (options.fim_order == FimOrder::suffix_first && !tokenizer.special(content)) {
      throw Error(file.string() + ": no added token " + content +
                  ", which fill in the middle needs");
    }
  }
  part.end.text = tokenizer.special("<|endoftext|>").value_or(part.end.text);
  part.end.answer = tokenizer.special("<|im_end|>").value_or(part.end.answer);
  for (const char* name : tokenizer_files) {
    if (!file_exists(directory / name)) continue;
    part.files.push_back({name, read_text(directory / name, max_json_bytes)});
  }
  return part;
}

// What the profile of this checkpoint has beside what published ones have in common.
std::vector<TextFile> profile_files(const DummyOptions& options) {
  if (options.fim_order == FimOrder::prefix_first) return {};
  return {{"hearth.json", "{\"fim_order\": \"suffix_first\"}\n"}};
}

// --- Where it is written ----------------------------------------------------------------------

struct Range {  // of a file's bytes; begins at a multiple of `block`
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// The parts of the shard that are no holes, in rising order.
std::vector<Range> solid_ranges(const DummyShard& shard, bool sparse) {
  if (!sparse) return {{0, shard.bytes}};
  std::vector<Range> ranges{{0, shard.header.size()}};
  for (const DummyTensor& tensor : shard.tensors) {
    if (tensor.expert) continue;
    const std::uint64_t begin = tensor.offset / block * block;
    const std::uint64_t end = tensor.offset + tensor.bytes;
    if (begin <= round_up(ranges.back().end)) {
      ranges.back().end = end;
    } else {
      ranges.push_back({begin, end});
    }
  }
  return ranges;
}

// A new file written in aligned blocks, past the page cache: a checkpoint is larger than memory.
class BlockFile {
 public:
  explicit BlockFile(fs::path path) : path_(std::move(path)) {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    constexpr mode_t mode = 0666;  // as the user's mask allows
    descriptor_ = ::open(path_.c_str(), flags | O_DIRECT, mode);
    if (descriptor_ < 0 && errno == EINVAL) {  // this file system has no direct writes
      direct_ = false;
      ::unlink(path_.c_str());
      descriptor_ = ::open(path_.c_str(), flags, mode);
    }
    if (descriptor_ < 0) fail(path_, "create");
  }
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;
  ~BlockFile() { ::close(descriptor_); }

  // offset, size and address are multiples of `block`. Thread-safe.
  void write(std::uint64_t offset, std::span<const std::byte> from) const {
    const std::uint64_t begin = offset;
    while (!from.empty()) {
      const ssize_t done =
          ::pwrite(descriptor_, from.data(), from.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(path_, "write");
      offset += static_cast<std::uint64_t>(done);
      from = from.subspan(static_cast<std::size_t>(done));
    }
    if (direct_) return;
    const auto at = static_cast<off_t>(begin);
    const auto count = static_cast<off_t>(offset - begin);
    ::sync_file_range(descriptor_, at, count,
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                          SYNC_FILE_RANGE_WAIT_AFTER);  // finish() reports what fails
    ::posix_fadvise(descriptor_, at, count, POSIX_FADV_DONTNEED);
  }

  // Gives the file its size, and holes where nothing was written, and waits for the disk.
  void finish(std::uint64_t size) const {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail(path_, "resize");
    if (::fsync(descriptor_) != 0) fail(path_, "write");
  }

 private:
  fs::path path_;
  int descriptor_ = -1;
  bool direct_ = true;
};

// A portion's worth of memory that direct writes accept.
class PortionBuffer {
 public:
  PortionBuffer() : bytes_(static_cast<std::byte*>(std::aligned_alloc(block, portion_bytes))) {
    if (!bytes_) throw std::bad_alloc();
  }
  std::span<std::byte> first(std::uint64_t count) const {
    return {bytes_.get(), static_cast<std::size_t>(count)};
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
};

void write_text(const fs::path& path, std::string_view text) {
  const BlockFile file(path);
  const PortionBuffer buffer;
  for (std::uint64_t at = 0; at < text.size(); at += portion_bytes) {
    const std::string_view part = text.substr(static_cast<std::size_t>(at), portion_bytes);
    const std::span<std::byte> to = buffer.first(round_up(part.size()));
    std::ranges::copy(std::as_bytes(std::span(part)), to.begin());
    std::ranges::fill(to.subspan(part.size()), std::byte{0});
    file.write(at, to);
  }
  file.finish(text.size());
}

// --- Writing ----------------------------------------------------------------------------------

struct Portion {
  std::size_t shard = 0;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;  // whole blocks
};

std::vector<Portion> portions_of(const std::vector<DummyShard>& shards, bool sparse) {
  std::vector<Portion> portions;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const Range& range : solid_ranges(shards[i], sparse)) {
      for (std::uint64_t at = range.begin; at < range.end; at += portion_bytes) {
        portions.push_back({i, at, std::min(portion_bytes, round_up(range.end - at))});
      }
    }
  }
  return portions;
}

// False: stopped.
bool write_shards(const fs::path& directory, const DummyOptions& options,
                  const std::vector<DummyShard>& shards, const std::vector<Portion>& portions,
                  const std::function<void(const DummyProgress&)>& progress,
                  const std::atomic<bool>* stop) {
  std::vector<std::unique_ptr<BlockFile>> files;
  files.reserve(shards.size());
  for (const DummyShard& shard : shards) {
    files.push_back(std::make_unique<BlockFile>(directory / shard.name));
  }
  DummyProgress report;
  for (const Portion& portion : portions) report.bytes_total += portion.bytes;

  const DummyValues values(options, shards);
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> ended{false};  // stopped, or a writer failed
  const auto write = [&] {
    try {
      const PortionBuffer buffer;
      for (std::size_t i = next++; i < portions.size() && !ended; i = next++) {
        const Portion& portion = portions[i];
        const std::span<std::byte> bytes = buffer.first(portion.bytes);
        values.fill(shards[portion.shard], portion.begin, bytes);
        files[portion.shard]->write(portion.begin, bytes);
        done += portion.bytes;
      }
    } catch (...) {
      ended = true;
      throw;
    }
  };

  std::vector<std::future<void>> running;
  running.reserve(writers);
  for (int i = 0; i < writers; ++i) running.push_back(std::async(std::launch::async, write));
  try {
    for (std::future<void>& writer : running) {
      while (writer.wait_for(report_interval) != std::future_status::ready) {
        report.bytes_done = done;
        if (progress) progress(report);
        if (stop != nullptr && *stop) ended = true;
      }
    }
  } catch (...) {  // from `progress`
    ended = true;
    throw;
  }
  for (std::future<void>& writer : running) writer.get();
  if (stop != nullptr && *stop) return false;
  for (std::size_t i = 0; i < shards.size(); ++i) files[i]->finish(shards[i].bytes);
  report.bytes_done = done;
  if (progress) progress(report);
  return true;
}

// --- Checks -----------------------------------------------------------------------------------

// OUT without a trailing slash.
fs::path prepared(const fs::path& out) {
  if (out.empty()) throw Error("a directory for the checkpoint must be named");
  std::error_code error;
  fs::path path = fs::absolute(out, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (fs::exists(path, error) && (!fs::is_directory(path, error) || !fs::is_empty(path, error))) {
    throw Error(path.string() + " exists and is no empty directory. Delete it, or choose another");
  }
  return path;
}

std::string gigabytes(std::uint64_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

void require_space(const fs::path& out, const DummyOptions& options, std::uint64_t needed,
                   std::uint64_t expert_bytes) {
  std::error_code error;
  fs::path there = out.parent_path();  // or the nearest above it
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, error);
  if (error) throw Error(out.string() + ": cannot ask for the free space: " + error.message());
  const std::uint64_t available = options.free_bytes.value_or(space.available);
  if (needed <= available) return;
  throw Error(out.string() + ": " + std::to_string(options.config.num_layers()) + " layers with " +
              std::to_string(options.config.num_experts) + " experts take " + gigabytes(needed) +
              " (" + gigabytes(expert_bytes) + " of them experts' weights), the file system has " +
              gigabytes(available) + " free: " + gigabytes(needed - available) +
              " are missing. Choose fewer layers or experts, leave the experts' weights out "
              "(sparse), or choose another disk");
}

}  // namespace

std::optional<DummySummary> write_dummy(const DummyOptions& asked_for,
                                        const std::function<void(const DummyProgress&)>& progress,
                                        const std::atomic<bool>* stop) {
  const TokenizerPart tokenizer = read_tokenizer(asked_for);
  DummyOptions options = asked_for;
  if (options.config.vocab_size == 0) options.config.vocab_size = tokenizer.vocab_size;
  const std::vector<DummyShard> shards =
      lay_out(list_tensors(options.config, options.mtp, options.form), options.shard_bytes);
  const std::vector<Portion> portions = portions_of(shards, options.sparse);
  std::vector<TextFile> texts{config_file(options, shards, tokenizer.end),
                              generation_file(tokenizer.end), index_file(shards)};
  for (const std::vector<TextFile>& more : {tokenizer.files, profile_files(options)}) {
    texts.insert(texts.end(), more.begin(), more.end());
  }
  parse_config(texts.front().content, "the checkpoint's config.json");  // refuses odd shapes

  DummySummary summary{.shards = shards.size(), .bytes = tensor_bytes(shards)};
  for (const Portion& portion : portions) summary.written += portion.bytes;
  for (const TextFile& text : texts) summary.written += round_up(text.content.size());
  std::uint64_t expert_bytes = 0;
  for (const DummyShard& shard : shards) {
    for (const DummyTensor& tensor : shard.tensors) {
      if (tensor.expert && !options.sparse) expert_bytes += tensor.bytes;
    }
  }

  const fs::path out = prepared(options.out);
  require_space(out, options, summary.written, expert_bytes);
  PartialDirectory partial(out);
  for (const TextFile& text : texts) write_text(partial.path() / text.name, text.content);
  if (!write_shards(partial.path(), options, shards, portions, progress, stop)) return std::nullopt;
  partial.publish();
  return summary;
}

}  // namespace hearth::engine
