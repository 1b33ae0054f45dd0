// Another model than the one that runs, because a request names it: when that may be, and what the
// request is told.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/hub/library.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/lifetime.hpp"
#include "lsp/support/model.hpp"

namespace hearth::daemon {

struct SwitchCalls {
  std::filesystem::path models;                         // the directory of those that have a name
  std::function<bool()> busy;                           // anybody's work runs or waits
  std::function<void(std::filesystem::path)> run = {};  // the daemon begins anew with this model
};

// On the Host's thread. What it is given outlives it.
class ModelSwitch {
 public:
  // A model that was loaded stays for so long.
  static constexpr std::chrono::minutes stay{5};
  // From the answer that announces a switch to the switch, so that the answer arrives.
  static constexpr std::chrono::milliseconds delay{200};

  ModelSwitch(lsp::Host& host, lsp::Model& model, SwitchCalls calls);
  ~ModelSwitch();

  // The models that could be run.
  std::vector<std::string> names() const;
  // Where there is a model of this name. True: it is the one in `running`. Else begins to change to
  // it, or cannot now: both throw ApiError with 503, the reason, and when to ask again.
  bool ask(const std::string& name, const std::string& running);

 private:
  void change(const std::filesystem::path& model);

  lsp::Host& host_;
  const hub::Library library_;
  const SwitchCalls calls_;
  std::optional<std::chrono::steady_clock::time_point> loaded_;
  lsp::Host::TimerId timer_ = 0;  // 0: no change is under way
  lsp::Lifetime lifetime_;
};

}  // namespace hearth::daemon
