// A message's method, or its way to a document's text, in the part of it that has come.
#include "lsp/protocol/message_size.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/protocol/json_text.hpp"
#include "lsp/protocol/rpc.hpp"
#include "lsp/protocol/wire.hpp"

namespace hearth::lsp {
namespace {

// The position of the method in messages whose members come in the usual order.
constexpr std::size_t usual_head_bytes = 4 * 1024;

Json begun(std::string_view beginning) {
  try {
    return parse_json(std::string(beginning));
  } catch (const BadJson& cut) {
    return *cut.begun;
  }
}

bool brings_document(const Json& message) {
  if (const Json* method = find(message, "method")) {
    return *method == "textDocument/didOpen" || *method == "textDocument/didChange";
  }
  // Some clients write the params first; a text that has only begun is there as null.
  const Json* params = find(message, "params");
  const Json* document = find_path(message, {"params", "textDocument"});
  return (params != nullptr && params->contains("contentChanges")) ||
         (document != nullptr && document->contains("text"));
}

// Looks for the top-level member "id" in JSON that comes in pieces. Of what is no JSON it finds
// some id or none.
class IdFinder {
 public:
  // True: it has been found, or there is none.
  bool read(std::string_view bytes) {
    for (const char c : bytes) {
      if (!found_) step(c);
    }
    return found_;
  }

  // A number, a string or null.
  Json id() const {
    if (!found_ || token_.empty()) return nullptr;
    const Json value = begun(token_);
    return value.is_number() || value.is_string() ? value : Json();
  }

 private:
  static constexpr std::size_t most_id_bytes = 1024;

  void step(char c) {
    if (in_string_) {
      keep(c);
      if (escaped_ || c == '\\') {
        escaped_ = !escaped_;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
      keep(c);
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == ':' && depth_ == 1) {
      id_follows_ = token_ == "\"id\"";
      token_.clear();
    } else if (c == ',' || c == '}' || c == ']') {
      if (depth_ == 1) end_of_member();
      if (c != ',' && depth_ > 0) --depth_;
      if (depth_ == 0) found_ = true;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      keep(c);
    }
  }

  void end_of_member() {
    found_ = id_follows_;
    if (!found_) token_.clear();
  }

  // Of the outermost object's keys and of its values that are neither objects nor arrays.
  void keep(char c) {
    if (depth_ == 1 && token_.size() < most_id_bytes) token_ += c;
  }

  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool id_follows_ = false;  // the value that comes next, at depth 1, is that of "id"
  std::string token_;
  bool found_ = false;  // token_ is the id, or the object has ended
};

class NoDocument final : public BodyRefusal {
 public:
  explicit NoDocument(std::size_t length) : length_(length) {}

  bool read(std::string_view bytes) override { return finder_.read(bytes); }

  MessageRefused reason() const override {
    const std::string reason = fmt::format(
        "a message of {} bytes is refused: only textDocument/didOpen and textDocument/didChange "
        "may "
        "have more than {}",
        length_, std::size_t{MessageReader::max_unchecked_bytes});
    const Json answer = {{"jsonrpc", "2.0"},
                         {"id", finder_.id()},
                         {"error", {{"code", error_code::invalid_request}, {"message", reason}}}};
    return {reason, answer.dump(-1, ' ', false, Json::error_handler_t::replace)};
  }

 private:
  const std::size_t length_;
  IdFinder finder_;
};

}  // namespace

std::unique_ptr<BodyRefusal> refuse_if_too_large(std::string_view beginning, std::size_t length) {
  const bool taken = brings_document(begun(beginning.substr(0, usual_head_bytes))) ||
                     brings_document(begun(beginning));
  return taken ? nullptr : std::make_unique<NoDocument>(length);
}

}  // namespace hearth::lsp
