// Each key's value: what it may be, how it is read and shown, and what it means.
#include "daemon/config_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <system_error>
#include <type_traits>

#include "daemon/http/url.hpp"
#include "daemon/hub/library.hpp"
#include "daemon/platform/byte_count.hpp"
#include "daemon/platform/error.hpp"
#include "lsp/actions/actions.hpp"

namespace hearth::daemon {
namespace {

template <class Value>
auto copy_of(Value Config::*field) {
  return [field](const Config& from, Config& to) { to.*field = from.*field; };
}

std::string in_quotes(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

// The daemon has a working directory of its own, so a relative path would mean nothing.
bool is_path(std::string_view text) {
  return text.empty() || text.starts_with('/') || text.starts_with("~/");
}

// A checkpoint: its directory's path, or a name that `hearth models` knows.
Key model(const char* section, const char* name, const char* meaning, std::string Config::*field) {
  return {section,
          name,
          meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            if (value == nullptr || (!is_path(value->get()) && !hub::is_model_name(value->get()))) {
              throw RefusedValue{
                  "must be a path that begins with / or ~/, or a name that `hearth models` lists"};
            }
            config.*field = value->get();
          },
          [field](const Config& config) { return in_quotes(config.*field); },
          copy_of(field)};
}

// Text of a server's configuration that `check` does not refuse.
Key of_remote(const char* section, const char* name, const char* meaning,
              RemoteConfig Config::*remote, std::string RemoteConfig::*field,
              void (*check)(const std::string&)) {
  return {section,
          name,
          meaning,
          [=](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            if (value == nullptr) throw RefusedValue{"must be text in quotes"};
            check(value->get());
            config.*remote.*field = value->get();
          },
          [=](const Config& config) { return in_quotes(config.*remote.*field); },
          [=](const Config& from, Config& to) { to.*remote.*field = from.*remote.*field; }};
}

// Of a server's API. Throws RefusedValue.
void check_url(const std::string& text) {
  if (text.empty()) return;
  try {
    const http::Url url = http::parse_url(text);
    if (url.target.find('?') != std::string::npos)
      throw RefusedValue{"must have no \"?\": a key stands in a file of its own"};
  } catch (const Error& error) {
    throw RefusedValue{std::string("must be an address such as \"https://gpu.example.org/v1\": ") +
                       error.what()};
  }
}

void check_model_name(const std::string& text) {
  constexpr std::size_t longest = 256;
  if (text.size() > longest || text.find_first_of("\r\n") != std::string::npos)
    throw RefusedValue{"must be a name as the server's /v1/models lists it"};
}

void check_path(const std::string& text) {
  if (!is_path(text)) throw RefusedValue{"must be a path that begins with / or ~/"};
}

void check_tokenizer(const std::string& text) {
  if (!is_path(text) && !hub::is_model_name(text)) {
    throw RefusedValue{
        "must be a path that begins with / or ~/, or a name that `hearth models` lists"};
  }
}

Key file(const char* section, const char* name, const char* meaning, std::string Config::*field) {
  return {section,
          name,
          meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            if (value == nullptr) throw RefusedValue{"must be a path that begins with / or ~/"};
            check_path(value->get());
            config.*field = value->get();
          },
          [field](const Config& config) { return in_quotes(config.*field); },
          copy_of(field)};
}

// A word of the file, and what it stands for.
template <class Value>
struct Choice {
  const char* word;
  Value value;
};

template <class Value>
Key choice(const char* section, const char* name, const char* meaning, Value Config::*field,
           const std::vector<Choice<std::type_identity_t<Value>>>& choices) {
  return {section,
          name,
          meaning,
          [field, choices](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            std::string allowed;
            for (const auto& [word, meant] : choices) {
              if (value != nullptr && value->get() == word) {
                config.*field = meant;
                return;
              }
              allowed += (allowed.empty() ? "" : ", ") + in_quotes(word);
            }
            throw RefusedValue{"must be one of " + allowed};
          },
          [field, choices](const Config& config) {
            const auto meant = [&](const auto& each) { return each.value == config.*field; };
            return in_quotes(std::ranges::find_if(choices, meant)->word);
          },
          copy_of(field)};
}

Key number(const char* section, const char* name, const char* meaning, std::int64_t Config::*field,
           std::int64_t min, std::int64_t max) {
  return {section,
          name,
          meaning,
          [=](Config& config, const toml::node& node) {
            const auto* value = node.as_integer();
            if (value == nullptr || value->get() < min || value->get() > max) {
              throw RefusedValue{"must be a whole number from " + std::to_string(min) + " to " +
                                 std::to_string(max)};
            }
            config.*field = value->get();
          },
          [field](const Config& config) { return std::to_string(config.*field); },
          copy_of(field)};
}

struct Unit {
  const char* suffix;
  std::int64_t milliseconds;
};
constexpr Unit units[] = {
    {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
// Clocks count nanoseconds in 63 bits, which are 292 years: whatever is added to a time of today or
// multiplied by a few stays far below.
constexpr std::int64_t longest_hours = 87'600;
constexpr std::int64_t longest = longest_hours * 3'600'000;

// Throws RefusedValue for what is no duration, or too long a one.
std::chrono::milliseconds parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  for (const auto& unit : units) {
    if (digits == 0 || text.substr(digits) != unit.suffix) continue;
    std::int64_t count = 0;
    const auto read = std::from_chars(text.data(), text.data() + digits, count);
    if (read.ec != std::errc() || count > longest / unit.milliseconds) {
      throw RefusedValue{"must be at most \"" + std::to_string(longest_hours) + "h\" (ten years)"};
    }
    return std::chrono::milliseconds(count * unit.milliseconds);
  }
  throw RefusedValue{"must be a time such as \"500ms\", \"10s\", \"5m\", \"12h\" or \"14d\""};
}

std::string show_duration(std::chrono::milliseconds duration) {
  Unit best = units[1];
  for (const auto& unit : units) {
    if (duration.count() != 0 && duration.count() % unit.milliseconds == 0) best = unit;
  }
  return std::to_string(duration.count() / best.milliseconds) + best.suffix;
}

Key duration(const char* section, const char* name, const char* meaning,
             std::chrono::milliseconds Config::*field) {
  return {section,
          name,
          meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            config.*field = parse_duration(value == nullptr ? std::string_view() : value->get());
          },
          [field](const Config& config) { return in_quotes(show_duration(config.*field)); },
          copy_of(field)};
}

std::uint64_t read_size(const toml::node& node, const char* also) {
  const auto* value = node.as_string();
  const auto parsed = value == nullptr ? std::nullopt : parse_byte_count(value->get());
  if (!parsed) throw RefusedValue{std::string("must be a size such as \"512M\" or \"6G\"") + also};
  return *parsed;
}

Key size(const char* section, const char* name, const char* meaning, std::uint64_t Config::*field) {
  return {section,
          name,
          meaning,
          [=](Config& config, const toml::node& node) { config.*field = read_size(node, ""); },
          [=](const Config& config) { return in_quotes(show_byte_count(config.*field)); },
          copy_of(field)};
}

// Or "auto".
Key size(const char* section, const char* name, const char* meaning,
         std::optional<std::uint64_t> Config::*field) {
  return {section,
          name,
          meaning,
          [=](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            const bool automatic = value != nullptr && value->get() == "auto";
            config.*field =
                automatic ? std::nullopt : std::optional(read_size(node, ", or \"auto\""));
          },
          [=](const Config& config) {
            const auto& bytes = config.*field;
            return in_quotes(bytes ? show_byte_count(*bytes) : "auto");
          },
          copy_of(field)};
}

Key flag(const char* section, const char* name, const char* meaning, bool Config::*field) {
  return {section,
          name,
          meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_boolean();
            if (value == nullptr) throw RefusedValue{"must be true or false"};
            config.*field = value->get();
          },
          [field](const Config& config) { return std::string(config.*field ? "true" : "false"); },
          copy_of(field)};
}

// Any strings, or those that `check` does not refuse.
Key names(const char* section, const char* name, const char* meaning,
          std::vector<std::string> Config::*field,
          std::function<void(const std::string&)> check = {}) {
  return {section,
          name,
          meaning,
          [=](Config& config, const toml::node& node) {
            const auto* array = node.as_array();
            if (array == nullptr) throw RefusedValue{"must be a list of strings: [\"…\"]"};
            std::vector<std::string> read;
            for (const auto& entry : *array) {
              const auto* text = entry.as_string();
              if (text == nullptr) throw RefusedValue{"must be a list of strings: [\"…\"]"};
              if (check) check(text->get());
              read.push_back(text->get());
            }
            config.*field = std::move(read);
          },
          [field](const Config& config) {
            std::vector<std::string> shown;
            for (const std::string& entry : config.*field) shown.push_back(in_quotes(entry));
            return fmt::format("[{}]", fmt::join(shown, ", "));
          },
          copy_of(field)};
}

// An address of this machine, at which others may reach it.
Key address(const char* section, const char* name, const char* meaning,
            std::string Config::*field) {
  return {section,
          name,
          meaning,
          [field](Config& config, const toml::node& node) {
            const auto* value = node.as_string();
            const auto fits = [](const std::string& text) {
              return text == "localhost" ||
                     (!text.empty() &&
                      text.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos &&
                      text.find_first_of(".:") != std::string::npos);
            };
            if (value == nullptr || !fits(value->get()))
              throw RefusedValue{"must be an address such as \"127.0.0.1\" or \"::1\""};
            config.*field = value->get();
          },
          [field](const Config& config) { return in_quotes(config.*field); },
          copy_of(field)};
}

void check_action(const std::string& id) {
  if (lsp::action_with_id(id) != nullptr) return;
  std::vector<std::string_view> known;
  for (const lsp::Action* action : lsp::actions()) known.push_back(action->id);
  throw RefusedValue{"names no action: " + in_quotes(id) +
                     fmt::format("; there are {}", fmt::join(known, ", "))};
}

}  // namespace

const std::vector<Key>& keys() {
  static const std::vector<Key> all = {
      model("model", "path",
            "The checkpoint: a name that `hearth models` lists, or a directory. Empty: the\n"
            "environment's HEARTH_MODEL, else the small checkpoint that comes with hearth.",
            &Config::model_path),
      of_remote(
          "model", "url",
          "An OpenAI-compatible server that answers in place of an engine of this machine:\n"
          "\"https://gpu.example.org/v1\". Your prompts, with the code in them, go there. With\n"
          "model.path, too, that checkpoint answers while the server is away. Empty: none.",
          &Config::model_remote, &RemoteConfig::url, check_url),
      of_remote("model", "name",
                "By which name the server's model is asked for. Empty: the first that it lists.",
                &Config::model_remote, &RemoteConfig::name, check_model_name),
      of_remote("model", "key_file",
                "The file with the key for that server, for you alone (chmod 600). Empty: the\n"
                "environment's HEARTH_API_KEY, if there is one.",
                &Config::model_remote, &RemoteConfig::key_file, check_path),
      of_remote("model", "tokenizer",
                "The server's model by name or directory, as far as its tokens (tokenizer.json,\n"
                "config.json): then prompts go as tokens, made as for an engine of this machine.\n"
                "Empty: as text, from which the server makes them.",
                &Config::model_remote, &RemoteConfig::tokenizer, check_tokenizer),
      number("model", "threads", "Threads that compute. 0: one per core.", &Config::model_threads,
             0, 1024),
      choice("model", "isa", "Instruction set of the kernels; \"auto\": the best of this machine.",
             &Config::model_isa,
             {{"auto", std::nullopt},
              {"scalar", kernels::Isa::scalar},
              {"avx2", kernels::Isa::avx2},
              {"avx512", kernels::Isa::avx512},
              {"amx", kernels::Isa::amx}}),
      choice("model", "kv", "Type of the attention cache: \"f16\" halves its memory, at some loss.",
             &Config::model_kv, {{"f32", engine::KvType::f32}, {"f16", engine::KvType::f16}}),
      number("model", "context",
             "Tokens of a prompt and its answer together, at most. 0: the model's own limit.",
             &Config::model_context, 0, 1 << 20),
      size("memory", "experts",
           "Memory for experts; more means fewer reads from disk. \"auto\": at most 60 % of what\n"
           "is free at start, leaving 4 GiB to other programs.",
           &Config::memory_experts),
      size("memory", "scratch", "Memory for prefill; more means fewer passes over the experts.",
           &Config::memory_scratch),
      size("memory", "vram",
           "Memory of the first CUDA device: as many layers as fit, with their part of every\n"
           "sequence, then experts, which are computed there. \"auto\": what is free on it,\n"
           "leaving 512 MiB to other programs. \"0\": no GPU is used, the default until this was\n"
           "seen on a real one.",
           &Config::memory_vram),
      duration("memory", "vram_idle",
               "After this long without a request the GPU's memory is given back until the next\n"
               "one; on battery after a minute at most. \"0s\": it is kept.",
               &Config::memory_vram_idle),
      size("prefix_cache", "ram",
           "Memory for checkpoints of prompts, so that a shared prefix is not computed again. At\n"
           "80B a checkpoint takes about 74 MiB, and a token 48 KiB. \"auto\": an eighth of what "
           "is\n"
           "free at start, from 256M to 4G. \"0\": none are kept.",
           &Config::prefix_cache_ram),
      size("prefix_cache", "disk",
           "Disk space for checkpoints that took long to compute; a new daemon finds them again.\n"
           "\"0\": none.",
           &Config::prefix_cache_disk),
      number("prefix_cache", "interval",
             "Tokens between two checkpoints where a prompt names no boundary.",
             &Config::prefix_cache_interval, 64, 1 << 20),
      size("prefix_cache", "daily_write_limit",
           "Write at most this much to disk in a day, to spare the drive; what secures a job that "
           "is computed, at a rate that would use it up in an hour.",
           &Config::prefix_cache_daily_write_limit),
      duration("prefix_cache", "min_recompute_time",
               "Do not persist a prefix that can be recomputed faster than this.",
               &Config::prefix_cache_min_recompute_time),
      choice("experts", "reader", "How experts are read from disk. \"auto\": the best that works.",
             &Config::experts_reader,
             {{"auto", std::nullopt},
              {"io_uring", engine::ReaderKind::uring},
              {"threads", engine::ReaderKind::threads}}),
      choice(
          "experts", "policy",
          "Which expert is evicted: \"lrfu\", the least recently and frequently used, or \"lru\",\n"
          "the least recently used.",
          &Config::experts_policy,
          {{"lru", engine::PolicyKind::lru}, {"lrfu", engine::PolicyKind::lrfu}}),
      flag("experts", "prefetch",
           "Read experts before they are certain to be needed, as long as most of them are used.",
           &Config::experts_prefetch),
      choice(
          "decode", "speculate",
          "Speculative decoding: the source of draft tokens that one pass verifies together. It\n"
          "changes no answer and stops where it does not pay. \"auto\": copies from the prompt "
          "and\n"
          "the answer, and the checkpoint's MTP head where all experts, its own too, fit in\n"
          "memory. \"copy\": without the head. \"mtp\": always with it. \"off\": none.",
          &Config::decode_speculate,
          {{"auto", Speculation::automatic},
           {"copy", Speculation::copy},
           {"mtp", Speculation::mtp},
           {"off", Speculation::off}}),
      model("inline", "model",
            "A second checkpoint, by name or directory: completions come from it, everything else\n"
            "from the first. It is in memory as a whole, which leaves less to the first one's\n"
            "experts (`hearth plan` says what a pair costs). Empty: none.",
            &Config::inline_model),
      of_remote("inline", "url",
                "As model.url, but for completions alone. With inline.model, too, that checkpoint\n"
                "completes while the server is away.",
                &Config::inline_remote, &RemoteConfig::url, check_url),
      of_remote("inline", "name", "As model.name, of that server.", &Config::inline_remote,
                &RemoteConfig::name, check_model_name),
      of_remote(
          "inline", "key_file",
          "As model.key_file, of that server; empty: the environment's HEARTH_INLINE_API_KEY.",
          &Config::inline_remote, &RemoteConfig::key_file, check_path),
      of_remote("inline", "tokenizer", "As model.tokenizer, of that server.",
                &Config::inline_remote, &RemoteConfig::tokenizer, check_tokenizer),
      flag("inline", "drafts",
           "Whether that one also drafts tokens for the first, which verifies several in one\n"
           "pass. It changes no answer, and stops where it does not pay: `hearth bench --draft`\n"
           "shows what it brings here. Both must be of one family.",
           &Config::inline_drafts),
      duration("inline", "hold",
               "How long an automatic completion may wait for its text, in editors that can wait.",
               &Config::inline_hold),
      duration("inline", "debounce",
               "How long an automatic completion waits for the next keystroke before anything is\n"
               "computed for it. \"0s\": not at all.",
               &Config::inline_debounce),
      number("inline", "max_tokens", "Longest inline completion.", &Config::inline_max_tokens, 1,
             4096),
      duration("inline", "max_read",
               "How long reading what is new at a keystroke may take. A model that reads what is\n"
               "behind the cursor last is shown so much of it, at the measured speed. Where even\n"
               "one line takes longer, completions come at pauses and where a line begins only.",
               &Config::inline_max_read),
      flag("inline", "automatic", "Complete while one types; else only where it is asked for.",
           &Config::inline_automatic),
      names("actions", "disabled", "Actions that no menu lists: [\"translate\", \"tests\"].",
            &Config::actions_disabled, check_action),
      names("off", "languages",
            "Languages in which nothing happens unless it is asked for: no completion while one\n"
            "types, no menu. As editors name them: [\"markdown\", \"plaintext\"].",
            &Config::off_languages),
      names("off", "paths",
            "Files of that kind, by patterns of their path in the workspace: [\"generated/*\",\n"
            "\"*.min.js\"]. * stands for anything; without a / it is about the name alone.",
            &Config::off_paths),
      number("answer", "max_tokens", "Longest answer of an action.", &Config::answer_max_tokens, 1,
             1 << 17),
      duration(
          "answer", "keep",
          "How long answer files are kept, for editors that can show an answer only as a file.\n"
          "\"0s\": until you remove them.",
          &Config::answer_keep),
      duration("jobs", "keep",
               "How long `hearth jobs` knows what has ended, its question and answer included.\n"
               "\"0s\": until a hundred more have ended. `hearth forget` removes it at once.",
               &Config::jobs_keep),
      choice(
          "thinking", "mode",
          "Whether a model that can think does before it answers: \"on\", \"off\", or \"auto\":\n"
          "where it helps (fix, refactor, review), and not where an answer is wanted at once\n"
          "(rename, commit message). Completions never wait for a thought.",
          &Config::thinking_mode,
          {{"auto", lsp::ThinkingMode::automatic},
           {"on", lsp::ThinkingMode::on},
           {"off", lsp::ThinkingMode::off}}),
      choice("thinking", "effort",
             "How much it thinks, of a model that can be told (Qwen3.8): \"low\", \"medium\", or\n"
             "\"xhigh\", which takes minutes.",
             &Config::thinking_effort,
             {{"low", engine::Effort::low},
              {"medium", engine::Effort::medium},
              {"xhigh", engine::Effort::xhigh}}),
      choice(
          "thinking", "history",
          "Whether the thoughts of earlier turns are shown to the model again: \"keep\", so that "
          "a\n"
          "turn computes only what is new, or \"drop\", which leaves more of the context free and\n"
          "computes the answer before once more.",
          &Config::thinking_keep, {{"keep", true}, {"drop", false}}),
      number(
          "thinking", "budget",
          "A thinking model thinks for at most this many tokens, then has to answer. Editors show\n"
          "the thought in a fold; it is never part of a change. 0: no thought.",
          &Config::thinking_budget, 0, 1 << 17),
      flag("serve", "open",
           "Open the door of `hearth serve` whenever a daemon starts; else that command does.",
           &Config::serve_open),
      address("serve", "listen",
              "The address at which `hearth serve` listens. Any other than a loopback one lets\n"
              "other machines in.",
              &Config::serve_listen),
      number("serve", "port", "Its port. 0: any that is free.", &Config::serve_port, 0, 65535),
      file("serve", "certificate",
           "A certificate in PEM, and those that vouch for it, for TLS. What is renewed is read "
           "when\n"
           "the door opens again. Empty: no TLS.",
           &Config::serve_certificate),
      file("serve", "key", "Its private key in PEM, which only you can read.", &Config::serve_key),
      flag("serve", "plain",
           "Listen at an address that is no loopback one without TLS: what is sent can be read on\n"
           "its way.",
           &Config::serve_plain),
      names("serve", "origins",
            "Pages of the web that may ask, in a browser: [\"http://localhost:3000\"].",
            &Config::serve_origins),
      names("serve", "aliases",
            "Other names by which clients may ask for the model: [\"gpt-4o-mini\"].",
            &Config::serve_aliases),
      flag("serve", "switch",
           "A request that names another model of those that `hearth models` lists changes the\n"
           "daemon to it: not while anything is computed or waits, nor before the model that runs\n"
           "has been there for five minutes.",
           &Config::serve_switch),
      choice("serve", "priority",
             "How urgent requests of HTTP are: \"background\", so that editors go first, or\n"
             "\"explicit\", as what a person chose in an editor.",
             &Config::serve_priority,
             {{"background", lsp::Priority::background},
              {"explicit", lsp::Priority::explicit_request}}),
      duration("daemon", "idle_exit",
               "The daemon exits after this long without an editor or a job. \"0s\": never.",
               &Config::idle_exit),
      choice("log", "level", "How much is logged; only \"trace\" logs text of documents.",
             &Config::log_level,
             {{"trace", lsp::LogLevel::trace},
              {"debug", lsp::LogLevel::debug},
              {"info", lsp::LogLevel::info},
              {"warn", lsp::LogLevel::warn},
              {"error", lsp::LogLevel::error}}),
  };
  return all;
}

}  // namespace hearth::daemon
