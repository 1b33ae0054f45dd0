// The two ways to show an answer, and what remains where both fail.
#include "lsp/answer_view.hpp"

#include <charconv>
#include <utility>

#include "lsp/actions.hpp"

namespace hearth::lsp {
namespace {

constexpr std::chrono::milliseconds refresh_interval{1000};
constexpr std::string_view scheme = "hearth:";
constexpr int message_error = 1;
constexpr int message_info = 3;

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                       (byte >= 'A' && byte <= 'Z') || c == '-' || c == '_' || c == '.';
    if (plain) {
      encoded += c;
    } else {
      encoded += {'%', digits[byte >> 4U], digits[byte & 15U]};
    }
  }
  return encoded;
}

// The path of a file:// URI; other URIs as they are.
std::string readable(std::string_view uri) {
  constexpr std::string_view file = "file://";
  if (!uri.starts_with(file)) return std::string(uri);
  std::string path;
  for (std::size_t i = file.size(); i < uri.size(); ++i) {
    unsigned byte = 0;
    const char* digits = uri.data() + i + 1;
    const bool encoded = uri[i] == '%' && i + 2 < uri.size() &&
                         std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
    path += encoded ? static_cast<char>(byte) : uri[i];
    if (encoded) i += 2;
  }
  return valid_utf8(std::move(path));
}

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

std::string markdown(const Job& job, const Documents& documents) {
  const Action* action = action_with_id(job.request.action);
  if (action == nullptr || job.request.delivery != Delivery::answer) return job.text;
  return std::get<ShowText>(action->apply(job.request, job.text, documents)).markdown;
}

}  // namespace

AnswerView::AnswerView(Session& session, JobId job)
    : session_(session),
      job_(job),
      refresh_(session.host, refresh_interval, [this] { refresh(); }) {}

std::string AnswerView::content(const Session& session, const std::string& uri) {
  const Job* job = session.jobs.find(job_in(uri));
  if (job == nullptr) throw InvalidParams("there is no answer " + uri + " (any more)");
  return markdown(*job, session.documents);
}

bool AnswerView::is_virtual() const {
  return session_.client.text_document_content && session_.client.show_document;
}

void AnswerView::refresh() {
  const Job* job = session_.jobs.find(job_);
  if (job == nullptr || job->text.empty()) return;
  if (is_virtual()) {
    refresh_document(*job);
  } else {
    rewrite_file(*job);
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

void AnswerView::rewrite_file(const Job& job) {
  if (unwritable_) {
    if (job.state == JobState::done) tell(message_info, job.text);
    return;
  }
  const std::string name = job.request.action + "-" + std::to_string(job.id) + ".md";
  try {
    const std::string uri = session_.host.write_answer(name, markdown(job, session_.documents));
    if (!shown_) show(uri, job);
  } catch (const std::exception& error) {
    unwritable_ = true;
    tell(message_error, job.request.title + ": the answer cannot be written to a file (" +
                            valid_utf8(error.what()) + ") and follows as a message.");
    if (job.state == JobState::done) tell(message_info, job.text);
  }
}

void AnswerView::show(const std::string& uri, const Job& job) {
  shown_ = true;
  const std::string title = job.request.title;
  if (!session_.client.show_document) {
    tell_where(uri, title);
    return;
  }
  session_.rpc.request(
      "window/showDocument", {{"uri", uri}, {"external", false}, {"takeFocus", false}},
      lifetime_.guard([this, uri, title](const std::variant<Json, RpcError>& answer) {
        const Json* result = std::get_if<Json>(&answer);
        if (result == nullptr || !flag(*result, {"success"})) tell_where(uri, title);
      }));
}

void AnswerView::tell_where(const std::string& uri, const std::string& title) {
  tell(message_info, title + ": the answer is in " + readable(uri));
}

void AnswerView::tell(int type, const std::string& text) {
  session_.rpc.notify("window/showMessage", {{"type", type}, {"message", text}});
}

}  // namespace hearth::lsp
