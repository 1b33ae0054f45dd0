// A copy of a golden checkpoint whose files can be changed, and what loading it says then.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "engine/engine.hpp"
#include "tests/temporary_directory.hpp"

namespace hearth::tests::copies {

inline const std::filesystem::path golden =
    std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/golden";

inline std::string slurp(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void spill(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::uint64_t header_size(const std::string& bytes) {
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  return size;
}

// A copy of a golden checkpoint to damage.
struct Copy {
  explicit Copy(const std::filesystem::path& name) {  // from golden/, unless it is a whole path
    for (const auto& entry : std::filesystem::directory_iterator(golden / name)) {
      if (entry.path().filename() == "golden.safetensors") continue;
      std::filesystem::copy(entry.path(), directory.path() / entry.path().filename());
    }
  }
  std::filesystem::path file(const char* name) const { return directory.path() / name; }
  void edit_config(const std::function<void(nlohmann::json&)>& change) const {
    nlohmann::json config = nlohmann::json::parse(slurp(file("config.json")));
    change(config);
    spill(file("config.json"), config.dump());
  }
  // Changes a safetensors header, data offsets kept.
  void edit_header(const char* name, const std::function<void(nlohmann::json&)>& change) const {
    const std::string bytes = slurp(file(name));
    const std::uint64_t size = header_size(bytes);
    nlohmann::json header = nlohmann::json::parse(bytes.substr(8, size));
    change(header);
    const std::string text = header.dump();
    const std::uint64_t changed = text.size();
    const std::string prefix(reinterpret_cast<const char*>(&changed), sizeof changed);
    spill(file(name), prefix + text + bytes.substr(8 + size));
  }
  std::string refusal() const {
    engine::EngineOptions options;
    options.model = directory.path();
    options.mtp = engine::MtpUse::always;
    try {
      engine::Runtime::load(options);
    } catch (const engine::Error& error) {
      return error.what();
    }
    return "";
  }
  TemporaryDirectory directory;
};

inline bool names(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

}  // namespace hearth::tests::copies
