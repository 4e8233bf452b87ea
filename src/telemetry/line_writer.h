#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

struct LineWriterOptions {
  std::string file;          // empty = standard error
  unsigned int mode = 0644;  // of a new file
  size_t queue_size = 8192;  // lines waiting to be written; beyond it the oldest are dropped and counted
};

// Lines that a thread of its own appends to a file. Where the file is renamed or removed, as rotation does, the next line begins
// a new one of that name. Any thread.
class LineWriter {
 public:
  // Errors: kIo (the file cannot be opened), kInvalidArgument (a queue size out of bounds).
  static Result<std::unique_ptr<LineWriter>> Open(const LineWriterOptions& options);
  ~LineWriter();  // Close

  // Never blocks and never waits for the disk. `line` ends with a line break.
  void Write(std::string_view line);
  // Writes what is queued, waiting at most a second; Write must not be called any more.
  void Close();

  // Lines lost because writing could not keep up, or because the file or pipe refused them.
  int64_t num_dropped() const;

 private:
  struct State;
  explicit LineWriter(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace autoglm
