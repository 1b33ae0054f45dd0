// Loads and saves the history of chats.
#include "daemon/commands/chat_history.hpp"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "daemon/platform/error.hpp"
#include "daemon/platform/private_directory.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t max_bytes = 16 << 20;

}  // namespace

ChatHistory::ChatHistory(std::filesystem::path file) : file_(std::move(file)) {
  std::error_code ignored;
  if (file_.empty() || !std::filesystem::exists(file_, ignored)) return;
  std::string text;
  try {
    text = PrivateDirectory(file_.parent_path()).read(file_.filename().string(), max_bytes);
  } catch (const Error&) {
    return;
  }
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const json message = json::parse(line, nullptr, false);
    if (message.is_string()) messages_.push_back(message.get<std::string>());
  }
}

void ChatHistory::add(const std::string& message) {
  if (file_.empty() || (!messages_.empty() && messages_.back() == message)) return;
  messages_.push_back(message);
  if (messages_.size() > max_messages) {
    messages_.erase(messages_.begin(), messages_.end() - static_cast<std::ptrdiff_t>(max_messages));
  }
  std::string text;
  for (const std::string& each : messages_) {
    text += json(each).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  }
  PrivateDirectory(file_.parent_path()).write(file_.filename().string(), text);
}

}  // namespace hearth::daemon
