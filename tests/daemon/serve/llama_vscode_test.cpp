// What llama.vscode asks of its server, as its version 0.0.63 does, and what it takes of the
// answers.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/daemon/serve/api_stage.hpp"

using namespace hearth;
using nlohmann::json;
using tests::ApiStage;

namespace {

json look() {
  return {{"type", "function"},
          {"function",
           {{"name", "read_file"},
            {"description", "Reads a file"},
            {"parameters",
             {{"type", "object"},
              {"properties", {{"path", {{"type", "string"}, {"description", "The file"}}}}},
              {"required", {"path"}}}},
            {"strict", true}}}};
}

}  // namespace

TEST_CASE("llama.vscode: a completion, which may ask for three, and the warm-up before it") {
  ApiStage stage;
  const json completion{{"id_slot", 0},
                        {"input_prefix", "import os\n"},
                        {"input_suffix", "\nprint(x)\n"},
                        {"input_extra", {{{"filename", "b.py"}, {"text", "y = 2"}}}},
                        {"prompt", "x = "},
                        {"n_predict", 128},
                        {"n_cmpl", 3},
                        {"top_k", 40},
                        {"top_p", 0.99},
                        {"stream", false},
                        {"samplers", {"top_k", "top_p", "infill"}},
                        {"cache_prompt", true},
                        {"n_indent", 2},
                        {"t_max_prompt_ms", 500},
                        {"t_max_predict_ms", 2500},
                        {"lora", {{{"id", 0}, {"scale", 0.5}}}},
                        {"model", "google/gemini-2.5-flash"}};  // its ai_model, by default
  const auto request = stage.post("/infill", completion);
  stage.model.say("1");
  stage.model.end();
  CHECK(request->json()["content"] == "1");  // one, not in a list, is one
  CHECK(request->json()["timings"].contains("predicted_ms"));

  const auto warm = stage.post("/infill", {{"id_slot", 0},
                                           {"input_prefix", ""},
                                           {"input_suffix", ""},
                                           {"input_extra", {{{"text", "y = 2"}}}},
                                           {"prompt", ""},
                                           {"n_predict", 0},
                                           {"samplers", json::array()},
                                           {"cache_prompt", true},
                                           {"t_max_prompt_ms", 500},
                                           {"t_max_predict_ms", 1}});
  CHECK(warm->status == 200);
  CHECK(stage.model.prefilled.size() == 1);
}

TEST_CASE("llama.vscode: how much the model reads, and how much a prompt is") {
  ApiStage stage;
  const json models = stage.ask("GET", "/v1/models", "")->json();
  CHECK(models["data"].size() == 1);
  CHECK(models["data"][0]["meta"].is_object());  // by which it knows whom to ask for /props
  CHECK(stage.ask("GET", "/props", "")->json()["default_generation_settings"]["n_ctx"] == 1000);
  CHECK(stage.ask("GET", "/health", "")->status == 200);
  const auto shown =
      stage.post("/apply-template", {{"messages", {{{"role", "user"}, {"content", "hi"}}}},
                                     {"model", "scripted"},
                                     {"tools", {look()}},
                                     {"tool_choice", "auto"}});
  CHECK(shown->json() == json{{"prompt", "hi"}});
  const auto counted = stage.post(
      "/tokenize",
      {{"content", shown->json()["prompt"]}, {"add_special", false}, {"parse_special", true}});
  CHECK(counted->json()["tokens"].size() == 2);
  CHECK(stage.post("/v1/embeddings", {{"input", "x"}, {"encoding_format", "float"}})
            ->error()["message"] == "there is no /v1/embeddings here");
}

TEST_CASE("llama.vscode: an edit and an agent's turn") {
  ApiStage stage;
  const auto edit = stage.post("/v1/chat/completions",
                               {{"messages",
                                 {{{"role", "system"}, {"content", "You are an expert coder.\n"}},
                                  {{"role", "user"}, {"content", "x"}}}},
                                {"stream", false},
                                {"cache_prompt", true},
                                {"temperature", 0.8},
                                {"top_p", 0.95},
                                {"model", "scripted"}});
  stage.model.say("y");
  stage.model.end();
  CHECK(edit->json()["choices"][0]["message"]["content"] == "y");

  // Earlier answers come back trimmed, and with null where they have no text.
  const json call{{"id", "call_1"},
                  {"type", "function"},
                  {"function", {{"name", "read_file"}, {"arguments", R"({"path": "a"})"}}}};
  const auto turn =
      stage.post("/v1/chat/completions",
                 {{"messages",
                   {{{"role", "user"}, {"content", "x"}},
                    {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {call}}},
                    {{"role", "tool"}, {"tool_call_id", "call_1"}, {"content", "text"}}}},
                  {"stream", true},
                  {"model", "scripted"},
                  {"tools", {look()}},
                  {"tool_choice", "auto"},
                  {"max_tokens", 500}});
  stage.model.say("I see.\n<tool_call>\n<function=read_file>\n<parameter=path>\nb\n</parameter>\n");
  stage.model.say("</function>\n</tool_call>");
  stage.model.end();
  std::string content;
  json made{{"id", nullptr}, {"name", ""}, {"arguments", ""}};
  std::string finish;
  for (const json& event : turn->events()) {
    if (!event.is_object() || event["choices"].empty()) continue;
    const json& choice = event["choices"][0];
    if (choice["finish_reason"].is_string()) finish = choice["finish_reason"];
    const json& delta = choice["delta"];
    if (delta.contains("content") && delta["content"].is_string())
      content += delta["content"].get<std::string>();
    for (const json& part : delta.value("tool_calls", json::array())) {
      CHECK(part["index"] == 0);
      if (part.contains("id")) made["id"] = part["id"];
      if (part["function"].contains("name")) made["name"] = part["function"]["name"];
      made["arguments"] =
          made["arguments"].get<std::string>() + part["function"]["arguments"].get<std::string>();
    }
  }
  CHECK(content == "I see.");
  CHECK(made["id"].is_string());
  CHECK(made["name"] == "read_file");
  CHECK(made["arguments"] == R"({"path": "b"})");
  CHECK(finish == "tool_calls");
}
