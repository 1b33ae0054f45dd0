// Bytes and operations of a model, and predicted times. Shapes as in model.hpp.
#include "engine/measure/cost.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "engine/forward/forward.hpp"
#include "engine/forward/model.hpp"

namespace hearth::engine {

namespace {

constexpr double bf16 = 2;
constexpr double f32 = 4;
constexpr double block = 128;      // of an FP8 scale
constexpr double delta_rows = 64;  // of a chunk of the delta rule

// Bytes of a matrix that the published FP8 checkpoints quantise.
double quantised(double rows, double cols, WeightForm form) {
  if (form == WeightForm::bf16) return rows * cols * bf16;
  if (form == WeightForm::fp8_rows) return rows * cols + rows * f32;
  return rows * cols + std::ceil(rows / block) * std::ceil(cols / block) * f32;
}

double product(double rows, double cols) {
  return 2 * rows * cols;
}

WeightForm weight_form(const Tensors& tensors) {
  for (const auto& [name, tensor] : tensors.all()) {
    if (tensor.type != TensorType::f8_e4m3) continue;
    const bool by_rows = tensors.find(name + std::string(scale_ending)) != nullptr;
    return by_rows ? WeightForm::fp8_rows : WeightForm::fp8;
  }
  return WeightForm::bf16;
}

}  // namespace

Costs costs_of(const ModelConfig& config, WeightForm form, bool mtp) {
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto width = static_cast<double>(config.moe_intermediate_size);
  const auto shared = static_cast<double>(config.shared_expert_intermediate_size);
  const auto vocab = static_cast<double>(config.vocab_size);
  const double experts = config.num_experts;
  const double queries = double{1} * config.num_attention_heads * config.head_dim;
  const double keys = double{1} * config.num_key_value_heads * config.head_dim;
  const double linear_keys = double{1} * config.linear_num_key_heads * config.linear_key_head_dim;
  const double heads = config.linear_num_value_heads;
  const double key_dim = config.linear_key_head_dim;
  const double value_dim = config.linear_value_head_dim;
  const double values = heads * value_dim;
  const double channels = 2 * linear_keys + values;

  // What every row of a layer's second half goes through: router and shared expert, or the MLP.
  const WeightForm other = form == WeightForm::fp8_rows ? WeightForm::bf16 : form;
  const auto dense = static_cast<double>(config.intermediate_size);
  const double inner = config.is_dense() ? dense : shared;
  const double routing = config.is_dense() ? 0 : experts * hidden * bf16 + hidden * bf16;
  const double moe_bytes =
      routing + 2 * quantised(inner, hidden, form) + quantised(hidden, inner, form);
  const double attention_bytes = quantised(2 * queries, hidden, form) +
                                 2 * quantised(keys, hidden, form) +
                                 quantised(hidden, queries, form);

  Costs costs;
  for (const LayerKind kind : config.layers) {
    LayerCost layer;
    layer.moe_bytes = moe_bytes;
    layer.flops = product(experts, hidden) + 3 * product(inner, hidden);
    if (kind == LayerKind::full_attention) {
      layer.mixer_bytes = attention_bytes;
      layer.flops += product(3 * queries + 2 * keys, hidden);
      layer.attention_flops = 4 * queries;
      costs.kv_bytes += 2 * keys * f32;
    } else {
      layer.mixer_bytes = quantised(channels + values, hidden, other) + 2 * heads * hidden * bf16 +
                          quantised(hidden, values, other);
      layer.flops += product(channels + 2 * values + 2 * heads, hidden);
      // Per head and row: k·k and q·k of half a chunk, both with u; recall of k and q; the update.
      layer.delta_rule_flops =
          heads * (2 * delta_rows * (key_dim + value_dim) + 6 * key_dim * value_dim);
      const double history = (config.linear_conv_kernel_dim - 1) * channels;
      costs.state_bytes += (heads * key_dim * value_dim + history) * f32;
    }
    costs.layers.push_back(layer);
  }
  if (mtp) {
    costs.mtp_bytes = quantised(hidden, 2 * hidden, other) + attention_bytes + moe_bytes;
    costs.kv_bytes += 2 * keys * f32;
  }
  costs.expert_bytes = 2 * quantised(width, hidden, form) + quantised(hidden, width, form);
  costs.expert_flops = 3 * product(width, hidden);
  costs.experts = config.num_experts;
  costs.experts_per_token = config.num_experts_per_tok;
  costs.row_bytes = hidden * f32;
  costs.embedding_bytes = vocab * hidden * bf16;
  costs.head_bytes = config.tie_word_embeddings ? 0 : vocab * hidden * bf16;
  costs.shortlist_bytes = vocab * (hidden + 2 * f32);
  costs.head_flops = product(vocab, hidden);
  return costs;
}

WeightForm weight_form(const Engine& engine) {
  return weight_form(*engine.model().tensors);
}

CheckpointShape read_shape(const EngineOptions& options) {
  CheckpointShape shape;
  shape.config = read_config(options.model);
  const Tensors tensors = Tensors::open(options.model);
  shape.form = weight_form(tensors);
  shape.mtp = tensors.find("mtp.fc.weight") != nullptr;
  Profile profile;
  if (std::filesystem::exists(options.model / "tokenizer.json")) {
    profile = read_profile(options.model, shape.config, Tokenizer::load(options.model),
                           read_generation_defaults(options.model));
  }
  shape.context = context_tokens(options, shape.config, profile);
  return shape;
}

double Costs::dense_bytes() const {
  double total = embedding_bytes + head_bytes + mtp_bytes;
  for (const LayerCost& layer : layers) total += layer.mixer_bytes + layer.moe_bytes;
  return total;
}

double Costs::all_expert_bytes() const {
  const std::size_t with_head = layers.size() + (mtp_bytes > 0 ? 1 : 0);
  return static_cast<double>(with_head) * experts * expert_bytes;
}

double Costs::decode_bytes(bool shortlisted, double depth) const {
  double total = shortlisted ? shortlist_bytes : head_bytes > 0 ? head_bytes : embedding_bytes;
  for (const LayerCost& layer : layers) {
    total += layer.mixer_bytes + layer.moe_bytes + experts_per_token * expert_bytes;
  }
  return total + depth * kv_bytes + 2 * state_bytes;  // states are read and written
}

double Costs::prefill_flops(double tokens, double depth) const {
  double per_token = 0;
  double attention = 0;
  for (const LayerCost& layer : layers) {
    per_token += layer.flops + layer.delta_rule_flops + experts_per_token * expert_flops;
    attention += layer.attention_flops;
  }
  return tokens * per_token + attention * tokens * (depth + tokens / 2) + head_flops;
}

double Costs::touched(double tokens) const {
  if (experts == 0) return 0;
  const double missed = 1 - static_cast<double>(experts_per_token) / experts;
  return experts * (1 - std::pow(missed, tokens));
}

KernelSpeed usual_kernels(const MachineSpeed& machine, WeightForm form) {
  KernelSpeed speed;
  speed.products = (form != WeightForm::bf16 ? 0.85 : 0.82) * machine.memory;
  speed.shortlist = 0.80 * machine.memory;
  constexpr std::pair<double, double> shares[] = {{4, 0.24}, {16, 0.45}, {64, 0.60}, {256, 0.68}};
  for (const auto& [rows, share] : shares) speed.gemm.push_back({rows, share * machine.arithmetic});
  speed.delta_rule = 0.45 * machine.arithmetic;
  speed.attention = 0.42 * machine.arithmetic;
  return speed;
}

double KernelSpeed::gemm_flops(double rows) const {
  if (gemm.empty()) return 0;
  if (rows <= gemm.front().rows) {
    // Fewer rows take nearly as long: it is the weights that cost.
    return gemm.front().flops * rows / gemm.front().rows;
  }
  for (std::size_t i = 1; i < gemm.size(); ++i) {
    const GemmSpeed& from = gemm[i - 1];
    const GemmSpeed& to = gemm[i];
    if (rows > to.rows) continue;
    const double share = std::log(rows / from.rows) / std::log(to.rows / from.rows);
    return from.flops + share * (to.flops - from.flops);
  }
  return gemm.back().flops;
}

double decode_seconds(const Costs& costs, const MachineSpeed& machine, const KernelSpeed& kernels,
                      double hits, bool shortlisted, double depth) {
  const double routed = costs.experts_per_token * costs.expert_bytes;
  const double computed = hits * routed / kernels.products;
  const double read = hits < 1 ? (1 - hits) * routed / machine.disk : 0;
  // What was read is computed too; only the last of it is not hidden behind other reads.
  const double last = hits < 1 ? costs.expert_bytes / kernels.products : 0;
  const double head = costs.head_bytes > 0 ? costs.head_bytes : costs.embedding_bytes;
  double total = shortlisted ? costs.shortlist_bytes / kernels.shortlist : head / kernels.products;
  for (const LayerCost& layer : costs.layers) {
    total +=
        (layer.mixer_bytes + layer.moe_bytes) / kernels.products + std::max(computed, read + last);
  }
  return total + (depth * costs.kv_bytes + 2 * costs.state_bytes) / machine.memory;
}

double prefill_seconds(const Costs& costs, const MachineSpeed& machine, const KernelSpeed& kernels,
                       double tokens, double resident, double chunk) {
  const auto layers = static_cast<double>(costs.layers.size());
  double dense = 0;       // operations of a token
  double delta_rule = 0;  // and of the delta rule
  double attention = 0;   // and of a position that it sees
  for (const LayerCost& layer : costs.layers) {
    dense += layer.flops;
    delta_rule += layer.delta_rule_flops;
    attention += layer.attention_flops;
  }
  double total = 0;
  for (double done = 0; done < tokens; done += chunk) {
    const double rows = std::min(chunk, tokens - done);
    const double touched = costs.touched(rows);
    const double routed = rows * costs.experts_per_token;  // rows that experts compute
    double compute = rows * dense / kernels.gemm_flops(rows);
    if (routed > 0)
      compute += layers * routed * costs.expert_flops / kernels.gemm_flops(routed / touched);
    if (delta_rule > 0) compute += rows * delta_rule / kernels.delta_rule;
    if (attention > 0) compute += attention * rows * (done + rows / 2) / kernels.attention;
    const double read =
        resident < 1 ? (1 - resident) * touched * layers * costs.expert_bytes / machine.disk : 0;
    total += std::max(compute, read);
  }
  const double head = costs.head_bytes > 0 ? costs.head_bytes : costs.embedding_bytes;
  return total + head / kernels.products;
}

namespace {

std::uint64_t whole_bytes(double value) {
  return static_cast<std::uint64_t>(value);
}

// Of a model that costs so; none is given by a person.
MemoryWishes wishes_of(const Costs& costs) {
  MemoryWishes wishes;
  wishes.all_experts = whole_bytes(costs.all_expert_bytes());
  wishes.min_experts = whole_bytes(2 * costs.experts_per_token * costs.expert_bytes);
  return wishes;
}

}  // namespace

std::uint64_t min_memory(const Costs& costs) {
  MemoryPlan plan;
  plan.dense = whole_bytes(costs.dense_bytes());
  return min_memory(plan, wishes_of(costs));
}

MemoryPlan plan_memory(const Costs& costs, const EngineOptions& options, const ModelConfig& config,
                       std::int64_t context, const MemoryView& view, const std::string& name) {
  MemoryPlan plan;
  plan.dense = whole_bytes(costs.dense_bytes());
  plan.kv = whole_bytes(costs.kv_bytes * static_cast<double>(context) *
                        (options.kv == KvType::f16 ? 0.5 : 1));
  plan.states = whole_bytes(costs.state_bytes) * (2 + options.drafts);
  plan.prefixes = options.prefix_ram_bytes.value_or(default_prefixes(view));
  plan.scratch = static_cast<std::uint64_t>(chunk_rows(options, config, context)) *
                 chunk_bytes_per_row(config);
  plan.shortlist = shortlist_bytes(options, config, plan, view);
  MemoryWishes wishes = wishes_of(costs);
  wishes.experts = options.host().expert_memory;
  plan_experts(plan, view, wishes, name);
  return plan;
}

double resident_share(const MemoryPlan& plan, const Costs& costs) {
  const double all = std::floor(costs.all_expert_bytes());
  return all > 0 ? std::min(1.0, static_cast<double>(plan.experts) / all) : 1;
}

}  // namespace hearth::engine
