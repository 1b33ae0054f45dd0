// Where completions come from, of two models that only say what they were asked.
#include "daemon/models/completion_model.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace hearth;
using daemon::CompletionModel;
using Calls = std::vector<std::string>;

namespace {

// Answers at once.
class FakeModel : public lsp::Model {
 public:
  FakeModel(Calls& calls, std::string name) : calls_(calls), name_(std::move(name)) {}

  void describe(lsp::Callback<lsp::ModelDescription> done) override {
    tell("describe");
    if (!failure.empty()) return done(lsp::ModelError{failure});
    lsp::ModelDescription description;
    description.profile.name = name_;
    description.profile.fim_prefix_tokens = fim_prefix_tokens;
    done(description);
  }
  lsp::LoadingProgress loading() const override { return {}; }
  void count_tokens(std::vector<std::string>,
                    lsp::Callback<std::vector<std::int64_t>> done) override {
    tell("count");
    done(std::vector<std::int64_t>{});
  }
  void estimate(lsp::Prompt, lsp::Callback<lsp::Estimate> done) override {
    tell("estimate");
    done(lsp::Estimate{});
  }
  void inspect(lsp::Prompt, const lsp::GenerateOptions&,
               lsp::Callback<std::vector<lsp::PromptPiece>> done) override {
    tell("inspect");
    done(std::vector<lsp::PromptPiece>{});
  }
  std::optional<std::chrono::milliseconds> usual_time(lsp::Prompt::Kind, std::int64_t,
                                                      const lsp::GenerateOptions&) const override {
    tell("usual time");
    return std::nullopt;
  }
  lsp::GenerationId prefill(lsp::Prompt, lsp::Callback<lsp::Estimate>) override {
    tell("prefill");
    return ++id_;
  }
  lsp::GenerationId generate(lsp::Prompt, lsp::GenerateOptions,
                             lsp::GenerationEvents events) override {
    tell("generate");
    lsp::GenerationProgress progress;
    progress.by = signature;
    if (events.on_progress) events.on_progress(progress);
    lsp::Answer answer;
    answer.by = signature;
    if (events.on_done) events.on_done(answer);
    return ++id_;
  }
  void cancel(lsp::GenerationId id) override { tell("cancel " + std::to_string(id)); }

  std::string failure;    // to load
  std::string signature;  // of its answers
  std::int64_t fim_prefix_tokens = 100;

 private:
  void tell(const std::string& what) const { calls_.push_back(name_ + ": " + what); }

  Calls& calls_;
  const std::string name_;
  lsp::GenerationId id_ = 0;
};

struct Stage {
  Calls calls;
  FakeModel small{calls, "small"};
  FakeModel large{calls, "large"};
  std::vector<std::string> refused;
  CompletionModel model{small, large, [this](const std::string& why) { refused.push_back(why); },
                        [](bool is_small) -> std::string {
                          return is_small ? "small on this machine" : "large on this machine";
                        }};

  std::string describe() {
    std::string name;
    model.describe([&](const lsp::Result<lsp::ModelDescription>& result) {
      name = std::get<lsp::ModelDescription>(result).profile.name;
    });
    return name;
  }
  // Who progress and answer say it is.
  Calls signatures() {
    Calls found;
    lsp::GenerationEvents events;
    events.on_progress = [&](const auto& progress) { found.push_back(progress.by); };
    events.on_done = [&](const auto& result) { found.push_back(std::get<lsp::Answer>(result).by); };
    model.generate({}, {}, std::move(events));
    return found;
  }
};

}  // namespace

TEST_CASE("all of a completion is asked of the small model") {
  Stage stage;
  CHECK(stage.describe() == "small");
  stage.model.count_tokens({}, [](const auto&) {});
  stage.model.estimate({}, [](const auto&) {});
  stage.model.inspect({}, {}, [](const auto&) {});
  stage.model.usual_time({}, 0, {});
  stage.model.prefill({}, [](const auto&) {});
  const auto id = stage.model.generate({}, {}, {});
  stage.model.cancel(id);
  CHECK(stage.calls == Calls{"small: describe", "small: count", "small: estimate", "small: inspect",
                             "small: usual time", "small: prefill", "small: generate",
                             "small: cancel 2"});
  CHECK(stage.refused.empty());
}

TEST_CASE("one that cannot be loaded leaves completions to the large model, and says why once") {
  Stage stage;
  stage.small.failure = "no such file";
  CHECK(stage.describe() == "large");
  CHECK(stage.describe() == "large");
  CHECK(stage.refused == std::vector<std::string>{"no such file"});
  stage.calls.clear();
  stage.model.count_tokens({}, [](const auto&) {});
  stage.model.cancel(stage.model.generate({}, {}, {}));
  CHECK(stage.calls == Calls{"large: count", "large: generate", "large: cancel 1"});
}

TEST_CASE("one that was not trained to complete code leaves it to the large model") {
  Stage stage;
  stage.small.fim_prefix_tokens = 0;
  CHECK(stage.describe() == "large");
  CHECK(stage.refused == std::vector<std::string>{"it was not trained to complete code"});
}

TEST_CASE("what was begun on one model is cancelled there") {
  Stage stage;
  const auto before = stage.model.generate({}, {}, {});
  stage.small.failure = "gone";
  stage.describe();
  const auto after = stage.model.generate({}, {}, {});
  CHECK(before != after);
  stage.calls.clear();
  stage.model.cancel(before);
  stage.model.cancel(after);
  CHECK(stage.calls == Calls{"small: cancel 1", "large: cancel 1"});
}

TEST_CASE("another small model takes the place of one that could not be loaded") {
  Stage stage;
  stage.small.failure = "there is no memory";
  CHECK(stage.describe() == "large");
  FakeModel another{stage.calls, "another"};
  stage.model.use(another);
  CHECK(stage.describe() == "another");
  CHECK(stage.model.small_serves());
  stage.calls.clear();
  stage.model.cancel(stage.model.generate({}, {}, {}));
  CHECK(stage.calls == Calls{"another: generate", "another: cancel 1"});
}

TEST_CASE("a completion says which of both wrote it, unless its model has said so") {
  Stage stage;
  CHECK(stage.signatures() == Calls{"small on this machine", "small on this machine"});
  stage.small.failure = "no such file";
  stage.describe();
  CHECK(stage.signatures() == Calls{"large on this machine", "large on this machine"});
  stage.large.signature = "large at gpu.example.org";
  CHECK(stage.signatures() == Calls{"large at gpu.example.org", "large at gpu.example.org"});
}
