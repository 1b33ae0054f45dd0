// The logs that tell what the daemons of a test case did, should it never end: see case_limit.hpp.
#pragma once

#include <set>
#include <string>

namespace hearth::tests {

// Of the thread that runs the tests.
inline std::set<std::string>& logs_of_case() {
  static std::set<std::string> logs;
  return logs;
}

}  // namespace hearth::tests
