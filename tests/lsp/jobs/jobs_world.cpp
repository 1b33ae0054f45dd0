// Requests as values.
#include "tests/lsp/jobs/jobs_world.hpp"

namespace hearth::lsp::test {

Request example_request() {
  Request request;
  request.action = "explain";
  request.title = "Explain average";
  request.prompt.messages = {{Role::system, {{"You help.", Provenance::system, true}}},
                             {Role::user,
                              {{"def average", Provenance::selection, false},
                               {"Explain \"it\" 😀\n", Provenance::instruction, false}}}};
  request.prompt.messages.push_back(
      {Role::assistant, {{"It adds.", Provenance::file, false}}, {7, 0, 151643}, true});
  request.options = {Priority::background,  77,           {"\n\n", "```"}, false, 1000,
                     Sampling::recommended, 1234567890123};
  request.targets = {{"file:///a.py", 4, {Byte{3}, Byte{9}}, "😀 text", "a\r\n", ""}};
  request.form = AnswerForm::hunks;
  request.repairs = true;
  request.left_out = {{Provenance::outline, "outline of a.py", "it names all", "it is long", 300}};
  return request;
}

Request text_request() {
  Request request = example_request();
  request.form.reset();
  return request;
}

}  // namespace hearth::lsp::test
