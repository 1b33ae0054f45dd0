// How long a person waits for a completion from a small model while a large one writes, and what
// the large one loses by it: both in this process, on the same cores, as the daemon has them. Once
// with each order of fill in the middle. Prints, asserts nothing.
//
// Usage: two-models LARGE SMALL [COMPLETIONS] [SECONDS-BETWEEN]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/model_pair.hpp"
#include "daemon/models/completion_model.hpp"
#include "daemon/models/local.hpp"
#include "tests/daemon/queue_host.hpp"
#include "tests/temporary_directory.hpp"

using namespace hearth;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t prompt_tokens = 1'500;
constexpr std::int64_t suffix_tokens = 128;
constexpr std::int64_t written_tokens = 24;
// So many keystrokes add a line each to one place; then the person goes on at another.
constexpr int lines_typed = 40;

struct Options {
  fs::path large;
  fs::path small;
  int completions = 200;
  Seconds between{2};
};

double at(std::vector<double> all, double share) {
  if (all.empty()) return 0;
  std::sort(all.begin(), all.end());
  return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1) + 0.5)];
}

// The checkpoint with another order of fill in the middle.
fs::path in_order(const fs::path& model, const std::string& order, const fs::path& out) {
  fs::create_directory(out);
  nlohmann::json profile = nlohmann::json::object();
  for (const auto& file : fs::directory_iterator(fs::canonical(model))) {
    if (file.path().filename() == "hearth.json") {
      profile = nlohmann::json::parse(std::ifstream(file.path()));
    } else {
      fs::create_symlink(file.path(), out / file.path().filename());
    }
  }
  profile["fim_order"] = order;
  std::ofstream(out / "hearth.json") << profile;
  return out;
}

std::string line(int n) {
  const std::string number = std::to_string(n);
  return "    total_" + number + " = price * " + number + "\n";
}

// What is typed between two completions, a few tokens.
std::string typed_line(int n) {
  return "    x" + std::to_string(n) + " += 1\n";
}

std::string typed(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) text += typed_line(i);
  return text;
}

struct Completion {
  double first_ms = 0;  // until its first token
  lsp::Answer answer;
};

class Both {
 public:
  Both(const Options& options, const fs::path& small)
      : options_(options),
        pair_(daemon::model_pair(config(small), options.large, {}, engine::read_memory())),
        large_(host_, without_drafts(pair_.large)) {
    if (!pair_.small) throw std::runtime_error(pair_.refusal);
    small_.emplace(host_, *pair_.small, &large_);
    wait_for(large_);
    wait_for(*small_);
    std::printf("  memory: %.2f GB for the small one, %.2f GB less for experts\n",
                static_cast<double>(pair_.small_bytes) * 1e-9,
                static_cast<double>(pair_.expert_bytes) * 1e-9);
  }

  void measure() {
    const std::int64_t all_typed = count({typed(lines_typed)}).front();
    base_ = lines_of(prompt_tokens - suffix_tokens - all_typed / 2, 0);
    suffix_ = lines_of(suffix_tokens, 5'000);
    write();
    run_for(Seconds(5));  // its prompt is read
    const Seconds span = std::max(options_.between * options_.completions / 4, Seconds(5));
    const double before = speed_over(span);
    complete(0);  // all of the prompt is new
    const std::uint64_t parked = large_.status().parked;
    const auto began = Clock::now();
    const std::uint64_t written = large_.status().answer_tokens;
    for (int i = 0; i < options_.completions; ++i) {
      host_.run_until([&] { return Clock::now() >= began + i * options_.between; });
      complete(i + 1);
    }
    host_.run_until(
        [&] { return Clock::now() >= began + options_.completions * options_.between; });
    const double beside = static_cast<double>(large_.status().answer_tokens - written) /
                          Seconds(Clock::now() - began).count();
    const std::uint64_t parks = large_.status().parked - parked;
    const double alone = (before + speed_over(span)) / 2;
    print(alone, beside, parks);
    stop();
  }

 private:
  static daemon::Config config(const fs::path& small) {
    daemon::Config made;
    made.inline_model = small.string();
    return made;
  }
  // How much of noise can be copied varies.
  static engine::EngineOptions without_drafts(engine::EngineOptions options) {
    options.drafts = 0;
    return options;
  }

  void wait_for(lsp::Model& model) {
    std::optional<std::string> failure;
    model.describe([&](const lsp::Result<lsp::ModelDescription>& result) {
      const auto* error = std::get_if<lsp::ModelError>(&result);
      failure = error == nullptr ? "" : error->message;
    });
    host_.run_until([&] { return failure.has_value(); });
    if (!failure->empty()) throw std::runtime_error(*failure);
  }

  std::vector<std::int64_t> count(const std::vector<std::string>& texts) {
    std::vector<std::int64_t> counts;
    small_->count_tokens(
        texts, [&](const auto& result) { counts = std::get<std::vector<std::int64_t>>(result); });
    host_.run_until([&] { return !counts.empty(); });
    return counts;
  }

  // Lines of so many tokens, or a few less.
  std::string lines_of(std::int64_t tokens, int first) {
    std::vector<std::string> lines;
    for (int i = 0; i < 400; ++i) lines.push_back(line(first + i));
    const std::vector<std::int64_t> counts = count(lines);
    std::string text;
    for (std::size_t i = 0; i < lines.size() && counts[i] <= tokens; ++i) {
      tokens -= counts[i];
      text += lines[i];
    }
    return text;
  }

  // The large one writes one answer after another.
  void write() {
    lsp::Prompt prompt;
    prompt.kind = lsp::Prompt::Kind::text;
    prompt.prefix = {{line(++answers_), lsp::Provenance::file}};
    lsp::GenerateOptions options;
    options.priority = lsp::Priority::background;
    options.max_tokens = 1'024;
    lsp::GenerationEvents events;
    events.on_progress = [](const auto&) {};
    events.on_text = [](const auto&) {};
    events.on_done = [this](const lsp::Result<lsp::Answer>& result) {
      if (!stopped_ && std::holds_alternative<lsp::ModelError>(result))
        throw std::runtime_error(std::get<lsp::ModelError>(result).message);
      if (!stopped_) write();
      idle_ = stopped_;
    };
    job_ = large_.generate(std::move(prompt), std::move(options), std::move(events));
  }
  void stop() {
    stopped_ = true;
    large_.cancel(job_);
    host_.run_until([&] { return idle_; });
  }

  // The large one's tokens wake the host all the time.
  void run_for(Seconds span) {
    const auto until = Clock::now() + span;
    host_.run_until([&] { return Clock::now() >= until; });
  }
  double speed_over(Seconds span) {
    const std::uint64_t before = large_.status().answer_tokens;
    const auto began = Clock::now();
    run_for(span);
    return static_cast<double>(large_.status().answer_tokens - before) /
           Seconds(Clock::now() - began).count();
  }

  void complete(int number) {
    lsp::Prompt prompt;
    prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
    prompt.prefix = {{base_ + typed(number % lines_typed), lsp::Provenance::file}};
    prompt.suffix = {{suffix_, lsp::Provenance::file}};
    lsp::GenerateOptions options;
    options.priority = lsp::Priority::inline_completion;
    options.max_tokens = written_tokens;
    lsp::GenerationEvents events;
    std::optional<lsp::Result<lsp::Answer>> result;
    std::optional<Clock::time_point> first;
    events.on_progress = [](const auto&) {};
    events.on_text = [](const auto&) {};
    events.on_tokens = [&](const auto&) {
      if (!first) first = Clock::now();
    };
    events.on_done = [&](lsp::Result<lsp::Answer> done) { result = std::move(done); };
    const auto began = Clock::now();
    small_->generate(std::move(prompt), std::move(options), std::move(events));
    host_.run_until([&] { return result.has_value(); });
    if (const auto* error = std::get_if<lsp::ModelError>(&*result))
      throw std::runtime_error(error->message);
    if (number == 0) return;
    completions_.push_back({1e3 * Seconds(first.value_or(Clock::now()) - began).count(),
                            std::get<lsp::Answer>(*result)});
  }

  void print(double alone, double beside, std::uint64_t parks) const {
    std::vector<double> first;
    std::vector<double> fresh;
    std::vector<double> length;
    std::vector<double> speed;
    for (const Completion& each : completions_) {
      first.push_back(each.first_ms);
      fresh.push_back(static_cast<double>(each.answer.prompt_tokens - each.answer.cached_tokens));
      length.push_back(static_cast<double>(each.answer.prompt_tokens));
      if (each.answer.answer_time.count() > 0)
        speed.push_back(1e3 * static_cast<double>(each.answer.answer_tokens) /
                        static_cast<double>(each.answer.answer_time.count()));
    }
    std::printf(
        "  %zu completions: first token p50 %.0f ms, p95 %.0f ms, most %.0f ms\n"
        "  prompts of %.0f tokens (p50), of which %.0f (p50) to %.0f (most) were read; then "
        "%.1f tokens/s\n"
        "  large model: %.2f tokens/s alone, %.2f beside: %.0f %%; parked %llu times\n",
        completions_.size(), at(first, 0.5), at(first, 0.95), at(first, 1), at(length, 0.5),
        at(fresh, 0.5), at(fresh, 1), at(speed, 0.5), alone, beside, 100 * beside / alone,
        static_cast<unsigned long long>(parks));
  }

  const Options& options_;
  tests::QueueHost host_;
  const daemon::ModelPair pair_;
  daemon::LocalModel large_;
  std::optional<daemon::LocalModel> small_;
  std::string base_;
  std::string suffix_;
  lsp::GenerationId job_ = 0;
  int answers_ = 0;
  bool stopped_ = false;
  bool idle_ = false;
  std::vector<Completion> completions_;
};

}  // namespace

int main(int count, char** arguments) try {
  if (count < 3) {
    std::fprintf(stderr, "usage: two-models LARGE SMALL [COMPLETIONS] [SECONDS-BETWEEN]\n");
    return 2;
  }
  Options options{fs::canonical(arguments[1]), fs::canonical(arguments[2])};
  if (count > 3) options.completions = std::stoi(arguments[3]);
  if (count > 4) options.between = Seconds(std::stod(arguments[4]));
  const tests::TemporaryDirectory directory;
  for (const char* order : {"prefix_first", "suffix_first"}) {
    std::printf("%s\n", order);
    Both both(options, in_order(options.small, order, directory.path() / order));
    both.measure();
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "two-models: %s\n", error.what());
  return 1;
}
