// The engines of a daemon, and which of them serves what: one of this machine, a server's with or
// without that one behind it, and those of completions.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/config.hpp"
#include "daemon/model_pair.hpp"
#include "daemon/models/backed_model.hpp"
#include "daemon/models/gpu_rest.hpp"
#include "daemon/models/local.hpp"
#include "daemon/models/room_for_small.hpp"
#include "daemon/models/small_model.hpp"
#include "daemon/remote/remote_model.hpp"
#include "lsp/support/host.hpp"

namespace hearth::daemon {

// On the Host's thread.
class Engines {
 public:
  // Begins to load, and to look for servers, at once. `local`: the checkpoint of this machine's
  // engine; empty: it has none. `state`: what it keeps; empty: nothing. `changed`: notices() did.
  // The host outlives it. Throws Error where a server may not be asked as it is configured.
  Engines(lsp::Host& host, const Config& config, const std::filesystem::path& local,
          const std::filesystem::path& state, std::function<void()> changed);
  Engines(const Engines&) = delete;
  Engines& operator=(const Engines&) = delete;

  lsp::Model& model() { return *model_; }              // of all but completions
  lsp::Model& completions() { return *completions_; }  // may be the same
  LocalModel* local() { return local_.get(); }         // this machine's large one; null: none
  // Of this machine's engines alone: what may be passed on to others. Only where local() is there.
  lsp::Model& local_completions();
  std::string device() const;  // what the model runs on, for people
  // The checkpoint's directory or, where there is none, the server's address.
  std::string name() const;
  // Machines, by their names, to which prompts may go.
  std::vector<std::string> sent_to() const;

  // Requests that compute, wait, or are under way.
  std::size_t waiting() const;
  // What is wrong with one of them while it is not said otherwise, each a sentence.
  std::vector<std::string> notices() const;
  // Adds "model" (null: none of this machine), "inlineModel", where one is configured, and
  // "servers".
  void add_status(nlohmann::json& status) const;
  // Of the model of this machine that completes: what completions cost there. Else as nothing was
  // measured.
  ModelStatus completing() const;

  // LocalModel::take_gpu or release_gpu, and how it is then, as gpu_json has it. Throws Error where
  // no engine of this machine is.
  nlohmann::json use_gpu(bool take);

  // As LocalModel's, of all of them; false: no large model of this machine is loaded.
  bool forget_prompts(std::function<void()> done);
  void hold();

 private:
  engine::EngineOptions large_options();
  void look();

  lsp::Host& host_;
  const std::function<void()> changed_;
  const bool small_configured_;
  const ModelPair pair_;
  RoomForSmall room_;  // the large one's, which may look until its end
  std::unique_ptr<LocalModel> local_;
  std::unique_ptr<GpuRest> gpu_rest_;  // of that one
  std::unique_ptr<RemoteModel> remote_;
  std::unique_ptr<BackedModel> backed_;
  lsp::Model* model_ = nullptr;
  std::unique_ptr<SmallModel> small_;
  std::unique_ptr<RemoteModel> inline_remote_;
  std::unique_ptr<BackedModel> inline_backed_;
  lsp::Model* completions_ = nullptr;
};

}  // namespace hearth::daemon
