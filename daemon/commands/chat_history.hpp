// The messages of earlier chats, for the arrow keys: one JSON string a line in a private file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::daemon {

class ChatHistory {
 public:
  static constexpr std::size_t max_messages = 1000;  // messages; the oldest go

  // An empty path: nothing is read or kept. What cannot be read counts as nothing said yet.
  explicit ChatHistory(std::filesystem::path file);

  const std::vector<std::string>& messages() const { return messages_; }  // the oldest first
  // Writes the file (mode 0600), whole or not at all; throws Error where that fails. What repeats
  // the last message is not added.
  void add(const std::string& message);

 private:
  std::filesystem::path file_;
  std::vector<std::string> messages_;
};

}  // namespace hearth::daemon
