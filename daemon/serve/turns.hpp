// What the model wrote in conversations that clients send back, turn by turn: a turn is told by
// what a client sees of it and by all that came before, and stands in the next prompt as the tokens
// that it was written in. So turn N is a prefix of turn N+1, in tokens, and only what is new is
// read, though clients leave thoughts out and write arguments anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "lsp/support/prompt.hpp"

namespace hearth::daemon {

class Turns {
 public:
  using Id = std::uint64_t;  // of a turn, from 1; 0: none, the beginning

  // Where a conversation is: behind which turn, and what was said since.
  struct Place {
    Id turn = 0;
    std::string since;
  };
  struct Match {
    Place place;                // of the answer to come
    std::size_t turns = 0;      // of the assistant's that were found
    std::string first_missing;  // why the first that was not found was not; empty: all were
  };

  // Of all turns together.
  explicit Turns(std::size_t max_bytes = std::size_t{64} << 20) : max_bytes_(max_bytes) {}

  // Gives the assistant's messages the tokens that they were written in. One that could be several
  // turns is none of them.
  Match find(lsp::Prompt& prompt);

  // An answer at this place: as a client sees it, and as it was written.
  void remember(const Place& place, const lsp::Message& seen, std::optional<bool> thinking,
                std::vector<std::int32_t> generated);
  void clear();

 private:
  struct Turn {
    Id id = 0;
    Place place;
    std::string seen;     // see seen_of()
    std::string thought;  // trimmed
    std::vector<std::string> call_ids;
    std::optional<bool> thinking;
    std::vector<std::int32_t> generated;

    std::size_t bytes() const;
  };

  const Turn* find(const Place& place, const lsp::Message& message, std::string& why);

  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  Id last_ = 0;
  std::list<Turn> turns_;  // the one that was used last at the end
};

}  // namespace hearth::daemon
