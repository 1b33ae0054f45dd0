// Jobs with a scripted model, a virtual clock and a store in memory, and what is asked of them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/jobs/jobs.hpp"
#include "lsp/jobs/memory_store.hpp"
#include "tests/lsp/scripted_model.hpp"
#include "tests/lsp/virtual_host.hpp"

namespace hearth::lsp::test {

// One with something in each member.
Request example_request();
// The same whose answer is text.
Request text_request();

struct JobsWorld {
  JobsWorld() { model.load(); }
  VirtualHost host;
  ScriptedModel model{host};
  MemoryJobStore store{host};
  Jobs jobs{host, model, store};
  std::vector<std::pair<JobState, std::string>> heard;

  Jobs::Owner owner() {
    return {
        [this](const Job& job, std::string_view delta) { heard.emplace_back(job.state, delta); }};
  }
  JobId start() {
    const JobId id = jobs.start(text_request(), {"file:///p", "vim 7"}, owner());
    host.run();
    return id;
  }
};

}  // namespace hearth::lsp::test
