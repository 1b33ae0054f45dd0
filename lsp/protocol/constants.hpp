// The protocol's numbers by their names.
#pragma once

namespace hearth::lsp {

namespace error_code {
inline constexpr int parse_error = -32700;
inline constexpr int invalid_request = -32600;
inline constexpr int method_not_found = -32601;
inline constexpr int invalid_params = -32602;
inline constexpr int internal_error = -32603;
inline constexpr int server_not_initialized = -32002;
inline constexpr int request_cancelled = -32800;
inline constexpr int request_failed = -32803;
}  // namespace error_code

namespace message_type {
inline constexpr int error = 1;
inline constexpr int warning = 2;
inline constexpr int info = 3;
}  // namespace message_type

namespace text_document_sync {
inline constexpr int incremental = 2;
}  // namespace text_document_sync

namespace code_action_trigger {
inline constexpr int invoked = 1;
inline constexpr int automatic = 2;
}  // namespace code_action_trigger

namespace code_action_tag {
inline constexpr int llm_generated = 1;
}  // namespace code_action_tag

namespace inline_completion_trigger {
inline constexpr int invoked = 1;
inline constexpr int automatic = 2;
}  // namespace inline_completion_trigger

}  // namespace hearth::lsp
