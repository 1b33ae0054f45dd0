// Runs and prints `hearth bench --copy`.
#include "daemon/commands/bench_copy.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "daemon/commands/local_run.hpp"
#include "daemon/config.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/installation.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/version.hpp"
#include "engine/measure/measurements.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr int rounds = 3;

// A function of sixty lines, as a person would select it.
constexpr std::string_view function =
    R"(def summarize_orders(orders, prices, currency="EUR", limit=10):
    """Summarize the orders: totals by customer and by product."""
    if not orders:
        return {"customers": {}, "products": {}, "total": 0}
    customers = {}
    products = {}
    skipped = []
    total = 0
    for order in orders:
        name = order.get("customer")
        if name is None:
            skipped.append(order)
            continue
        items = order.get("items", [])
        if not items:
            skipped.append(order)
            continue
        amount = 0
        for item in items:
            code = item["code"]
            count = item.get("count", 1)
            if code not in prices:
                skipped.append(item)
                continue
            price = prices[code]
            if count < 0:
                raise ValueError("count must not be negative")
            value = price * count
            amount += value
            if code not in products:
                products[code] = {"count": 0, "value": 0}
            products[code]["count"] += count
            products[code]["value"] += value
        discount = order.get("discount", 0)
        if discount > 0:
            amount = amount * (100 - discount) / 100
        if name not in customers:
            customers[name] = {"orders": 0, "amount": 0}
        customers[name]["orders"] += 1
        customers[name]["amount"] += amount
        total += amount
    ranking = []
    for name, entry in customers.items():
        average = entry["amount"] / entry["orders"]
        ranking.append((entry["amount"], average, name))
    ranking.sort(reverse=True)
    best = []
    for amount, average, name in ranking[:limit]:
        text = name + ": " + str(amount) + " " + currency
        best.append(text)
    result = {}
    result["customers"] = customers
    result["products"] = products
    result["total"] = total
    result["best"] = best
    result["skipped"] = len(skipped)
    result["currency"] = currency
    if total > 0:
        result["average"] = total / len(orders)
    return result
)";
constexpr std::string_view old_name = "total";
constexpr std::string_view new_name = "revenue";

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '"';
}

// The function with the name changed, but for strings.
std::string renamed() {
  std::string text(function);
  for (std::size_t at = text.find(old_name); at != std::string::npos;
       at = text.find(old_name, at + 1)) {
    if (in_word(text[at - 1]) || in_word(text[at + old_name.size()])) continue;
    text.replace(at, old_name.size(), new_name);
  }
  return text;
}

struct Task {
  std::vector<engine::TokenId> prompt;
  std::vector<engine::TokenId> text;  // the answer, as it should be
};

Task task_for(const engine::Engine& engine) {
  const engine::Profile& profile = engine.profile();
  const std::vector<engine::ChatMessage> messages{
      {"system", profile.system_chat},
      {"user", "File: src/orders.py (python)\n\n```python\n" + std::string(function) +
                   "```\n\nRename `" + std::string(old_name) + "` to `" + std::string(new_name) +
                   "`. Reply with the whole function in one code block."}};
  return {engine::tokenize(engine.tokenizer(), engine::render_chat(profile, messages)).tokens,
          engine.tokenizer().encode("```python\n" + renamed() + "```")};
}

// How many tokens of the task's text the engine writes by itself.
std::size_t written_alone(engine::Session& session, const Task& task,
                          const std::atomic<bool>* interrupt) {
  engine::GenerationRequest request;
  request.prompt.tokens = task.prompt;
  request.stop_ids = session.engine().profile().chat_stop;
  request.max_tokens = static_cast<std::int64_t>(task.text.size());
  engine::Generation generation(session, std::move(request));
  while (generation.step(interrupt) == engine::Progress::more) {
  }
  const auto& answer = generation.answer();
  return static_cast<std::size_t>(std::ranges::mismatch(answer, task.text).in1 - answer.begin());
}

engine::EngineOptions options_of(const CopyBench& bench, const std::filesystem::path& model) {
  engine::EngineOptions options = configured_options(model.string());
  options.host().threads = bench.threads;
  options.context = 2048;  // enough for both, and what the embedded checkpoint can have
  options.mtp = engine::MtpUse::off;
  options.drafts = engine::EngineOptions{}.drafts;  // also where they are configured to be off
  return options;
}

json to_json(const engine::CopyRun& run) {
  json passes = json::array();
  for (const auto& pass : run.passes) passes.push_back({pass.drafted, pass.accepted});
  return {
      {"seconds", run.seconds}, {"tokens", run.counts.tokens},   {"passes", run.counts.passes},
      {"agreed", run.agreed},   {"drafted", run.counts.drafted}, {"accepted", run.counts.accepted},
      {"perPass", passes}};
}

double per_pass(const engine::DecodeCounts& counts) {
  return static_cast<double>(counts.tokens) / static_cast<double>(counts.passes);
}

void print_speculation(const engine::DecodeCounts& counts) {
  std::printf("%llu passes, %llu draft tokens verified, %llu accepted; %.2f tokens a pass\n",
              static_cast<unsigned long long>(counts.passes),
              static_cast<unsigned long long>(counts.drafted),
              static_cast<unsigned long long>(counts.accepted), per_pass(counts));
}

// The run of the middle time.
const engine::CopyRun& median(std::vector<engine::CopyRun>& runs) {
  std::ranges::sort(runs, {}, &engine::CopyRun::seconds);
  return runs[runs.size() / 2];
}

}  // namespace

std::string show_engine(const engine::Engine& engine) {
  std::string text = engine.description() + "\n";
  for (const std::string& note : engine.notes()) text += "  " + note + "\n";
  return text;
}

int bench_copy(const CopyBench& bench) {
  const InterruptFlag flag;
  const std::atomic<bool>* interrupt = &flag.flag();
  const auto check = [&] {
    if (interrupt->load()) throw Error("interrupted");
  };
  const bool progress = ::isatty(STDERR_FILENO) == 1;

  if (!bench.json) {
    std::printf(
        "measuring the speedup by speculation where a function is copied: first the embedded\n"
        "checkpoint writes it, then the model, %d runs with drafts and %d without\n\n",
        rounds, rounds);
    std::fflush(stdout);
  }
  Task task;
  std::size_t alone = 0;
  engine::CopyRun recorded;
  {
    const auto ember = load_with_progress(options_of(bench, embedded_model()), progress);
    engine::wait_until_warm(*ember, interrupt);
    task = task_for(ember->engine());
    engine::Session session(ember);
    alone = written_alone(session, task, interrupt);
    recorded = engine::teacher_forced_run(session, task.prompt, task.text, true, interrupt);
    check();
  }
  const bool by_itself = alone == task.text.size();

  auto options = options_of(bench, model_directory(bench.model));
  if (bench.memory) options.host().expert_memory = *bench.memory;
  const auto runtime = load_with_progress(options, progress);
  if (runtime->engine().config().vocab_size < *std::ranges::max_element(task.prompt) + 1) {
    throw Error(options.model.string() +
                ": its vocabulary is smaller than the embedded checkpoint's");
  }
  engine::wait_until_warm(*runtime, interrupt);
  engine::Session session(runtime);
  std::vector<engine::CopyRun> speculating;
  std::vector<engine::CopyRun> plain;
  const engine::ExpertStatus before = runtime->experts();
  for (int round = 0; round < rounds; ++round) {
    plain.push_back(engine::teacher_forced_run(session, task.prompt, task.text, false, interrupt));
    check();
    speculating.push_back(
        engine::teacher_forced_run(session, task.prompt, task.text, true, interrupt));
    check();
  }
  const engine::ExpertStatus after = runtime->experts();
  const engine::CopyRun& one = median(plain);
  const engine::CopyRun& several = median(speculating);
  const double ratio = one.seconds / several.seconds;
  const auto tokens = static_cast<double>(one.counts.tokens);

  if (bench.json) {
    const json result{{"hearth", build()},
                      {"model", options.model.string()},
                      {"engine", runtime->engine().description()},
                      {"numerics", runtime->engine().numerics()},
                      {"promptTokens", task.prompt.size()},
                      {"textTokens", task.text.size()},
                      {"embeddedWritesAlone", alone},
                      {"textGiven", !by_itself},
                      {"embedded", to_json(recorded)},
                      {"expertsRead", after.misses - before.misses},
                      {"plain", to_json(one)},
                      {"speculating", to_json(several)},
                      {"tokensPerPass", per_pass(several.counts)},
                      {"speedup", ratio}};
    std::printf("%s\n", result.dump(2).c_str());
    return 0;
  }
  std::printf("a function of %lld lines, written again with one name changed: %zu tokens\n",
              static_cast<long long>(std::ranges::count(function, '\n')), task.text.size());
  std::printf("embedded checkpoint: ");
  print_speculation(recorded.counts);
  if (by_itself) {
    std::printf("  it writes all of it by itself\n");
  } else {
    std::printf(
        "  it writes %zu of the tokens by itself: the text is given, and drafts are\n"
        "  accepted where they agree with it\n",
        alone);
  }
  std::printf("%s, %d layers, %llu experts read meanwhile; medians of %d runs by turns\n%s",
              options.model.string().c_str(), runtime->engine().config().num_layers(),
              static_cast<unsigned long long>(after.misses - before.misses), rounds,
              show_engine(runtime->engine()).c_str());
  std::printf("one by one:  %6.2f s, %6.2f tokens/s\n", one.seconds, tokens / one.seconds);
  std::printf("speculating: %6.2f s, %6.2f tokens/s; ", several.seconds, tokens / several.seconds);
  print_speculation(several.counts);
  std::printf("%.2f times as fast\n", ratio);
  return 0;
}

}  // namespace hearth::daemon
