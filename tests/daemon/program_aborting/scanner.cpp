// Linked around Lua's scanner (ld's --wrap) in the program that shows what becomes of a daemon
// whose grammar ends it: where a token begins with U+1F4A5, it aborts.
#include <cstdint>
#include <cstdlib>

extern "C" {

// As tree-sitter's begins.
struct TSLexer {
  std::int32_t lookahead;
};

bool __real_tree_sitter_lua_external_scanner_scan(void* scanner, TSLexer* lexer, const bool* valid);

bool __wrap_tree_sitter_lua_external_scanner_scan(void* scanner, TSLexer* lexer,
                                                  const bool* valid) {
  if (lexer->lookahead == 0x1F4A5) std::abort();
  return __real_tree_sitter_lua_external_scanner_scan(scanner, lexer, valid);
}

}  // extern "C"
