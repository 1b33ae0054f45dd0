// Reading prompts/NAME.md, and checking all of them.
#include "daemon/prompt_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "daemon/platform/error.hpp"
#include "daemon/platform/files.hpp"
#include "lsp/actions/actions.hpp"
#include "lsp/context/wording.hpp"
#include "lsp/support/characters.hpp"
#include "lsp/support/text.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* extension = ".md";

std::string known_actions() {
  std::vector<std::string_view> names;
  for (const lsp::Action* action : lsp::actions()) names.push_back(action->id);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::optional<lsp::Wording> PromptFiles::read(const std::string& action) const {
  const std::filesystem::path path = directory_ / (action + extension);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  const std::string text = read_file(path, max_bytes);
  if (lsp::is_blank(text)) {
    throw Error(path.string() + " is empty: write the wording in it, or remove it");
  }
  return lsp::Wording{path.string(), lsp::valid_utf8(std::string(lsp::trimmed(text)))};
}

std::vector<std::string> PromptFiles::faults() const {
  std::vector<std::string> faults;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(directory_, ignored)) {
    const std::filesystem::path& path = file.path();
    if (path.extension() != extension) continue;
    try {
      if (lsp::action_with_id(path.stem().string()) == nullptr) {
        throw Error(fmt::format("{} is not used: there is no such action; there are {}",
                                path.string(), known_actions()));
      }
      if (const auto wording = read(path.stem().string())) lsp::check(*wording);
    } catch (const std::exception& fault) {
      faults.emplace_back(fault.what());
    }
  }
  std::ranges::sort(faults);
  return faults;
}

}  // namespace hearth::daemon
