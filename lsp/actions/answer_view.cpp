// The ways to show an answer, and what remains where all fail.
#include "lsp/actions/answer_view.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "lsp/actions/actions.hpp"
#include "lsp/jobs/text.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

constexpr std::chrono::milliseconds refresh_interval{1000};
constexpr std::string_view scheme = "hearth:";

// hearth:/7/Explain%20average.md: the number says which job, the rest is the tab's title.
std::string virtual_uri(const Job& job) {
  return std::string(scheme) + "/" + std::to_string(job.id) + "/" +
         percent_encoded(job.request.title) + ".md";
}

// Editors normalise URIs: one slash or three.
JobId job_in(std::string_view uri) {
  if (!uri.starts_with(scheme)) return 0;
  uri.remove_prefix(scheme.size());
  while (uri.starts_with('/')) uri.remove_prefix(1);
  JobId id = 0;
  std::from_chars(uri.data(), uri.data() + uri.size(), id);
  return id;
}

std::string body(const Job& job, const Documents& documents) {
  return readable(job, documents).value_or(job.text);  // of edits under way, as they are
}

// A thought is read by who asks for it: these clients fold nothing.
std::string thought_note(const Job& job) {
  if (job.thought.empty()) return {};
  return "*" + thought_words(job) + "; `hearth jobs show " + std::to_string(job.id) +
         " --thought` prints it.*\n\n";
}

// The whole document, as far as it is written.
std::string markdown(const Job& job, const Documents& documents) {
  return "# " + job.request.title + "\n\n" + thought_note(job) + body(job, documents) + "\n";
}

std::string with_note(std::string text, const std::string& note) {
  return note.empty() ? text : std::move(text) + "\n*" + note + "*\n";
}

// Fits a message that an editor shows in a corner or in its last lines.
bool is_short(std::string_view text) {
  constexpr std::size_t max_bytes = 500;
  constexpr std::ptrdiff_t max_lines = 8;
  return text.size() <= max_bytes && std::ranges::count(text, '\n') < max_lines;
}

}  // namespace

AnswerView::AnswerView(Session& session, JobId job)
    : session_(session),
      job_(job),
      refresh_(session.host, refresh_interval, [this] { refresh(); }) {}

JobId AnswerView::job_of(std::string_view uri) {
  return job_in(uri);
}

std::string AnswerView::content(const Session& session, const std::string& uri) {
  const Job* job = session.jobs.find(job_in(uri));
  if (job == nullptr || !is_of(session, *job)) {
    throw InvalidParams("there is no answer " + uri + " (any more)",
                        "there is no such answer (any more)");
  }
  return with_note(markdown(*job, session.documents), ending_note(*job));
}

void AnswerView::finish(const Job& job) {
  refresh_.cancel();
  if (job.text.empty()) {
    if (job.state == JobState::done) {
      tell(message_type::info, job.request.title + ": " + message_of(job));
    }
  } else if (!is_text(job)) {
    return;  // its edits say it all
  } else if (is_virtual()) {
    refresh_document(job);
  } else {
    const std::string uri = write(job, last_text(job, ending_note(job)));
    if (job.state == JobState::cancelled) return;  // nobody wants to see it
    if (!uri.empty()) return show(uri, job);
    tell(message_type::info, with_note(body(job, session_.documents), ending_note(job)));
  }
}

void AnswerView::close(const Job& job) {
  refresh_.cancel();
  if (is_virtual() || job.text.empty() || !is_text(job)) return;
  write(job,
        last_text(
            job,
            "The editor went before the answer was whole. It is written to its end all the same: "
            "`hearth jobs show " +
                std::to_string(job.id) + "` has it."));
}

bool AnswerView::is_text(const Job& job) const {
  return readable(job, session_.documents).has_value();
}

bool AnswerView::is_virtual() const {
  return session_.client.text_document_content && session_.client.show_document;
}

void AnswerView::refresh() {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr || job->text.empty() || !is_text(*job)) return;
  if (is_virtual()) {
    refresh_document(*job);
  } else {
    write(*job, markdown(*job, session_.documents));
  }
}

void AnswerView::refresh_document(const Job& job) {
  const std::string uri = virtual_uri(job);
  if (!shown_) {
    show(uri, job);
    return;
  }
  session_.rpc.request("workspace/textDocumentContent/refresh", {{"uri", uri}}, [](const auto&) {});
}

std::string AnswerView::write(const Job& job, const std::string& text) {
  if (unwritable_) return {};
  const std::string name = job.request.action + "-" + std::to_string(job.id) + ".md";
  try {
    return session_.host.write_answer(name, text);
  } catch (const std::exception& error) {
    unwritable_ = true;
    tell(message_type::error, job.request.title + ": the answer cannot be written to a file (" +
                                  valid_utf8(failure_text(error)) + ") and follows as a message.");
    return {};
  }
}

std::string AnswerView::last_text(const Job& job, const std::string& note) const {
  const std::string text = with_note(markdown(job, session_.documents), note);
  const std::string day = session_.host.answers_kept_until();
  return day.empty() ? text : text + "\n---\nhearth keeps this file until " + day + ".\n";
}

void AnswerView::show(const std::string& uri, const Job& job) {
  shown_ = true;
  const std::string title = job.request.title;
  const std::string text = with_note(body(job, session_.documents), ending_note(job));
  if (!session_.client.show_document) {
    tell_answer(uri, title, text);
    return;
  }
  session_.rpc.request(
      "window/showDocument", {{"uri", uri}, {"external", false}, {"takeFocus", false}},
      lifetime_.guard([this, uri, title, text](const std::variant<Json, RpcError>& answer) {
        const Json* result = std::get_if<Json>(&answer);
        if (result == nullptr || !flag(*result, {"success"})) tell_answer(uri, title, text);
      }));
}

void AnswerView::tell_answer(const std::string& uri, const std::string& title,
                             const std::string& text) {
  const std::string day = session_.host.answers_kept_until();
  const std::string place = readable_uri(uri) + (day.empty() ? "" : ", kept until " + day);
  tell(message_type::info, is_short(text) ? title + ": " + text + "\n(also in " + place + ")"
                                          : title + ": the answer is in " + place);
}

void AnswerView::tell(int type, const std::string& text) {
  session_.rpc.notify("window/showMessage", {{"type", type}, {"message", text}});
}

}  // namespace hearth::lsp
