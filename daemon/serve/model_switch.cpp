// No request waits for a load that is to come: it is told when to ask again, which clients do by
// themselves, and the new model's first request waits for the rest. The daemon begins anew in its
// own process, as a service's may be told from others by its number; the configuration stays as a
// person wrote it, so that what a client chose ends with the daemon.
#include "daemon/serve/model_switch.hpp"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "daemon/serve/api_error.hpp"

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr seconds after_work{30};
constexpr seconds after_switch{5};

ApiError later(const std::string& sentence, const char* code, seconds time) {
  ApiError error(503, fmt::format("{}: ask again in {} s", sentence, time.count()), "model", code);
  error.retry_after = time;
  return error;
}

}  // namespace

ModelSwitch::ModelSwitch(lsp::Host& host, lsp::Model& model, SwitchCalls calls)
    : host_(host), library_(calls.models), calls_(std::move(calls)) {
  model.describe(lifetime_.guard([this](const lsp::Result<lsp::ModelDescription>& result) {
    if (std::holds_alternative<lsp::ModelDescription>(result)) loaded_ = host_.now();
  }));
}

ModelSwitch::~ModelSwitch() {
  host_.cancel_timer(timer_);
}

std::vector<std::string> ModelSwitch::names() const {
  std::vector<std::string> names;
  for (const hub::NamedModel& model : library_.models()) {
    if (!model.partial) names.push_back(model.name);
  }
  return names;
}

bool ModelSwitch::ask(const std::string& name, const std::string& running) {
  const auto model = library_.find(name);
  if (!model) return false;
  std::error_code none;
  if (fs::equivalent(*model, running, none)) return true;
  if (timer_ != 0) throw later("The daemon is changing its model", "model_switching", after_switch);
  if (calls_.busy()) {
    throw later(fmt::format("The daemon runs {} and has work to do with it, so it cannot change "
                            "to {} now",
                            fs::path(running).filename().string(), name),
                "model_busy", after_work);
  }
  if (loaded_) {
    const auto left = std::chrono::ceil<seconds>(*loaded_ + stay - host_.now());
    if (left.count() > 0) {
      throw later(fmt::format("{} was loaded not long ago and stays for {} minutes",
                              fs::path(running).filename().string(), stay.count()),
                  "model_busy", left);
    }
  }
  timer_ = host_.after(delay, lifetime_.guard([this, to = *model] { change(to); }));
  throw later("The daemon changes to " + name, "model_switching", after_switch);
}

void ModelSwitch::change(const fs::path& model) {
  timer_ = 0;
  std::error_code gone;
  const fs::path place = fs::canonical(model, gone);
  // Else whoever asks again finds it so.
  if (!gone && !calls_.busy()) calls_.run(place);
}

}  // namespace hearth::daemon
