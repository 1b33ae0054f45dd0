// Reads messages from the terminal. libedit does the editing; it knows no bracketed paste, which is
// added here.
#include "daemon/commands/chat_input.hpp"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <initializer_list>
#include <iostream>
#include <string_view>

#include "daemon/platform/error.hpp"

namespace hearth::daemon {
namespace {

constexpr const char* paste_on = "\x1b[?2004h";  // the terminal marks what is pasted
constexpr const char* paste_off = "\x1b[?2004l";
constexpr std::wstring_view paste_end = L"\x1b[201~";

// Takes the backslash from a line that goes on in the next one.
bool goes_on(std::string& line) {
  if (!line.ends_with('\\')) return false;
  line.back() = '\n';
  return true;
}

class PlainInput : public ChatInput {
 public:
  std::optional<std::string> next(const std::string& /*prompt*/) override {
    std::string message;
    for (std::string line; std::getline(std::cin, line);) {
      if (line.ends_with('\r')) line.pop_back();
      const bool more = goes_on(line);
      message += line;
      if (!more) return message;
    }
    if (message.empty()) return std::nullopt;
    return message;
  }
  void remember(const std::string& /*message*/) override {}
};

class EditedInput : public ChatInput {
 public:
  explicit EditedInput(const std::vector<std::string>& past) {
    // Without a locale, libedit would take each byte of a letter for itself.
    std::setlocale(LC_CTYPE, "");
    if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
    screen_ = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
    edit_ = ::el_init("hearth", stdin, screen_, stderr);
    history_ = ::history_init();
    if (edit_ == nullptr || history_ == nullptr) throw Error("the terminal cannot be used");
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, static_cast<int>(past.size()) + 1000);
    ::el_set(edit_, EL_CLIENTDATA, this);
    ::el_set(edit_, EL_EDITOR, "emacs");
    ::el_set(edit_, EL_HIST, ::history, history_);
    ::el_set(edit_, EL_PROMPT_ESC, &EditedInput::show_prompt, '\1');
    // Ctrl-C and Ctrl-Z are keys here, so that a line can be dropped without ending the process.
    ::el_set(edit_, EL_SETTY, "-d", "-isig", nullptr);
    bind(L"hearth-paste", &EditedInput::paste, {L"\\e[200~"});
    bind(L"hearth-line-break", &EditedInput::line_break, {L"\\e\\r", L"\\e\\n"});
    bind(L"hearth-drop", &EditedInput::drop, {L"^C"});
    bind(L"hearth-suspend", &EditedInput::suspend, {L"^Z"});
    ::el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    for (const std::string& message : past) remember(message);
  }
  EditedInput(const EditedInput&) = delete;
  EditedInput& operator=(const EditedInput&) = delete;
  ~EditedInput() override {
    ::el_end(edit_);
    ::history_end(history_);
  }

  std::optional<std::string> next(const std::string& prompt) override {
    std::string message;
    prompt_ = prompt;
    for (;;) {
      dropped_ = false;
      show(paste_on);
      int length = 0;
      const char* line = ::el_gets(edit_, &length);
      show(paste_off);
      if (line == nullptr || length <= 0) {
        show("\n");
        return std::nullopt;
      }
      std::string text(line, static_cast<std::size_t>(length));
      if (dropped_) {
        show("^C\n");
        message.clear();
        prompt_ = prompt;
        continue;
      }
      if (text.ends_with('\n')) text.pop_back();
      const bool more = goes_on(text);
      message += text;
      if (!more) return message;
      prompt_ = "… ";
    }
  }

  void remember(const std::string& message) override {
    HistEvent event;
    ::history(history_, &event, H_ENTER, message.c_str());
  }

 private:
  using Function = unsigned char (*)(EditLine*, std::wint_t);

  static EditedInput& of(EditLine* edit) {
    void* self = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<EditedInput*>(self);
  }

  // libedit keeps the name; from the function for narrow strings it would keep a copy for ever.
  void bind(const wchar_t* name, Function function, std::initializer_list<const wchar_t*> keys) {
    ::el_wset(edit_, EL_ADDFN, name, L"of hearth chat", function);
    for (const wchar_t* key : keys) ::el_wset(edit_, EL_BIND, key, name, nullptr);
  }

  void show(const char* text) const {
    std::fputs(text, screen_);
    std::fflush(screen_);
  }

  static char* show_prompt(EditLine* edit) { return of(edit).prompt_.data(); }

  // Everything up to the terminal's mark is text, line breaks too.
  static unsigned char paste(EditLine* edit, std::wint_t /*key*/) {
    std::wstring text;
    wchar_t c = 0;
    while (::el_wgetc(edit, &c) == 1) {
      text += c == L'\r' ? L'\n' : c;
      if (!text.ends_with(paste_end)) continue;
      text.resize(text.size() - paste_end.size());
      break;
    }
    while (text.ends_with(L'\n')) text.pop_back();
    std::erase_if(text, [](wchar_t each) {
      return (each < 0x20 && each != L'\n' && each != L'\t') || each == 0x7f;
    });
    return ::el_winsertstr(edit, text.c_str()) == 0 || text.empty() ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char line_break(EditLine* edit, std::wint_t /*key*/) {
    return ::el_winsertstr(edit, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char drop(EditLine* edit, std::wint_t /*key*/) {
    of(edit).dropped_ = true;
    ::el_winsertstr(edit, L" ");  // an empty line would look like the end of input
    return CC_NEWLINE;
  }

  static unsigned char suspend(EditLine* edit, std::wint_t /*key*/) {
    ::el_set(edit, EL_PREP_TERM, 0);
    ::raise(SIGTSTP);
    ::el_set(edit, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
  }

  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::FILE* screen_ = nullptr;
  std::string prompt_;
  bool dropped_ = false;
};

}  // namespace

std::unique_ptr<ChatInput> make_chat_input(const std::vector<std::string>& history) {
  if (::isatty(STDIN_FILENO) != 1) return std::make_unique<PlainInput>();
  return std::make_unique<EditedInput>(history);
}

}  // namespace hearth::daemon
