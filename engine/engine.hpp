// The engine's public face: an immutable Engine (a checkpoint, loaded), the Runtime that it runs
// on, and Sessions (what a sequence has become so far). Knows nothing of editors, sockets or jobs.
//
// Threading: an Engine, and a const Runtime, may be read from any thread. Everything else, Sessions
// and Generations among it, belongs to one thread, the computing thread; only the interrupt flag is
// touched by others.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/model_config.hpp"
#include "engine/decode/drafts.hpp"
#include "engine/decode/json_form.hpp"
#include "engine/decode/json_mask.hpp"
#include "engine/decode/sampling.hpp"
#include "engine/dummy/dummy.hpp"  // part of this face: the daemon includes no other header
#include "engine/experts/experts.hpp"
#include "engine/forward/load_progress.hpp"
#include "engine/forward/state.hpp"
#include "engine/options.hpp"
#include "engine/prefix/statistics.hpp"
#include "engine/support/memory.hpp"
#include "engine/support/mutex.hpp"
#include "engine/support/types.hpp"
#include "engine/tokenizer/profile.hpp"
#include "engine/tokenizer/tokenizer.hpp"
#include "kernels/measure.hpp"
#include "kernels/ops.hpp"

namespace hearth::engine {

struct DeviceSlots;  // engine/experts/cache.hpp: a device's part of the experts

struct Model;            // engine/forward/model.hpp: the weights
struct Executor;         // engine/forward/executor.hpp: the devices and the experts in their memory
struct Chunk;            // engine/forward/forward.hpp: rows on their way through the layers
class CacheMaintenance;  // engine/experts/maintenance.hpp: warm start, memory pressure
struct LayerPlaces;      // engine/forward/model.hpp: where each layer's weights are
class DraftSession;      // engine/draft_session.hpp: a small model that drafts for a large one
class CheckpointFiles;   // engine/checkpoint/digest.hpp: whether the files are what was loaded
class PrefixCache;       // engine/prefix/cache.hpp: checkpoints that prompts go back to
class Session;
enum class CheckpointKind : std::uint8_t;

// A checkpoint, loaded: its weights, configuration and tokenizer. Nothing of it changes, nor can
// anything be changed by way of it. But where a layer's weights are may: that is for the computing
// thread alone to look at.
class Engine {
 public:
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
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
  const std::string& description() const { return description_; }  // "CPU avx512, 2 threads"
  // How the host's products are computed: "gemm f32".
  const std::string& numerics() const { return numerics_; }
  int threads() const { return threads_; }  // of the host that compute
  kernels::Isa isa() const { return isa_; }
  // Rows of a prefill chunk.
  std::int64_t chunk_rows() const { return chunk_rows_; }
  const std::vector<std::string>& notes() const { return notes_; }  // for the log
  const Model& model() const { return *model_; }
  bool has_mtp() const;        // whether the MTP head is loaded
  bool has_shortlist() const;  // whether there is an int8 shortlist of lm_head
  // What it took to sample the experts' data, without what loading reads anyway.
  double sampling_seconds() const { return sampling_seconds_; }

 private:
  friend class Runtime;  // loads it

  Engine();
  void take_fingerprint(std::uint64_t samples);

  EngineOptions options_;
  ModelConfig config_;
  GenerationDefaults defaults_;
  std::unique_ptr<Tokenizer> tokenizer_;
  Profile profile_;
  std::int64_t context_ = 0;
  std::int64_t chunk_rows_ = 0;
  std::string description_;
  std::string numerics_;
  int threads_ = 0;
  kernels::Isa isa_ = kernels::Isa::scalar;
  std::uint64_t fingerprint_ = 0;
  double sampling_seconds_ = 0;
  std::vector<std::string> notes_;
  std::unique_ptr<Model> model_;
};

// What has become of the devices beside the host.
enum class DeviceUse : std::uint8_t {
  none,  // the options name none
  in_use,
  released,  // given back, or not to be had
};

// What runs an engine: the devices, the experts in their memory, the checkpoints that prompts go
// back to. Sessions compute with it.
//
// Threading: one thread, the computing thread, owns it with all of its sessions, and calls
// everything that is not const. The const members may be called from any thread.
class Runtime {
 public:
  // Loads a checkpoint and opens the devices; throws Error. `progress` is called from this thread;
  // loading stops with Error("… cancelled") soon after *stop becomes true.
  static std::shared_ptr<Runtime> load(
      const EngineOptions& options, const std::function<void(const LoadProgress&)>& progress = {},
      const std::atomic<bool>* stop = nullptr);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  const Engine& engine() const { return engine_; }
  // What memory is used for, how the experts are doing, and what is kept of prompts.
  MemoryPlan memory() const;
  ExpertStatus experts() const;
  PrefixStatistics prefix_statistics() const;
  // Whether devices beside the host compute, and how many of the layers.
  DeviceUse device_use() const;
  int layers_on_devices() const;

  // Gives the memory of the devices beside the host back, with all else that they hold for this
  // process; the host computes everything until take_devices. Costs no bit and no sequence: what
  // sequences have there moves to the host. False: the host cannot hold the layers; it is noted.
  bool release_devices() noexcept;
  // Uses released devices again, for layers and what sequences have of them, then for the experts
  // that were used most; what stands in the way is noted, and tried again a minute later at the
  // earliest. False: nothing has changed. Costs little where they are in use.
  bool take_devices();
  // Of each such device in use, how fast copies are; empty where one is full.
  std::vector<std::optional<kernels::LinkSpeed>> measure_links();

  Executor& executor() { return *executor_; }
  PrefixCache& prefixes() { return *prefixes_; }
  kernels::Backend& backend();  // the host's
  // How many of the tokens a checkpoint covers.
  std::size_t cached_prefix(std::span<const TokenId> tokens);
  // The tokens in the order of their bytes, for answers that are bound to a form.
  std::shared_ptr<const SortedVocabulary> vocabulary();
  // Removes all that is kept of prompts, from memory and disk, before it returns.
  void forget_prefixes();
  // Throws Error where the checkpoint's files on disk are not those that were loaded.
  void check_files();

  // A device beside the host was found to be lost. Before anything else is computed, recover()
  // gives all of them up: the host computes what they had, and sessions begin again.
  void lose_devices() noexcept { devices_lost_ = true; }
  void recover();
  // Where a device has no room for something: it keeps fewer experts, or is given back, and what
  // failed may be tried again. False: that is no use.
  bool make_room(const std::bad_alloc& failed);

 private:
  friend class Session;  // is known to it

  Runtime();
  // Beside the host: runtime_devices.cpp.
  std::vector<std::string> open_beside_host();
  void place_layers();
  void move_layers();
  void house_states();
  void note_layers();
  std::vector<DeviceSlots> device_slots() const;
  void close_unused_devices();
  void leave_devices();
  LayerPlaces layer_places() const;
  std::uint64_t layer_state_bytes(std::size_t layer) const;
  std::uint64_t layers_on_host() const;  // bytes, with what sessions have of them
  void open_devices();
  void take_digests();
  bool mtp_wanted(const MemoryView& view);
  void plan_layers(bool mtp);
  void plan_memory(const MemoryView& view, const MemoryWishes& wishes, bool mtp);
  void plan_experts_memory(const MemoryView& view);
  void open_prefixes();
  void start_experts();

  Engine engine_;
  mutable Mutex memory_mutex_;  // for those who ask while layers move
  MemoryPlan memory_;
  std::uint64_t host_memory_ = 0;             // of the host, for layers and experts
  std::vector<std::size_t> device_of_layer_;  // of the executor's
  bool devices_lost_ = false;
  double device_share_ = 1;  // of what devices are to give: less, since one was full all the same
  std::atomic<DeviceUse> device_use_ = DeviceUse::none;
  std::atomic<int> layers_on_devices_ = 0;
  std::vector<Session*> sessions_;
  std::unique_ptr<CheckpointFiles> files_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<CacheMaintenance> maintenance_;
  std::unique_ptr<PrefixCache> prefixes_;
  std::shared_ptr<const SortedVocabulary> vocabulary_;  // once it was asked for
  std::chrono::steady_clock::time_point next_take_;     // of devices, after one failed
};

// One sequence: its tokens and everything computed from them. Movable.
class Session {
 public:
  explicit Session(std::shared_ptr<Runtime> runtime);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const Engine& engine() const { return runtime_->engine(); }
  Runtime& runtime() { return *runtime_; }
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
  // The same of a prompt, the first `prompt` of the tokens, and an answer that was decoded behind
  // it: beyond the prompt only to a state that was, too.
  std::optional<std::size_t> sync(std::span<const TokenId> tokens, std::size_t prompt,
                                  const std::atomic<bool>* interrupt);
  // How many tokens sync would keep.
  std::size_t common(std::span<const TokenId> tokens) const;
  // Makes a checkpoint of the present state, for when the session is given another sequence.
  void keep();
  // The same inside an answer, and on disk: see PrefixCache::add_answer. False: interrupted.
  bool keep_answer(const std::atomic<bool>* interrupt);

  // Brings the session from where it is towards `tokens` (which must extend tokens()) by one piece
  // of work: a layer half of a chunk, or one of its checkpoints. They are kept at `boundaries`
  // (token counts), at regular distances, shortly before the end and there, as far as their budget
  // goes. Interrupted work within a piece is lost, finished pieces stay and go on at the next call.
  // logits() afterwards are those after the last token. `durable`: another process may have to go
  // on with it, so what a chunk has computed is on disk before the next one begins, as far as
  // PrefixCache::secure thinks it worth writing.
  Progress prefill(std::span<const TokenId> tokens, std::span<const std::size_t> boundaries,
                   const std::atomic<bool>* interrupt, bool durable = false);
  // Rows that passed all layers of a running prefill, counting a chunk by the share of its layers.
  double prefill_done() const;

  // One more token through all layers, or several at once, each with the bits that it has alone.
  // Interrupted: nothing has changed.
  Progress decode(TokenId token, const std::atomic<bool>* interrupt) {
    return decode(std::span(&token, 1), interrupt);
  }
  Progress decode(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt);
  // One more token as a part of the last decode: keep_decoded and decoded_logits count its tokens
  // and this one. Each costs a state until then.
  Progress decode_on(TokenId token, const std::atomic<bool>* interrupt);
  std::size_t decoded_tokens() const { return state_->decoded.size() + 1; }  // by the last decode
  // Brings the session towards `tokens` as decode would have one by one, with the same bits, many
  // at once: by one piece of work, as prefill does. There are no logits afterwards.
  Progress replay(std::span<const TokenId> tokens, const std::atomic<bool>* interrupt);
  // Takes back all but the first `count` ≥ 1 tokens of the last decode; nothing is computed again.
  void keep_decoded(std::size_t count);

  // Which logits decode is to find: the `top` largest and those of `always`, exactly; the others
  // may come out as minus infinity, which costs less. top 0, as at first: all of them.
  void want_logits(int top, std::vector<TokenId> always);

  // [vocab] after the last token; empty when nothing was computed since the last sync that cut.
  std::span<const float> logits() const;
  // [vocab] after token `index` of the last decode.
  std::span<const float> decoded_logits(std::size_t index) const;

  // How many draft tokens are worth a try, as far as this session's answers have shown.
  DraftLength& draft_length() { return draft_length_; }
  // Tokens the checkpoint's MTP head would say after tokens() and `next`; empty without the head.
  std::vector<TokenId> draft(TokenId next, int count);

 private:
  friend struct SessionAccess;  // engine/session_access.hpp: golden tests look at what is between

  struct Prefill;  // a chunk on its way and the checkpoints it takes

  friend class Runtime;  // moves its state, or says that it is lost

  void begin();
  void enlist(Session* other);
  bool outdated() const;
  void require_current();
  // Its state goes to where the layers are by now; where that fails it is lost.
  void follow_layers() noexcept;
  void lose_state() noexcept;
  bool continues(std::span<const TokenId> tokens) const;
  bool has_bits_of(std::size_t prompt) const;
  std::unique_ptr<Prefill> next_chunk(std::span<const TokenId> tokens,
                                      std::span<const std::size_t> boundaries);
  std::unique_ptr<Prefill> replay_chunk(std::span<const TokenId> tokens);
  bool keep_next(const std::atomic<bool>* interrupt);
  bool secure(const std::atomic<bool>* interrupt);
  void clear();
  void retire(RecurrentState state);
  Progress run_decode(std::span<const TokenId> tokens, bool joins,
                      const std::atomic<bool>* interrupt);
  // Runs one stage of `chunk`, which follows tokens(); done: the chunk is part of the session.
  // `joins`: and, where it is decoded, of the last decode.
  Progress advance(Chunk& chunk, const std::atomic<bool>* interrupt, bool joins = false);
  std::size_t vocab() const { return static_cast<std::size_t>(engine().config().vocab_size); }

  std::shared_ptr<Runtime> runtime_;
  std::vector<TokenId> tokens_;
  std::vector<float> logits_;  // [n][vocab] after the last n tokens
  bool shortlisted_ = false;   // whether some of them are missing
  int wanted_top_ = 0;
  std::vector<TokenId> wanted_always_;
  std::uint64_t computed_ = 0;
  std::size_t synced_ = 0;         // tokens that the last sync kept
  std::size_t decoded_from_ = 0;   // all tokens behind these were decoded
  std::uint64_t differences_ = 0;  // PrefixCache::differences() when its first token was computed
  bool lost_ = false;              // what was computed; the tokens are still said
  DraftLength draft_length_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Prefill> parked_;
};

struct GenerationRequest {
  TokenPrompt prompt;
  SamplingParams sampling;
  std::vector<TokenId> stop_ids;
  std::vector<std::string> stop_strings;
  std::int64_t max_tokens = 256;    // of the answer, without its thought
  std::int64_t max_all_tokens = 0;  // of both together; 0: any number
  bool thinking = false;            // the answer begins inside <think>: a thought, kept apart
  // Most tokens of the thought; then it is closed and the answer follows. Less where the context
  // could not hold both: the answer has up to half of what the prompt leaves.
  std::int64_t thinking_budget = 2048;
  // What an earlier run of the same request wrote, as answer() gave it: it goes on behind that, and
  // to the same end.
  std::vector<TokenId> written = {};
  // Its state goes to disk now and then (EngineOptions::answer_checkpoint_seconds), that of its
  // prompt too, so that it can go on in another process.
  bool checkpoints = false;
  // What the answer is bound to, behind its thought: it ends where that is complete. Null: nothing.
  std::shared_ptr<const JsonForm> form = {};
  // How many of the likeliest tokens are told beside each of the answer's; −1: nothing is told.
  int top_probabilities = -1;
  // A small model that drafts what the answer may be; null: none. It belongs to the caller,
  // outlives the generation, or its stop_drafts(), and computes on the same thread. It changes no
  // answer. See DraftSession.
  DraftSession* drafts = nullptr;
};

// What speculation did.
struct DecodeCounts {
  std::uint64_t passes = 0;    // over the layers
  std::uint64_t tokens = 0;    // that came of them
  std::uint64_t drafted = 0;   // draft tokens that were verified
  std::uint64_t accepted = 0;  // of them, right
  std::uint64_t replayed = 0;  // tokens that an earlier run wrote, computed again
};

// One answer on its way, advanced step by step. Keeps its place when interrupted.
class Generation {
 public:
  // Throws Error when the prompt does not fit the context, or what was written before cannot be the
  // beginning of its answer.
  Generation(Session& session, GenerationRequest request);

  // Going back to what is known of the prompt and of what was written before, a piece of prefill or
  // of the replay of the latter (of the small model's that drafts, too), or one pass over the
  // layers: a token, or several where drafts were accepted. done: see reason(). interrupted: call
  // again to go on.
  Progress step(const std::atomic<bool>* interrupt);
  // Keeps the state of an answer that is given up for now where computing it again would take
  // some seconds (EngineOptions::disk_min_seconds).
  void keep();
  // Goes on without the small model of the request, which may end now. Between two steps.
  void stop_drafts();
  // Text that became visible since the last call; at first, that of what was written before.
  std::string take_text();
  // The same of the thought, which is no part of that text.
  std::string take_thought() { return thinking_.take_thought(); }
  // Of the answer's tokens, the thought's and those written before left out, since the last call.
  std::vector<TokenProbability> take_probabilities() { return std::exchange(probabilities_, {}); }
  std::optional<StopReason> reason() const { return reason_; }

  std::size_t prompt_tokens() const { return request_.prompt.tokens.size(); }
  bool synced() const { return cached_.has_value(); }                // after the first step
  std::size_t cached_tokens() const { return cached_.value_or(0); }  // known, not computed again
  double prompt_done() const;                    // prompt tokens done, cached ones too
  bool decoding() const { return decoding_; }    // new tokens, behind prompt and replay
  bool replaying() const { return replaying_; }  // behind the prompt, before decoding
  // What was written: the thought, what closed it, and the answer.
  const std::vector<TokenId>& answer() const { return answer_; }
  // How many of them the session's state is behind: fewer as long as they are replayed.
  std::size_t answer_done() const;
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
    std::size_t wanted = 0;  // of the small model, which has not made them yet
    double seconds = 0;      // that making them took
  };
  struct WantedLogits {  // as Session::want_logits has it
    int top = 0;
    std::vector<TokenId> always;
  };
  void take_written();
  bool is_undecided(std::span<const TokenId> rest) const;
  void go_back();
  Progress read(const std::atomic<bool>* interrupt);
  std::size_t room_for_drafts() const;
  Drafts plan_drafts();
  Progress draft(const std::atomic<bool>* interrupt);
  WantedLogits wanted_logits() const;
  Progress decode(const std::atomic<bool>* interrupt);
  TokenId choose(std::vector<float> row, std::span<const TokenId> context) const;
  TokenId next(std::span<const float> logits, std::size_t context);
  TokenId take_closing();
  void count(TokenId token);
  bool budget_is_spent() const;
  void close_at_budget();
  void close_thought();
  bool is_stop(TokenId token) const;
  void accept(TokenId token);
  void keep_now_and_then(const std::atomic<bool>* interrupt);
  void end(StopReason reason);
  Progress finish();

  Session* session_;
  GenerationRequest request_;
  std::optional<std::size_t> cached_;
  std::vector<TokenId> known_;  // prompt and what was written before; empty once decoding
  bool replaying_ = false;
  bool decoding_ = false;
  double unkept_ = 0;  // seconds of decoding and replay that no checkpoint has
  std::vector<TokenId> answer_;
  std::optional<TokenId> pending_;  // sampled, not yet run through the layers
  std::optional<Drafts> drafts_;    // of what may follow it; kept where the pass is interrupted
  PromptLookup lookup_;             // prompt and answer, once decoding
  DecodeCounts counts_;
  Utf8Stream utf8_;
  ThinkingFilter thinking_;
  std::int64_t thinking_budget_ = 0;
  std::size_t thought_ = 0;  // the first tokens of answer_, with those that closed it
  bool thought_cut_ = false;
  std::deque<TokenId> closing_;  // what is still to be written to close the thought
  std::deque<TokenId> breaks_;   // that belong to the thought if they follow now
  char last_byte_ = '\n';        // of what was written; a thought begins on a line of its own
  StopStrings stop_strings_;
  std::optional<JsonMask> mask_;  // of the answer, where it is bound to a form
  std::vector<TokenProbability> probabilities_;
  std::string visible_;
  std::optional<StopReason> reason_;
};

}  // namespace hearth::engine
