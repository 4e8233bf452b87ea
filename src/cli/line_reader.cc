#include "cli/line_reader.h"

#include <histedit.h>

#include <cstdio>
#include <istream>
#include <string_view>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr int kHistoryLines = 1000;

class StreamLineReader : public LineReader {
 public:
  StreamLineReader(std::istream& in, SignalWatcher& interrupts) : in_(in), interrupts_(interrupts) {}

  Line Read() override {
    std::string text;
    const bool has_line = static_cast<bool>(std::getline(in_, text));
    if (interrupts_.Take() > 0) return {.outcome = Outcome::kInterrupted, .text = {}};
    if (!has_line) return {};
    if (text.ends_with('\r')) text.pop_back();
    return {.outcome = Outcome::kLine, .text = std::move(text)};
  }

 private:
  std::istream& in_;
  SignalWatcher& interrupts_;
};

// libedit wants a prompt it may write to, and marks around bytes that take no room on the screen.
char* Prompt(EditLine* /*editor*/) {
  static char prompt[] = "> ";
  return prompt;
}
char* ColorPrompt(EditLine* /*editor*/) {
  static char prompt[] = "\1\x1b[1;32m\1> \1\x1b[0m\1";
  return prompt;
}

class TerminalLineReader : public LineReader {
 public:
  TerminalLineReader(EditLine* editor, History* history, SignalWatcher& interrupts, bool use_color)
      : editor_(editor), history_(history), interrupts_(interrupts) {
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_PROMPT_ESC, use_color ? ColorPrompt : Prompt, '\1');
    ::history(history_, &event_, H_SETSIZE, kHistoryLines);
    ::history(history_, &event_, H_SETUNIQUE, 1);
    el_set(editor_, EL_HIST, ::history, history_);
    el_source(editor_, nullptr);  // the person's own ~/.editrc
  }

  ~TerminalLineReader() override {
    el_end(editor_);
    history_end(history_);
  }

  Line Read() override {
    int count = 0;
    // Before the prompt: a Ctrl-D that answers it at once would be lost in the change of modes.
    el_set(editor_, EL_PREP_TERM, 1);
    const char* line = el_gets(editor_, &count);
    // Ctrl-C reaches the process through the terminal, which ends the read; libedit reports that as an error or an end.
    if (interrupts_.Take() > 0) return {.outcome = Outcome::kInterrupted, .text = {}};
    if (line == nullptr || count <= 0) return {};
    std::string_view text(line, static_cast<size_t>(count));
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (!text.empty()) ::history(history_, &event_, H_ENTER, std::string(text).c_str());
    return {.outcome = Outcome::kLine, .text = std::string(text)};
  }

 private:
  EditLine* editor_;
  History* history_;
  SignalWatcher& interrupts_;
  HistEvent event_{};
};

}  // namespace

Result<std::unique_ptr<LineReader>> LineReader::Create(Console& console, SignalWatcher& interrupts) {
  if (!console.in_is_terminal || !console.out_is_terminal) return std::make_unique<StreamLineReader>(console.in, interrupts);
  EditLine* editor = el_init("autoglm", stdin, stdout, stderr);
  if (editor == nullptr) return Fail(ErrorCode::kIo, "the terminal cannot be set up for line editing");
  History* history = history_init();
  AUTOGLM_CHECK(history != nullptr);
  return std::make_unique<TerminalLineReader>(editor, history, interrupts, console.use_color);
}

}  // namespace autoglm
