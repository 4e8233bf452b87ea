#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/console.h"
#include "cli/signal_watcher.h"

namespace autoglm {

// Where the lines a person types come from.
class LineReader {
 public:
  // Ctrl-C is kInterrupted, Ctrl-D and the end of a pipe are kEnd.
  enum class Outcome { kLine, kInterrupted, kEnd };
  struct Line {
    Outcome outcome = Outcome::kEnd;
    std::string text;  // without its line feed
  };

  virtual ~LineReader() = default;
  virtual Line Read() = 0;

  // A terminal gets a prompt, line editing and a history of this process's lines; anything else is read as it comes.
  // `interrupts` outlives the reader.
  static Result<std::unique_ptr<LineReader>> Create(Console& console, SignalWatcher& interrupts);
};

}  // namespace autoglm
