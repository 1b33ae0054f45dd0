// A store on a disk that takes as long as a test wants.
#pragma once

#include <utility>
#include <vector>

#include "lsp/jobs/memory_store.hpp"

namespace hearth::lsp::test {

class SlowStore : public MemoryJobStore {
 public:
  using MemoryJobStore::MemoryJobStore;
  void change(JobId id, JobChange change, Done done) override {
    if (slow && done) {
      held_.push_back(std::move(done));
      done = {};
    }
    MemoryJobStore::change(id, std::move(change), std::move(done));
  }
  void sync() {
    slow = false;
    for (const Done& done : std::exchange(held_, {})) done({});
  }
  bool slow = false;

 private:
  std::vector<Done> held_;
};

}  // namespace hearth::lsp::test
