// A test case that waits for ever names itself: after ten minutes the program says which case it
// is, where its first thread stands and what the daemons' logs end with, and aborts. It is no
// measurement: no case takes a third of that, also under sanitizers. The long series have no limit.
// Included where doctest's main is.
#pragma once

#include <doctest/doctest.h>
#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "tests/logs_of_case.hpp"

namespace hearth::tests {

class CaseLimit : public doctest::IReporter {
 public:
  explicit CaseLimit(const doctest::ContextOptions&) { std::signal(SIGALRM, give_up); }
  void test_case_start(const doctest::TestCaseData& data) override {
    name() = std::string(data.m_file.c_str()) + ": " + data.m_name;
    begin();
  }
  void test_case_reenter(const doctest::TestCaseData&) override { begin(); }
  void test_case_end(const doctest::CurrentTestCaseStats&) override { ::alarm(0); }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  static void begin() {
    constexpr unsigned seconds = 600;
    if (std::getenv("HEARTH_LONG") == nullptr) ::alarm(seconds);
  }
  static std::string& name() {
    static std::string name;
    return name;
  }
  static void say(const std::string& text) {
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
  }
  // What it waits in is a system call; nothing else would keep it for so long, so it may allocate.
  static void give_up(int) {
    say("\nThis case has waited for ten minutes:\n" + name() + "\n");
    std::array<void*, 64> frames{};
    ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), frames.size()), STDERR_FILENO);
    for (const std::string& path : logs_of_case()) {
      std::array<char, 4096> end{};
      const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
      ::lseek(file, -static_cast<off_t>(end.size()), SEEK_END);
      const ssize_t got = ::read(file, end.data(), end.size());
      if (got > 0)
        say(path + " ends with:\n" + std::string(end.data(), static_cast<std::size_t>(got)));
    }
    std::signal(SIGABRT, SIG_DFL);  // doctest's own handler would say less
    std::abort();
  }
};

}  // namespace hearth::tests

DOCTEST_REGISTER_LISTENER("case limit", 1, hearth::tests::CaseLimit);
