#include "tests/engine/golden_compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <span>

#include "engine/checkpoint/safetensors.hpp"
#include "engine/session_access.hpp"

namespace hearth::tests {

using namespace engine;

namespace {

constexpr double router_gap = 1e-4;    // closer picks may fall either way
constexpr double token_margin = 1e-2;  // closer logits may fall either way

// One prompt's recorded results; empty where a file has none.
struct Recorded {
  std::size_t index = 0;
  std::vector<TokenId> prompt;
  std::vector<float> logits;         // [all or 1][vocab]
  std::vector<float> hidden;         // [layers+1][all or 1][hidden]
  std::vector<std::int32_t> router;  // [layers][t][k]
  std::vector<float> gap;            // [layers][t]
  std::vector<TokenId> greedy;
  std::vector<float> margin;
  std::vector<float> mtp;  // [t-1 or 1][vocab]
  std::vector<TokenId> draft;
  std::vector<float> draft_margin;
};

std::vector<float> floats(const Tensors& file, const std::string& name) {
  const TensorInfo* tensor = file.find(name);
  return tensor == nullptr ? std::vector<float>{} : file.read_f32(*tensor);
}

std::vector<std::int32_t> integers(const Tensors& file, const std::string& name) {
  const TensorInfo* tensor = file.find(name);
  return tensor == nullptr ? std::vector<std::int32_t>{} : file.read_i32(*tensor);
}

std::vector<Recorded> read_golden(const std::filesystem::path& path) {
  const Tensors file = Tensors::open_file(path);
  std::vector<Recorded> all;
  for (std::size_t i = 0; file.find("prompt." + std::to_string(i)) != nullptr; ++i) {
    const std::string n = "." + std::to_string(i);
    all.push_back({i, integers(file, "prompt" + n), floats(file, "logits" + n),
                   floats(file, "hidden" + n), integers(file, "router" + n),
                   floats(file, "gap" + n), integers(file, "greedy" + n),
                   floats(file, "margin" + n), floats(file, "mtp" + n), integers(file, "draft" + n),
                   floats(file, "draft_margin" + n)});
  }
  if (all.empty()) throw Error(path.string() + " holds no prompt.0: not a golden file");
  return all;
}

struct Difference {
  double size = 0;
  std::size_t at = 0;
};

Difference largest_difference(std::span<const float> a, std::span<const float> b) {
  Difference largest{.size = a.size() == b.size() ? 0 : INFINITY};
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double size = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(size <= largest.size)) largest = {size, i};  // a NaN stays
  }
  return largest;
}

std::string in_short(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", x);
  return text;
}

TokenId argmax(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

// Appends the rows that one piece of a prompt left in its taps.
void append(Taps& all, const Taps& piece) {
  const auto join = [](auto& to, const auto& from) {
    to.resize(std::max(to.size(), from.size()));
    for (std::size_t i = 0; i < from.size(); ++i)
      to[i].insert(to[i].end(), from[i].begin(), from[i].end());
  };
  join(all.hidden, piece.hidden);
  join(all.router, piece.router);
  all.logits.insert(all.logits.end(), piece.logits.begin(), piece.logits.end());
}

class Comparison {
 public:
  Comparison(const std::shared_ptr<Runtime>& runtime, const Recorded& recorded,
             const GoldenMode& mode)
      : runtime_(runtime), recorded_(recorded), mode_(mode) {}

  GoldenReport run() {
    report_.prompts = 1;
    Session session(runtime_);
    taps_ = read_prompt(session);
    compare_rows();
    compare_router();
    compare_mtp(session);
    compare_teacher_forced(session);
    compare_free_running();
    return std::move(report_);
  }

 private:
  std::size_t rows() const { return recorded_.prompt.size(); }

  void miss(const std::string& what) {
    report_.misses.push_back("prompt " + std::to_string(recorded_.index) + " (" + mode_.name() +
                             "): " + what);
  }

  // Of values [some rows][width], the last rows of the prompt's or those up to `end`, behind so
  // many layers.
  void check(std::span<const float> expected, std::span<const float> found, double& largest,
             const std::string& what, std::size_t width, std::size_t end, std::size_t layers) {
    const auto [size, at] = largest_difference(expected, found);
    largest = std::max(largest, std::isnan(size) ? INFINITY : size);
    if (size <= golden_tolerance) return;
    const std::size_t row = end - expected.size() / width + at / width;
    miss(what + " differ by " + in_short(size) + " in row " + std::to_string(row) +
         way_to(row, layers));
  }

  // The router's closest decision before that: whether it was tipped tells a pick that fell the
  // other way from a product that is not exact enough.
  std::string way_to(std::size_t row, std::size_t layers) const {
    if (recorded_.gap.size() < layers * rows() || layers == 0) return "";
    std::size_t closest = 0;
    for (std::size_t layer = 0; layer < layers; ++layer)
      for (std::size_t r = 0; r <= row && r < rows(); ++r)
        if (const std::size_t index = layer * rows() + r;
            recorded_.gap[index] < recorded_.gap[closest])
          closest = index;
    return "; the smallest router gap on the way is " +
           in_short(static_cast<double>(recorded_.gap[closest])) + ", in layer " +
           std::to_string(closest / rows()) + " for row " + std::to_string(closest % rows()) +
           (same_picks(closest) ? ", where the same experts were picked"
                                : ", where other experts were picked");
  }

  // Index: layer · rows + row.
  bool same_picks(std::size_t index) const {
    const auto k = static_cast<std::size_t>(runtime_->engine().config().num_experts_per_tok);
    const auto expected = std::span(recorded_.router).subspan(index * k, k);
    const auto picked = std::span(taps_.router[index / rows()]).subspan(index % rows() * k, k);
    return std::set(expected.begin(), expected.end()) == std::set(picked.begin(), picked.end());
  }

  Taps read_prompt(Session& session) {
    const std::size_t piece = mode_.chunk == 0 ? rows() : mode_.chunk;
    Taps all;
    bool restored = !mode_.restore;
    for (std::size_t at = 0; at < rows(); at += piece) {
      if (!restored && at >= rows() / 2) {
        session.keep();
        session = Session(runtime_);
        if (session.sync(std::span(recorded_.prompt).first(at)) != at) miss("not restored");
        restored = true;
      }
      Taps taps;
      const auto tokens = std::span(recorded_.prompt).subspan(at, std::min(piece, rows() - at));
      SessionAccess::run(session, tokens,
                         mode_.step ? kernels::DeltaForm::step : kernels::DeltaForm::chunked, taps);
      append(all, taps);
    }
    return all;
  }

  // Recorded values are of every row, or of the last alone.
  void compare_rows() {
    const auto vocab = static_cast<std::size_t>(runtime_->engine().config().vocab_size);
    const auto hidden = static_cast<std::size_t>(runtime_->engine().config().hidden_size);
    if (!recorded_.logits.empty()) {
      const std::size_t count = std::min(recorded_.logits.size(), rows() * vocab);
      check(recorded_.logits, std::span(taps_.logits).last(count), report_.logits, "logits", vocab,
            rows(), taps_.router.size());
    }
    const std::size_t layers = taps_.hidden.size();
    const std::size_t per_layer = recorded_.hidden.size() / layers;
    if (recorded_.hidden.size() != layers * per_layer || per_layer % hidden != 0)
      return miss("hidden.i has another shape");
    for (std::size_t layer = 0; layer < layers && per_layer > 0; ++layer) {
      const auto expected = std::span(recorded_.hidden).subspan(layer * per_layer, per_layer);
      check(expected, std::span(taps_.hidden[layer]).last(per_layer), report_.hidden,
            "hidden states " + std::to_string(layer), hidden, rows(),
            std::min(layer, taps_.router.size()));
    }
  }

  void compare_router() {
    if (recorded_.router.empty()) return;
    for (std::size_t index = 0; index < taps_.router.size() * rows(); ++index) {
      if (recorded_.gap.at(index) <= router_gap) continue;
      ++report_.router_rows;
      if (same_picks(index)) continue;
      miss("the router of layer " + std::to_string(index / rows()) +
           " picks other experts for row " + std::to_string(index % rows()) +
           ", where its gap is " + in_short(static_cast<double>(recorded_.gap[index])));
    }
  }

  void compare_mtp(Session& session) {
    if (!runtime_->engine().model().mtp) return;
    const auto vocab = static_cast<std::size_t>(runtime_->engine().config().vocab_size);
    const auto hidden = static_cast<std::size_t>(runtime_->engine().config().hidden_size);
    if (!recorded_.mtp.empty()) {
      kernels::KvCache kv;
      kv.heads = runtime_->engine().config().num_key_value_heads;
      kv.head_dim = runtime_->engine().config().head_dim;
      reserve(runtime_->backend(), kv, 0, static_cast<std::int64_t>(rows()));
      const auto states = std::span(taps_.hidden.back()).first((rows() - 1) * hidden);
      const MtpResult result =
          *run_mtp(runtime_->engine().model(), runtime_->executor(), runtime_->engine().config(),
                   kv, states, std::span(recorded_.prompt).subspan(1), 0,
                   recorded_.mtp.size() / vocab, kernels::ProductForm::gemm, nullptr);
      check(recorded_.mtp, result.logits, report_.mtp, "MTP logits", vocab, rows() - 1,
            taps_.router.size());
    }
    if (recorded_.draft.empty()) return;
    const std::vector<TokenId> drafted =
        session.draft(recorded_.greedy.at(0), static_cast<int>(recorded_.draft.size()));
    for (std::size_t i = 0; i < drafted.size(); ++i) {
      ++report_.drafts;
      if (drafted[i] == recorded_.draft[i]) continue;
      if (recorded_.draft_margin.at(i) > token_margin)
        miss("draft " + std::to_string(i) + " differs");
      break;  // what follows goes on from another token
    }
  }

  void compare_teacher_forced(Session& session) {
    for (std::size_t i = 0; i < recorded_.greedy.size(); ++i) {
      ++report_.greedy_tokens;
      if (argmax(session.logits()) != recorded_.greedy[i] &&
          recorded_.margin.at(i) > token_margin) {
        miss("teacher-forced token " + std::to_string(i) + " differs");
      }
      if (session.decode(recorded_.greedy[i], nullptr) != Progress::done)
        miss("decode did not finish");
    }
  }

  // As a user's answer is made: through sync, prefill with boundaries and decode.
  void compare_free_running() {
    Session session(runtime_);
    session.sync(recorded_.prompt);
    const std::vector<std::size_t> boundaries = {rows() / 3, rows() / 2};
    while (session.prefill(recorded_.prompt, boundaries, nullptr) != Progress::done) {
    }
    for (std::size_t i = 0; i < recorded_.greedy.size(); ++i) {
      const TokenId token = argmax(session.logits());
      ++report_.greedy_tokens;
      if (token != recorded_.greedy[i]) {
        if (recorded_.margin.at(i) > token_margin)
          miss("free-running token " + std::to_string(i) + " differs");
        return;  // what follows goes on from another token
      }
      session.decode(token, nullptr);
    }
  }

  std::shared_ptr<Runtime> runtime_;
  const Recorded& recorded_;
  const GoldenMode& mode_;
  Taps taps_;
  GoldenReport report_;
};

}  // namespace

std::string GoldenMode::name() const {
  std::string text = chunk == 0 ? "whole" : "chunks of " + std::to_string(chunk);
  if (step) text = "token by token";
  return restore ? text + ", restored" : text;
}

std::vector<GoldenMode> golden_modes() {
  return {{0, false, false},   {1, false, false}, {7, false, false}, {64, false, false},
          {100, false, false}, {1, true, false},  {7, false, true},  {1, true, true}};
}

void GoldenReport::merge(const GoldenReport& other) {
  logits = std::max(logits, other.logits);
  hidden = std::max(hidden, other.hidden);
  mtp = std::max(mtp, other.mtp);
  prompts += other.prompts;
  router_rows += other.router_rows;
  greedy_tokens += other.greedy_tokens;
  drafts += other.drafts;
  misses.insert(misses.end(), other.misses.begin(), other.misses.end());
}

std::shared_ptr<Runtime> load_golden_engine(const std::filesystem::path& checkpoint,
                                            EngineOptions options) {
  options.model = checkpoint;
  options.mtp = MtpUse::always;
  return Runtime::load(options);
}

GoldenReport compare_golden(const std::shared_ptr<Runtime>& runtime,
                            const std::filesystem::path& golden, const GoldenMode& mode,
                            const GoldenPrompts& prompts) {
  GoldenReport report;
  for (const Recorded& recorded : read_golden(golden)) {
    if (recorded.prompt.size() > prompts.longest) continue;
    if (prompts.only && recorded.index != *prompts.only) continue;
    report.merge(Comparison(runtime, recorded, mode).run());
  }
  return report;
}

}  // namespace hearth::tests
