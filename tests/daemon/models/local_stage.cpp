// Prompts as values.
#include "tests/daemon/models/local_stage.hpp"

#include <filesystem>

#include "daemon/platform/files.hpp"

namespace hearth::tests {

lsp::Prompt task_prompt(const std::string& task) {
  const lsp::Segment code{
      "File: stats.py (python)\n\n```python\ndef average(values):\n    total = 0\n"
      "    for value in values:\n        total += value\n    return total / len(values)\n```\n\n",
      lsp::Provenance::selection, true};
  lsp::Prompt prompt;
  prompt.messages = {
      {lsp::Role::system,
       {{"You are a programming assistant inside an editor.", lsp::Provenance::system}}},
      {lsp::Role::user, {code, {task, lsp::Provenance::instruction}}}};
  return prompt;
}

lsp::Prompt explain_prompt() {
  return task_prompt("Explain what this code does.");
}

lsp::Prompt completion_prompt() {
  lsp::Prompt prompt;
  prompt.kind = lsp::Prompt::Kind::fill_in_the_middle;
  prompt.prefix = {{"def total_price(items):\n    total = 0\n    for item in items:\n        "}};
  prompt.suffix = {{"\n"}};
  return prompt;
}

engine::EngineOptions ember() {
  engine::EngineOptions options;
  options.model = HEARTH_SOURCE_DIR "/engine/ember";
  options.host().threads = 2;
  return options;
}

ChangedEmber::ChangedEmber(const nlohmann::json& profile,
                           const std::map<std::string, std::string>& files) {
  auto written = files;
  auto own = nlohmann::json::parse(daemon::read_file(ember().model / "hearth.json", 1 << 20));
  own.update(profile);
  written["hearth.json"] = own.dump();
  for (const auto& file : std::filesystem::directory_iterator(ember().model)) {
    const auto name = file.path().filename();
    if (!written.contains(name.string()))
      std::filesystem::create_symlink(file.path(), directory_.path() / name);
  }
  for (const auto& [name, text] : written) daemon::write_file(directory_.path() / name, text);
}

engine::EngineOptions ChangedEmber::options() const {
  engine::EngineOptions options = ember();
  options.model = directory_.path();
  return options;
}

ChangedEmber thinking_ember(const std::string& chat_template) {
  std::map<std::string, std::string> files;
  if (!chat_template.empty()) files["chat_template.jinja"] = chat_template;
  nlohmann::json profile;
  profile["thinking"] = true;
  return ChangedEmber(profile, files);
}

}  // namespace hearth::tests
