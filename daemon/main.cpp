// The program. Its commands are listed in commands/command_line.cpp.
// Exit codes: 0 fine, 1 it failed, 2 it was called in a wrong way; `plan` adds 3.
#include <cstdio>
#include <exception>

#include "daemon/commands/command_line.hpp"
#include "daemon/platform/error.hpp"
#include "lsp/support/failure.hpp"

namespace {

int fail(int code, const char* message) {
  std::fprintf(stderr, "hearth: %s\n", message);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return hearth::daemon::run_command_line(argc, argv);
  } catch (const hearth::daemon::CallError& wrong) {
    return fail(2, wrong.what());
  } catch (const std::exception& error) {
    return fail(1, hearth::lsp::failure_text(error).c_str());
  }
}
