// The tokenizer's regular expression: cuts text into the words that are encoded one by one.
// Owns the compiled pattern; knows nothing of tokens.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace hearth::engine {

// Immutable and thread-safe.
class TextSplitter {
 public:
  // Throws Error (beginning with `name`) for a pattern that does not compile.
  TextSplitter(std::string_view pattern, const std::string& name);
  TextSplitter(TextSplitter&&) noexcept;
  TextSplitter& operator=(TextSplitter&&) noexcept;
  ~TextSplitter();

  // Hands on each match and each span between matches, in order; together they are the text,
  // which must be valid UTF-8. Throws Error when the pattern needs too many steps on it.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace hearth::engine
