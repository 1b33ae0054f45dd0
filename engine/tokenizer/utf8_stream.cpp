// Utf8Stream: bytes of tokens in, whole characters out.
#include "engine/support/utf8.hpp"
#include "engine/tokenizer/tokenizer.hpp"

namespace hearth::engine {

std::string Utf8Stream::push(std::string_view bytes) {
  pending_.append(bytes);
  std::string_view rest = pending_;
  std::string out;
  while (!rest.empty()) {
    const Utf8Sequence sequence = first_sequence(rest);
    if (sequence.state == Utf8Sequence::State::unfinished) break;
    out.append(sequence.state == Utf8Sequence::State::whole ? rest.substr(0, sequence.bytes)
                                                            : replacement_character);
    rest.remove_prefix(sequence.bytes);
  }
  pending_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  std::string rest = repair_utf8(pending_);
  pending_.clear();
  return rest;
}

}  // namespace hearth::engine
