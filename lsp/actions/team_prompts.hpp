// The prompts of a repository's team, .hearth/prompts/NAME.md in a folder of the workspace:
// wordings of actions, and actions of the team's own. They are text for a model and set nothing
// else; none is used before a person has confirmed the very text of all of them, by its hash. Read
// each time that one is used. What reads files blocks, and may be called from any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/actions/actions.hpp"
#include "lsp/protocol/json.hpp"
#include "lsp/support/host.hpp"
#include "lsp/support/prompt_trust.hpp"

namespace hearth::lsp {

struct TeamPrompt {
  std::string name;        // of the file, without its ending: "explain", "house-rules"
  const Action* action;    // whose words these are; of an action of the team's own "ask" or "edit"
  std::string title = {};  // of one of the team's own, for menus; empty: a wording of `action`
  std::string path;        // for people: ".hearth/prompts/house-rules.md"
  std::string text;
};

struct TeamPrompts {
  std::string folder;                // its URI, as the client has it
  std::string root;                  // its path, without links; empty: it cannot be read
  std::string hash;                  // of the files' names and texts; empty: there are no prompts
  std::vector<TeamPrompt> prompts;   // by their files' names
  std::vector<std::string> ignored;  // files that are not used, a sentence each that says why
};

// NAME.md with the name of an action is its wording. Any other NAME.md answers about the code in
// words, and NAME.edit.md changes it: actions of the team's own, whose titles are their first lines
// where those are headings ("# House rules"), else their names.
TeamPrompts read_team_prompts(const std::string& folder, const Host& host);
// The same, without any prompt unless a person has confirmed these.
TeamPrompts confirmed_team_prompts(const std::string& folder, const Host& host,
                                   const PromptTrust& trust);
// As hearth.session.teamPrompts has it. `confirmed`: the hash that was confirmed last.
Json to_json(const TeamPrompts& found, const std::string& confirmed);

// The folder whose team's prompts a document has; without a document, the only one there is; else
// empty.
std::string team_folder(std::string_view uri, std::span<const std::string> folders);

// The team's wording of an action, or the team's own action `own` of that name, which has to be
// there: else throws CannotServe. Its source says whose it is.
std::optional<Wording> team_wording(const TeamPrompts& confirmed, const Action& action,
                                    const std::string& own);
// Whether a prompt was put in the team's words.
bool is_in_team_words(const Prompt& prompt);

}  // namespace hearth::lsp
