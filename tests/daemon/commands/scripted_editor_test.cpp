// What a scripted editor makes of the notifications that bring an answer.
#include "daemon/commands/scripted_editor.hpp"

#include <doctest/doctest.h>

#include <string>

#include "lsp/protocol/extension.hpp"

using hearth::daemon::StreamedAnswer;
namespace extension = hearth::lsp::extension;

TEST_CASE(
    "an answer that began before its job was shown is whole, and nothing of it is there twice") {
  StreamedAnswer answer;
  const auto state = extension::JobStateParams::method;
  const auto piece = extension::TextDelta::method;
  CHECK(answer.heard(state, {{"id", 1}, {"state", "queued"}}).empty());
  CHECK(answer.heard(state, {{"id", 1}, {"state", "generating"}, {"text", "Adds "}}) == "Adds ");
  CHECK(answer.heard(piece, {{"id", 1}, {"text", "the values"}}) == "the values");
  CHECK(answer.heard("$/progress", {{"text", "no"}}).empty());
  CHECK(answer.heard(state, {{"state", "done"}, {"text", "Adds the values."}}) == ".");
  CHECK(answer.heard(state, {{"state", "done"}, {"text", "Something else"}}).empty());
  CHECK(answer.text() == "Adds the values.");
}
