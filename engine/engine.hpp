// The engine's public face: an immutable Engine (a checkpoint, loaded) and mutable Sessions
// (what a sequence has become so far). Knows nothing of editors, sockets or jobs.
//
// Threading: an Engine's tokenizer, config and profile may be used from any thread. Sessions and
// Generations compute on the Engine's one Backend, so they are advanced by one thread at a time;
// only the interrupt flag is touched by others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/decode/drafts.hpp"
#include "engine/decode/sampling.hpp"
#include "engine/dummy/dummy.hpp"  // part of this face: the daemon includes no other header
#include "engine/experts/experts.hpp"
#include "engine/experts/policy.hpp"
#include "engine/experts/reader.hpp"
#include "engine/forward/load_progress.hpp"
#include "engine/forward/state.hpp"
#include "engine/prefix/statistics.hpp"
#include "engine/support/memory.hpp"
#include "engine/support/types.hpp"
#include "engine/tokenizer/profile.hpp"
#include "engine/tokenizer/tokenizer.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct Model;           // engine/forward/model.hpp: the weights
struct Chunk;           // engine/forward/forward.hpp: rows on their way through the layers
class CacheWarmer;      // engine/experts/cache_warmer.hpp
class CheckpointFiles;  // engine/checkpoint/digest.hpp: whether the files are what was loaded
class PrefixCache;      // engine/prefix/cache.hpp: checkpoints that prompts go back to
enum class CheckpointKind : std::uint8_t;

// Whether the likeliest tokens are found by an 8-bit copy of lm_head, which reads half as much:
// where lm_head is large and there is room for the copy, or as said.
enum class ShortlistUse : std::uint8_t { automatic, always, off };

// Whether the MTP head is loaded where the checkpoint has one. It pays where all experts, its own
// among them, fit in memory: guesses that must wait for the disk cost about what they bring, and
// the head follows every token, guessed from or not.
enum class MtpUse : std::uint8_t { off, where_it_pays, always };

// How the experts are kept (see cache.hpp and cache_warmer.hpp).
struct ExpertOptions {
  std::uint64_t memory = 0;          // bytes for them; 0: worked out from what is free
  std::optional<ReaderKind> reader;  // empty: the best that works
  PolicyKind policy = PolicyKind::lrfu;
  // Whether decoding may read experts before they are certain to be needed, as long as most guesses
  // are right.
  bool prefetch = true;
  bool yield_memory = false;  // give some back while the system is short of it
  // Directory that keeps recent routing for a warm start, a file for each checkpoint; empty: none.
  std::filesystem::path history;
  std::filesystem::path trace;  // file to record every routing in; empty: none
};

// A device beside the host. It keeps experts in its memory and computes them there; everything else
// is the host's.
struct DeviceOptions {
  kernels::Device device{kernels::Device::Kind::cuda, 0};
  std::uint64_t expert_memory = 0;  // bytes for experts; at least two must fit
  // Opens it; empty: kernels::open_cuda. Its products must follow the host's numerics.
  std::function<std::unique_ptr<kernels::Backend>()> open;
};

struct EngineOptions {
  std::filesystem::path model;      // a checkpoint's directory
  int threads = 0;                  // 0: one per core
  std::optional<kernels::Isa> isa;  // empty: the best this host has
  KvType kv = KvType::f32;
  std::int64_t context = 0;  // positions a session can hold; 0: the profile's
  // Rows of a prefill chunk, rounded up to a multiple of 64; 0: as many as `scratch` bytes hold.
  std::int64_t chunk = 0;
  std::uint64_t scratch = std::uint64_t{512} << 20;
  ExpertOptions experts;                         // in the host's memory
  std::vector<DeviceOptions> devices;            // beside the host, each once
  std::function<void(const std::string&)> note;  // for the log, from any thread
  MtpUse mtp = MtpUse::off;
  ShortlistUse shortlist = ShortlistUse::automatic;
  // Guessed tokens that a pass verifies at most; each costs a state (about 74 MiB at 80B). 0: none.
  std::size_t drafts = 8;

  // Prefix checkpoints, which all sessions share: at 80B about 74 MiB each, and 48 KiB a token.
  std::optional<std::uint64_t>
      prefix_ram_bytes;                    // empty: a share of what is free; 0: none are kept
  std::int64_t checkpoint_distance = 512;  // tokens; rounded up to a multiple of 64
  std::filesystem::path prefix_directory;  // empty: none on disk
  std::uint64_t prefix_disk_bytes = std::uint64_t{10} << 30;
  std::uint64_t prefix_daily_bytes = std::uint64_t{18} << 30;  // most written in a day (UTC)
  double disk_min_seconds = 3;  // what is computed again faster than this is not written
};

// Tokens of a prompt and its answer: what the options say, else the checkpoint's profile, else all
// that the model can see. Throws Error where that is more than the model can see.
std::int64_t context_tokens(const EngineOptions& options, const ModelConfig& config,
                            const Profile& profile);
// Rows of a prefill chunk with these options.
std::int64_t chunk_rows(const EngineOptions& options, const ModelConfig& config,
                        std::int64_t context);
// Bytes of the int8 shortlist of lm_head; 0: it does not pay or takes too much of what is free.
std::uint64_t shortlist_bytes(const EngineOptions& options, const ModelConfig& config,
                              const MemoryPlan& plan, const MemoryView& view);

class Engine {
 public:
  // Loads; throws Error. `progress` is called from this thread; loading stops with Error("…
  // cancelled") soon after *stop becomes true.
  static std::shared_ptr<const Engine> load(
      const EngineOptions& options, const std::function<void(const LoadProgress&)>& progress = {},
      const std::atomic<bool>* stop = nullptr);
  ~Engine();

  const EngineOptions& options() const { return options_; }
  const ModelConfig& config() const { return config_; }
  // Golden checkpoints have none and run on token ids; then an Error.
  const Tokenizer& tokenizer() const;
  const Profile& profile() const { return profile_; }
  const GenerationDefaults& defaults() const { return defaults_; }
  std::int64_t context() const { return context_; }
  // Hash of the checkpoint's bytes (all outside the experts, samples of those), configuration and
  // the numeric definition: state saved under one fingerprint is only restored under the same.
  std::uint64_t fingerprint() const { return fingerprint_; }
  std::string description() const;  // "CPU avx512, 2 threads"
  // Rows of a prefill chunk.
  std::int64_t chunk_rows() const { return chunk_rows_; }
  // What memory is used for, and how the experts are doing. From any thread.
  const MemoryPlan& memory() const { return memory_; }
  ExpertStatus experts() const;
  const std::vector<std::string>& notes() const { return notes_; }  // for the log
  const Model& model() const { return *model_; }
  kernels::Backend& backend() const;
  kernels::Isa isa() const { return isa_; }
  bool has_mtp() const { return mtp_; }  // whether the MTP head is loaded
  bool has_shortlist() const;            // whether there is an int8 shortlist of lm_head
  PrefixCache& prefixes() const { return *prefixes_; }  // the computing thread's

  // How many of the tokens a checkpoint covers. On the computing thread.
  std::size_t cached_prefix(std::span<const TokenId> tokens) const;
  PrefixStatistics prefix_statistics() const;

  // Throws Error where the checkpoint's files on disk are not those that were loaded. On the
  // computing thread.
  void check_files() const;
  // What it took to sample the experts' data, without what loading reads anyway.
  double sampling_seconds() const { return sampling_seconds_; }

 private:
  Engine();
  bool mtp_wanted(const MemoryView& view);
  void plan_memory(const MemoryView& view, const MemoryWishes& wishes);
  void plan_experts_memory(const MemoryView& view);
  void take_fingerprint();
  void start_experts();

  EngineOptions options_;
  ModelConfig config_;
  GenerationDefaults defaults_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Profile profile_;
  std::int64_t context_ = 0;
  std::int64_t chunk_rows_ = 0;
  bool mtp_ = false;  // whether the MTP head is loaded
  kernels::Isa isa_ = kernels::Isa::scalar;
  std::uint64_t fingerprint_ = 0;
  double sampling_seconds_ = 0;
  MemoryPlan memory_;
  std::vector<std::string> notes_;
  std::unique_ptr<Model> model_;
  // These must be destroyed before `model_`.
  std::unique_ptr<CheckpointFiles> files_;
  std::unique_ptr<CacheWarmer> cache_warmer_;
  std::unique_ptr<PrefixCache> prefixes_;
};

// One sequence: its tokens and everything computed from them. Movable.
class Session {
 public:
  explicit Session(std::shared_ptr<const Engine> engine);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const Engine& engine() const { return *engine_; }
  const std::vector<TokenId>& tokens() const { return tokens_; }  // computed so far
  std::int64_t position() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::uint64_t tokens_computed() const { return computed_; }  // rows run through all layers, ever
  std::size_t bytes() const;  // of memory: KV, states and a parked chunk

  // Goes to the longest prefix of `tokens` that this session or a checkpoint has a state for, and
  // says how many tokens that is. A parked chunk that continues it is kept where it is further.
  // Empty: interrupted; call again. The session has lost nothing that goes on to `tokens`.
  std::optional<std::size_t> sync(std::span<const TokenId> tokens,
                                  const std::atomic<bool>* interrupt);
  std::size_t sync(std::span<const TokenId> tokens);  // to its end
  // How many tokens sync would keep.
  std::size_t common(std::span<const TokenId> tokens) const;
  // Makes a checkpoint of the present state, for when the session is given another sequence.
  void keep();

  // Brings the session from where it is towards `tokens` (which must extend tokens()) by one piece
  // of work: a layer half of a chunk, or one of its checkpoints. They are kept at `boundaries`
  // (token counts), at regular distances, shortly before the end and there, as far as their budget
  // goes. Interrupted work within a piece is lost, finished pieces stay and go on at the next call.
  // logits() afterwards are those after the last token.
  Progress prefill(std::span<const TokenId> tokens, std::span<const std::size_t> boundaries,
                   const std::atomic<bool>* interrupt);
  // Rows that passed all layers of a running prefill, counting a chunk by the share of its layers.
  double prefill_done() const;

  // One more token through all layers, or several at once, each with the bits that it has alone.
  // Interrupted: nothing has changed.
  Progress decode(TokenId token, const std::atomic<bool>* interrupt) {
    return decode(std::span(&token, 1), interrupt);
  }
  Progress decode(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt);
  // Takes back all but the first `count` ≥ 1 tokens of the last decode; nothing is computed again.
  void keep_decoded(std::size_t count);

  // Which logits decode is to find: the `top` largest and those of `always`, exactly; the others
  // may come out as minus infinity, which costs less. top 0, as at first: all of them.
  void want_logits(int top, std::vector<TokenId> always);

  // [vocab] after the last token; empty when nothing was computed since the last sync that cut.
  std::span<const float> logits() const;
  // [vocab] after token `index` of the last decode.
  std::span<const float> decoded_logits(std::size_t index) const;

  // How many guesses are worth a try, as far as this session's answers have shown.
  DraftLength& draft_length() { return draft_length_; }
  // Tokens the checkpoint's MTP head would say after tokens() and `next`; empty without the head.
  std::vector<TokenId> draft(TokenId next, int count);

 private:
  friend struct SessionAccess;  // engine/session_access.hpp: golden tests look at what is between

  struct Prefill;  // a chunk on its way and the checkpoints it takes

  bool outdated() const;
  void require_current() const;
  bool continues(std::span<const TokenId> tokens) const;
  std::unique_ptr<Prefill> next_chunk(std::span<const TokenId> tokens,
                                      std::span<const std::size_t> boundaries);
  bool keep_next(const std::atomic<bool>* interrupt);
  void clear();
  void retire(RecurrentState state);
  // Runs one stage of `chunk`, which follows tokens(); done: the chunk is part of the session.
  Progress advance(Chunk& chunk, const std::atomic<bool>* interrupt);
  std::size_t vocab() const { return static_cast<std::size_t>(engine_->config().vocab_size); }
  std::shared_ptr<const Engine> engine_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;  // [n][vocab] after the last n tokens
  bool shortlisted_ = false;   // whether some of them are missing
  int wanted_top_ = 0;
  std::vector<TokenId> wanted_always_;
  std::uint64_t computed_ = 0;
  std::size_t synced_ = 0;         // tokens that the last sync kept
  std::uint64_t differences_ = 0;  // PrefixCache::differences() when its first token was computed
  DraftLength draft_length_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Prefill> parked_;
};

struct GenerationRequest {
  TokenPrompt prompt;
  SamplingParams sampling;
  std::vector<TokenId> stop_ids;
  std::vector<std::string> stop_strings;
  std::int64_t max_tokens = 256;  // of the answer, without its thought
  bool thinking = false;          // the answer begins inside <think>: a thought, which is hidden
  // Most tokens of the thought; then it is closed and the answer follows. Less where the context
  // could not hold both: the answer has up to half of what the prompt leaves.
  std::int64_t thinking_budget = 2048;
};

// What guesses did.
struct DecodeCounts {
  std::uint64_t passes = 0;    // over the layers
  std::uint64_t tokens = 0;    // that came of them
  std::uint64_t drafted = 0;   // tokens that were guessed and verified
  std::uint64_t accepted = 0;  // of them, right
};

// One answer on its way, advanced step by step. Keeps its place when interrupted.
class Generation {
 public:
  // Throws Error when the prompt does not fit the context.
  Generation(Session& session, GenerationRequest request);

  // Going back to what is known of the prompt, a piece of prefill, or one pass over the layers: a
  // token, or several where guesses came true. done: see reason(). interrupted: call again to go
  // on.
  Progress step(const std::atomic<bool>* interrupt);
  // Text that became visible since the last call.
  std::string take_text();
  std::optional<StopReason> reason() const { return reason_; }

  std::size_t prompt_tokens() const { return request_.prompt.tokens.size(); }
  bool synced() const { return cached_.has_value(); }                // after the first step
  std::size_t cached_tokens() const { return cached_.value_or(0); }  // known, not computed again
  double prompt_done() const;  // prompt tokens done, cached ones too
  bool decoding() const { return decoding_; }
  // What was written: the thought, what closed it, and the answer.
  const std::vector<TokenId>& answer() const { return answer_; }
  bool thinking() const { return thinking_.thinking(); }  // now
  std::size_t thought_tokens() const { return thought_; }
  bool thought_cut() const { return thought_cut_; }                        // by the budget
  std::size_t answer_tokens() const { return answer_.size() - thought_; }  // behind the thought
  // Counts for the answer: passes over the layers, the tokens kept, and draft tokens among them.
  const DecodeCounts& counts() const { return counts_; }

 private:
  struct Drafts {
    std::vector<TokenId> tokens;
    DraftLength::Source source = DraftLength::Source::short_match;
  };
  Drafts draft();
  void want_logits();
  Progress decode(const std::atomic<bool>* interrupt);
  TokenId choose(std::span<const float> logits, std::size_t context) const;
  TokenId next(std::span<const float> logits, std::size_t context);
  void close_thought();
  bool is_stop(TokenId token) const;
  void accept(TokenId token);
  void end(StopReason reason);

  Session* session_;
  GenerationRequest request_;
  std::optional<std::size_t> cached_;
  bool decoding_ = false;
  std::vector<TokenId> answer_;
  std::optional<TokenId> pending_;  // sampled, not yet run through the layers
  PromptLookup lookup_;             // prompt and answer, once decoding
  DecodeCounts counts_;
  Utf8Stream utf8_;
  ThinkingFilter thinking_;
  std::int64_t thinking_budget_ = 0;
  std::size_t thought_ = 0;  // the first tokens of answer_, with those that closed it
  bool thought_cut_ = false;
  std::deque<TokenId> closing_;  // what is still to be written to close the thought
  char last_byte_ = '\n';        // of what was written; a thought begins on a line of its own
  StopStrings stop_strings_;
  std::string visible_;
  std::optional<StopReason> reason_;
};

}  // namespace hearth::engine
