// Asking the model for a prompt's pieces, and showing them.
#include "lsp/actions/prompt_document.hpp"

#include <memory>
#include <utility>

#include "lsp/jobs/prompt_view.hpp"
#include "lsp/protocol/constants.hpp"
#include "lsp/protocol/uri.hpp"
#include "lsp/support/failure.hpp"

namespace hearth::lsp {
namespace {

constexpr std::string_view document_name = "/prompt.txt";

std::string virtual_uri(JobId job) {
  return "hearth:/" + std::to_string(job) + std::string(document_name);
}

const Job& job_with_prompt(const Session& session, JobId id) {
  const Job* job = session.jobs.find(id);
  if (job == nullptr || !is_of(session, *job) || job->request.prompt.messages.empty())
    throw InvalidParams("the job has no prompt (any more)");
  return *job;
}

}  // namespace

bool PromptDocument::is(std::string_view uri) {
  return uri.starts_with("hearth:") && uri.ends_with(document_name);
}

void PromptDocument::ask(JobId id, WithText then) {
  const Request& request = job_with_prompt(session_, id).request;
  session_.model.inspect(request.prompt, request.options,
                         lifetime_.guard([this, id, then = std::move(then)](const auto& inspected) {
                           const Job* job = session_.jobs.find(id);
                           if (const auto* error = std::get_if<ModelError>(&inspected))
                             return then({}, error->message);
                           if (job == nullptr) return then({}, "the job is gone");
                           then(prompt_text(*job, std::get<std::vector<PromptPiece>>(inspected)),
                                {});
                         }));
}

void PromptDocument::content(JobId job, Reply& reply) {
  static_cast<void>(job_with_prompt(session_, job));  // while the reply can still tell of it
  const auto kept = std::make_shared<Reply>(std::move(reply));
  ask(job, [kept](const std::string& text, const std::string& failure) {
    if (!failure.empty()) return kept->error(error_code::request_failed, failure);
    kept->result({{"text", valid_utf8(text)}});
  });
}

void PromptDocument::show(JobId job) {
  if (session_.client.text_document_content && session_.client.show_document) {
    static_cast<void>(job_with_prompt(session_, job));
    session_.rpc.request("window/showDocument",
                         {{"uri", virtual_uri(job)}, {"external", false}, {"takeFocus", true}},
                         [](const auto&) {});
    return;
  }
  ask(job, [this, job](const std::string& text, const std::string& failure) {
    if (failure.empty()) return written(job, text);
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::error}, {"message", failure}});
  });
}

void PromptDocument::written(JobId job, const std::string& text) {
  std::string uri;
  try {
    uri = session_.host.write_answer("prompt-" + std::to_string(job) + ".txt", valid_utf8(text));
  } catch (const std::exception& error) {
    session_.rpc.notify("window/showMessage",
                        {{"type", message_type::error},
                         {"message", "the prompt cannot be written to a file: " +
                                         valid_utf8(failure_text(error))}});
    return;
  }
  if (session_.client.show_document) {
    session_.rpc.request("window/showDocument",
                         {{"uri", uri}, {"external", false}, {"takeFocus", true}},
                         [](const auto&) {});
  } else {
    session_.rpc.notify(
        "window/showMessage",
        {{"type", message_type::info}, {"message", "the prompt is in " + readable_uri(uri)}});
  }
}

}  // namespace hearth::lsp
