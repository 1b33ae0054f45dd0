// The subcommands of `hearth`. Each adds its options to the command line and, where it was the one
// given, sets `chosen` to what is to be done; that returns the process's exit code or throws.
#pragma once

#include <chrono>
#include <functional>

namespace CLI {
class App;
}

namespace hearth::daemon {

using Command = std::function<int()>;

// How long a person waits for a daemon that does not answer.
inline constexpr std::chrono::milliseconds command_timeout{3'000};

void add_lsp(CLI::App& app, Command& chosen);
void add_daemon(CLI::App& app, Command& chosen);
void add_status(CLI::App& app, Command& chosen);
void add_jobs(CLI::App& app, Command& chosen);
void add_forget(CLI::App& app, Command& chosen);
void add_stop(CLI::App& app, Command& chosen);
void add_pause(CLI::App& app, Command& chosen);
void add_resume(CLI::App& app, Command& chosen);
void add_restart(CLI::App& app, Command& chosen);
void add_logs(CLI::App& app, Command& chosen);
void add_doctor(CLI::App& app, Command& chosen);
void add_editors(CLI::App& app, Command& chosen);
void add_serve(CLI::App& app, Command& chosen);
void add_generate(CLI::App& app, Command& chosen);
void add_chat(CLI::App& app, Command& chosen);
void add_commit_message(CLI::App& app, Command& chosen);
void add_tokenize(CLI::App& app, Command& chosen);
void add_demo(CLI::App& app, Command& chosen);
void add_trace(CLI::App& app, Command& chosen);
void add_models(CLI::App& app, Command& chosen);
void add_pull(CLI::App& app, Command& chosen);
void add_use(CLI::App& app, Command& chosen);
void add_rm(CLI::App& app, Command& chosen);
void add_model(CLI::App& app, Command& chosen);
void add_plan(CLI::App& app, Command& chosen);
void add_bench(CLI::App& app, Command& chosen);
void add_dummy(CLI::App& app, Command& chosen);
void add_help(CLI::App& app, Command& chosen);  // of all those that are added when it runs
void add_version(CLI::App& app, Command& chosen);

}  // namespace hearth::daemon
