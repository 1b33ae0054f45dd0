// The multi-token-prediction head: a layer of its own behind the last one's final norm, on the
// host.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "engine/forward/parts.hpp"

namespace hearth::engine {

namespace {

using kernels::Backend;
using kernels::KvCache;
using kernels::ProductForm;
using kernels::Slice;
using kernels::SplitSpec;

}  // namespace

std::optional<MtpResult> run_mtp(const Model& model, Executor& executor, const ModelConfig& config,
                                 KvCache& kv, std::span<const float> hidden,
                                 std::span<const TokenId> next, std::int64_t position,
                                 std::size_t logit_rows, ProductForm form,
                                 const std::atomic<bool>* interrupt) try {
  const MtpHead& mtp = *model.mtp;
  Backend& backend = executor.host();
  const Finish finish{backend};
  const std::size_t width = static_cast<std::size_t>(config.hidden_size);
  MtpResult result;
  // In blocks of rows, like a layer's mixer, for the scratch's sake.
  for (std::size_t begin = 0; begin < next.size(); begin += mixer_rows) {
    const std::size_t count = std::min(mixer_rows, next.size() - begin);
    executor.workspace().reset();
    const Block block{config,
                      backend,
                      executor.workspace(),
                      form,
                      static_cast<int>(count),
                      position + static_cast<std::int64_t>(begin)};
    backend.begin(interrupt);
    const Slice tokens = block.take(config.hidden_size);
    const Slice states = block.take(config.hidden_size);
    backend.embed(model.embed_tokens, next.subspan(begin, count), tokens);
    backend.write(states, hidden.subspan(begin * width, count * width));
    const Slice joined = block.take(2 * config.hidden_size);
    const std::int64_t stride = 2 * config.hidden_size;
    backend.split_groups(block.norm(tokens, mtp.pre_fc_norm_embedding), block.rows, 1,
                         std::array{SplitSpec{joined, config.hidden_size, stride, 0}});
    backend.split_groups(
        block.norm(states, mtp.pre_fc_norm_hidden), block.rows, 1,
        std::array{SplitSpec{joined, config.hidden_size, stride, config.hidden_size}});
    const Slice x = block.take(config.hidden_size);
    block.matmul({{mtp.fc, joined, x, block.rows}});
    const Slice mixed =
        full_attention(block, mtp.layer.full, kv, block.norm(x, mtp.layer.input_layernorm));
    // Outlives the workspace, which the experts use block by block.
    const kernels::Buffer attended = backend.allocate(count * width * sizeof(float));
    const kernels::Buffer out = backend.allocate(count * width * sizeof(float));
    backend.add(x, mixed, kernels::slice(attended));
    if (!backend.finish()) return std::nullopt;
    ExpertWork work;
    ChunkMemory memory(executor.devices.size());
    if (!feed_forward(block, executor, mtp.layer, work, memory, kernels::slice(attended),
                      kernels::slice(out), interrupt, nullptr)) {
      return std::nullopt;
    }
    backend.begin(interrupt);
    const Slice normed = block.norm(kernels::slice(out), mtp.norm);
    const std::size_t before = next.size() - logit_rows;  // rows without logits
    const std::size_t wanted = begin + count - std::min(begin + count, std::max(begin, before));
    Slice logits;
    if (wanted > 0) {
      logits = block.space.take(wanted * static_cast<std::size_t>(config.vocab_size));
      backend.matmul(model.lm_head, normed.sub((count - wanted) * width, wanted * width), logits,
                     static_cast<int>(wanted), ProductForm::gemv);
    }
    if (!backend.finish()) return std::nullopt;
    const std::vector<float> rows = read(backend, normed);
    result.normed.insert(result.normed.end(), rows.begin(), rows.end());
    const std::vector<float> scores = read(backend, logits);
    result.logits.insert(result.logits.end(), scores.begin(), scores.end());
  }
  return result;
} catch (...) {
  executor.abandon();
  throw;
}

}  // namespace hearth::engine
