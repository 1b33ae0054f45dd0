// JSON of a certain form, and calls of tools whose arguments are of one, byte by byte: what may
// follow in an answer that is bound to a schema.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::engine {

// A JSON schema, compiled; immutable. Known are the types, "properties", "required", "items",
// "enum", "const", "anyOf", "$ref" into "$defs", and whatever says nothing of the form ("title",
// "description", "default", …); members of an object come in the order of its properties, and
// others than these do not come. An object without properties, and a schema that says nothing, are
// any object and any value.
class JsonForm {
 public:
  // Throws Error that names what is not known, with its place: "$.items.pattern".
  static std::shared_ptr<const JsonForm> parse(const std::string& schema);
  // Of a schema; or of calls, in the text that templates write (engine/tokenizer/tools.hpp):
  //   {"$calls": {"tools": [{"name", "parameters", "strict"}…], "several"}, "$or": SCHEMA}
  // "parameters": the schema of a tool's arguments, which come in the order of its properties.
  // "several": another call may follow. "$or": what the answer may be instead; without it, calls
  // are all that it may be. Of a tool that is not "strict", what is not known in its schema binds
  // nothing; its places are added to `unbound`, if there is one. Throws Error as parse() does.
  static std::shared_ptr<const JsonForm> parse_answer(const std::string& text,
                                                      std::vector<std::string>* unbound = nullptr);

 private:
  friend class JsonCursor;
  friend class JsonFormReader;
  friend class CallFormReader;

  enum class Kind : std::uint8_t {
    any,
    object,
    array,
    string,
    number,
    integer,
    literal,
    any_of,
    sequence,   // its properties' nodes, one behind the other
    free_text,  // whole characters up to and with its literal, of which no part recurs in it
  };
  struct Property {
    std::string key;  // as JSON, in its quotes
    int node = 0;
    bool required = true;
  };
  struct Node {
    Kind kind = Kind::any;
    std::vector<Property> properties = {};  // object; none: any members
    int items = 0;                          // array
    std::string literal = {};               // the only text, as JSON
    std::vector<int> choices = {};          // any_of
    bool exact = false;                     // no blanks before it
  };

  std::vector<Node> nodes_;  // the first is any value
  int root_ = 0;
};

// How far an answer is. Copies are independent.
class JsonCursor {
 public:
  explicit JsonCursor(std::shared_ptr<const JsonForm> form);

  // False: this byte may not follow, and nothing may from then on.
  bool push(unsigned char byte);
  bool push(std::string_view bytes);
  bool alive() const { return !paths_.empty(); }
  // The answer may end here.
  bool complete() const;
  // And nothing may follow.
  bool ended() const;
  // Inside a text: whatever needs no escape may follow.
  bool in_text() const;
  // Inside a free one: whatever has no "<" may follow.
  bool in_free_text() const;

 private:
  enum class Phase : std::uint8_t {
    value,         // one is to come
    object_first,  // behind {
    object_key,    // behind a comma
    key,           // inside the key of a property
    any_key,       // inside any other
    colon,         // behind a key
    object_next,   // behind a member
    array_first,   // behind [
    array_next,    // behind an element
    text,
    number,
    literal,
    sequence,  // between two of its parts
    free_text,
  };
  // A value that has begun, or is to; the last of a path is the innermost.
  struct Frame {
    int node = 0;
    Phase phase = Phase::value;
    std::uint16_t property = 0;  // the next one, also of a sequence; of a key: this one
    std::uint16_t at = 0;        // bytes of a literal or key; state inside a text or number
  };
  struct Path {
    std::vector<Frame> frames;
    std::uint8_t blanks = 0;  // in a row
    const char* word = nullptr;
  };

  void step(Path path, unsigned char byte, int depth);
  void step_value(Path path, unsigned char byte, int depth);
  void step_object(Path path, unsigned char byte);
  void step_key(Path path, unsigned char byte);
  void step_array(Path path, unsigned char byte, int depth);
  void step_number(Path path, unsigned char byte, int depth);
  void step_sequence(const Path& path, unsigned char byte, int depth);
  void step_free_text(Path path, unsigned char byte);
  void begin_keys(const Path& path);
  void close(Path path);
  void keep(Path path);
  bool may_end(const Frame& frame) const;
  const JsonForm::Node& node(const Frame& frame) const;

  std::shared_ptr<const JsonForm> form_;
  std::vector<Path> paths_;  // each is a way in which the answer may be read so far
  std::vector<Path> next_;   // while a byte is pushed
};

}  // namespace hearth::engine
