// `hearth pull`: downloads a checkpoint and says how far it is.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "daemon/commands/asking.hpp"
#include "daemon/commands/commands.hpp"
#include "daemon/hub/library.hpp"
#include "daemon/hub/partial.hpp"
#include "daemon/hub/pull.hpp"
#include "daemon/platform/error.hpp"
#include "daemon/platform/format.hpp"
#include "daemon/platform/interrupt_flag.hpp"
#include "daemon/platform/paths.hpp"

namespace hearth::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int stopped_by_hand = 130;  // exit code, as a shell has it

struct PullFlags {
  std::string model;
  std::string name;
  std::string revision;
  std::size_t connections = hub::DownloadOptions{}.connections;
};

// Bytes a second over the last few seconds.
class Speed {
 public:
  void saw(std::uint64_t bytes, Clock::time_point now) {
    // A file that came damaged takes its bytes away again.
    if (!seen_.empty() && bytes < seen_.back().bytes) seen_.clear();
    seen_.push_back({bytes, now});
    while (now - seen_.front().at > window) seen_.pop_front();
  }
  // Empty before enough was seen.
  std::optional<double> per_second() const {
    if (seen_.empty()) return std::nullopt;
    const std::chrono::duration<double> time = seen_.back().at - seen_.front().at;
    const auto bytes = static_cast<double>(seen_.back().bytes - seen_.front().bytes);
    if (time < std::chrono::seconds(1) || bytes <= 0) return std::nullopt;
    return bytes / time.count();
  }

 private:
  static constexpr std::chrono::seconds window{10};
  struct Seen {
    std::uint64_t bytes;
    Clock::time_point at;
  };
  std::deque<Seen> seen_;
};

// A line that is written anew on a terminal, and one from time to time elsewhere.
class ProgressLine {
 public:
  void show(const hub::DownloadProgress& progress) {
    const auto now = Clock::now();
    speed_.saw(progress.bytes_done, now);
    say(progress.trouble.empty() ? line_of(progress) : progress.trouble, now);
  }
  void show_trouble(const std::string& trouble) { say(trouble, Clock::now()); }
  void clear() {
    if (is_terminal_ && is_open_) std::fputs("\r\x1b[K", stderr);
    is_open_ = false;
  }

 private:
  std::string line_of(const hub::DownloadProgress& progress) const {
    const auto done = static_cast<double>(progress.bytes_done);
    const auto total = static_cast<double>(progress.bytes_total);
    if (progress.bytes_done >= progress.bytes_total)
      return fmt::format("verifying: {} of {} files", progress.verified, progress.files);
    std::string line =
        fmt::format("{} of {} ({:.0f} %)", show_bytes(done), show_bytes(total), 100 * done / total);
    if (const auto speed = speed_.per_second()) {
      const auto left = std::chrono::ceil<std::chrono::seconds>(
          std::chrono::duration<double>((total - done) / *speed));
      line += fmt::format(", {}/s, {} left", show_bytes(*speed), show_time(left));
    }
    return line;
  }

  void say(const std::string& line, Clock::time_point now) {
    constexpr std::chrono::milliseconds on_terminal{200};
    constexpr std::chrono::seconds elsewhere{10};
    if (is_terminal_ ? now - shown_ < on_terminal : now - shown_ < elsewhere) return;
    shown_ = now;
    if (is_terminal_) {
      // Characters, not bytes, would count; a line of ASCII is both.
      std::fprintf(stderr, "\r\x1b[K%s", line.substr(0, terminal_columns() - 1).c_str());
      is_open_ = true;
    } else {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
  }

  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool is_open_ = false;
  Speed speed_;
  Clock::time_point shown_ = Clock::now();
};

// What was asked for, and the name that it gets here.
struct Order {
  hub::Wanted wanted;
  std::string name;
};

// A name is that of a known model, or of one that was downloaded, or begun, under it.
Order understand(const PullFlags& flags, const hub::Library& library) {
  const hub::Endpoint endpoint = hub::find_endpoint();
  std::string repository = flags.model;
  std::string name = flags.name;
  if (repository.find('/') == std::string::npos) {
    for (const hub::NamedModel& model : library.models()) {
      if (model.name != repository || !model.manifest) continue;
      if (name.empty()) name = model.name;
      repository = model.manifest->endpoint + "/" + model.manifest->id;
    }
    if (const hub::KnownModel* known = hub::find_known(repository)) repository = known->id;
    if (repository.find('/') == std::string::npos)
      throw Error("no model \"" + on_one_line(repository) +
                  "\" is known (`hearth models` lists those that are). One of " +
                  endpoint.url.origin() + " is called OWNER/NAME.");
  }
  Order order{hub::parse_wanted(repository, flags.revision, endpoint), name};
  if (order.name.empty()) order.name = order.wanted.id.substr(order.wanted.id.find('/') + 1);
  if (!hub::is_model_name(order.name))
    throw Error("\"" + on_one_line(order.name) +
                "\" is no name for a model: letters, digits, \".\", \"-\" and \"_\" make one "
                "(--name)");
  return order;
}

int pull(const PullFlags& flags) {
  const hub::Library library(find_paths().models);
  const Order order = understand(flags, library);
  const hub::Repository repository(order.wanted);
  hub::PullOptions options;
  options.download.connections = flags.connections;
  ProgressLine line;
  std::uint64_t bytes = 0;
  hub::PullEvents events;
  events.begins = [&](const hub::Manifest& manifest, std::uint64_t here) {
    line.clear();
    bytes = manifest.bytes();
    print(fmt::format("{} from {}, commit {} ({}): {} in {}\n", manifest.id, manifest.endpoint,
                      manifest.commit.substr(0, 12), manifest.revision,
                      show_bytes(static_cast<double>(bytes)),
                      show_count(static_cast<std::int64_t>(manifest.files.size()), "file")));
    if (here > 0)
      print(fmt::format("{} of it are here already.\n", show_bytes(static_cast<double>(here))));
    std::fflush(stdout);
  };
  events.progress = [&](const hub::DownloadProgress& progress) { line.show(progress); };
  events.waits = [&](const std::string& trouble) { line.show_trouble(trouble); };
  const InterruptFlag interrupt;
  hub::Pulled pulled = hub::Pulled::stopped;
  try {
    pulled = hub::pull(repository, library.place(order.name), options, events, interrupt.flag());
  } catch (const std::exception& error) {
    line.clear();
    const std::filesystem::path partial = library.place(order.name).string() + hub::partial_suffix;
    if (hub::recorded_bytes(partial) == 0) throw;
    throw Error(std::string(error.what()) +
                "\nWhat has come is kept: the same command goes on with it.");
  }
  line.clear();
  if (pulled == hub::Pulled::stopped) {
    std::fputs("Stopped. What has come is kept: the same command goes on with it.\n", stderr);
    return stopped_by_hand;
  }
  const std::string place = library.place(order.name).string();
  print(pulled == hub::Pulled::was_there
            ? order.name + " is here already: " + place + "\n"
            : order.name + " is here, every file verified: " + place + "\n");
  print("`hearth use " + order.name + "` runs it.\n");
  return 0;
}

}  // namespace

void add_pull(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand(
      "pull", "Downloads a model from Hugging Face, or a server like it, and verifies it");
  auto flags = std::make_shared<PullFlags>();
  command
      ->add_option("name", flags->model,
                   "A name that `hearth models` lists, OWNER/NAME, or an address")
      ->required()
      ->type_name("NAME");
  command->add_option("--name", flags->name, "What it is called here (default: its own name)")
      ->type_name("NAME");
  command
      ->add_option("--revision", flags->revision,
                   "Branch, tag or commit (default: main); its commit is found out once")
      ->type_name("REVISION");
  command->add_option("--connections", flags->connections, "Requests at a time")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command->callback([&chosen, flags] { chosen = [flags] { return pull(*flags); }; });
  command->footer(
      "It can be stopped at any time, by Ctrl-C or a crash: the same command goes on\n"
      "with what has come, at the same commit. Only what hearth reads is fetched, and\n"
      "the model is there only when every file has its digest.\n"
      "\n"
      "Models are kept in $XDG_DATA_HOME/hearth/models, or ~/.local/share/hearth/models.\n"
      "HF_ENDPOINT is another server, HF_TOKEN is sent to it and to nobody else; a model\n"
      "whose licence has to be accepted needs one.\n"
      "\n"
      "Examples:\n"
      "  hearth pull Qwen3.5-0.8B\n"
      "  hearth pull Qwen/Qwen3-Coder-Next-FP8 --revision main");
}

}  // namespace hearth::daemon
