// A last line in the log when a fault of its own ends the process: which signal it was.
#pragma once

#include <filesystem>

namespace hearth::daemon {

// SIGSEGV and its like, in this process from now on. They still end the process as they would have
// (core files, sanitizers' reports). `log` empty: the line goes to stderr.
void log_fatal_signals(const std::filesystem::path& log);

// So that a stack that overflowed is told of too: each thread calls it once, the caller of
// log_fatal_signals() need not.
void prepare_thread_for_fatal_signals();

}  // namespace hearth::daemon
