// Runs a session over a given text, with or without drafts.
#include "engine/measure/copy.hpp"

#include <algorithm>
#include <chrono>

#include "engine/decode/drafts.hpp"

namespace hearth::engine {

namespace {

using Clock = std::chrono::steady_clock;

TokenId likeliest(std::span<const float> logits) {
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

// What may follow, as Generation has it: judged apart by how long the match is.
std::vector<TokenId> draft_tokens(const PromptLookup& lookup, DraftLength& length, std::size_t max,
                                  DraftLength::Source& source) {
  PromptLookup::Draft draft = lookup.draft(max);
  if (draft.tokens.empty()) return {};
  source = draft.source();
  draft.tokens.resize(std::min(draft.tokens.size(), length.choose(source)));
  return std::move(draft.tokens);
}

}  // namespace

CopyRun teacher_forced_run(Session& session, std::span<const TokenId> prompt,
                           std::span<const TokenId> text, bool speculate,
                           const std::atomic<bool>* interrupt) {
  CopyRun run;
  session.sync(prompt);
  const std::vector<TokenId> tokens(prompt.begin(), prompt.end());
  Progress progress = Progress::more;
  while (progress == Progress::more) progress = session.prefill(tokens, {}, interrupt);
  if (progress == Progress::interrupted) return run;

  session.want_logits(1, {});
  const std::size_t max = speculate ? session.engine().options().drafts : 0;
  DraftLength length(max);
  PromptLookup lookup;
  lookup.append(prompt);
  lookup.append(text.first(1));  // the prompt's logits gave it
  const auto began = Clock::now();
  for (std::size_t at = 0; at + 1 < text.size();) {
    const auto pass_began = Clock::now();
    DraftLength::Source source = DraftLength::Source::short_match;
    // The token behind the last draft token that is right comes with its row.
    const std::vector<TokenId> drafted =
        draft_tokens(lookup, length, std::min(max, text.size() - at - 2), source);
    std::vector<TokenId> rows{text[at]};
    rows.insert(rows.end(), drafted.begin(), drafted.end());
    if (session.decode(rows, interrupt) == Progress::interrupted) return run;
    std::size_t kept = 0;
    do {
      const TokenId chosen = likeliest(session.decoded_logits(kept));
      run.agreed += chosen == text[at + kept + 1] ? 1 : 0;
      ++kept;
    } while (kept < rows.size() && rows[kept] == text[at + kept]);
    session.keep_decoded(kept);
    lookup.append(text.subspan(at + 1, kept));
    at += kept;
    const std::chrono::duration<double> spent = Clock::now() - pass_began;
    length.record(source, drafted.size(), kept - 1, spent.count());
    run.passes.push_back({drafted.size(), kept - 1});
    ++run.counts.passes;
    run.counts.tokens += kept;
    run.counts.drafted += drafted.size();
    run.counts.accepted += kept - 1;
  }
  run.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  return run;
}

}  // namespace hearth::engine
