#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// Turns a stream of tokens into text that is valid UTF-8 at every step: bytes of an unfinished character are held back,
// bytes that can never become one turn into U+FFFD (one for each maximal subpart, as WHATWG's decoder does).
class Detokenizer {
 public:
  // kContinuation: the tokens continue a text, so that a space at their start is part of it, in every kind of tokenizer.
  enum class Start { kText, kContinuation };
  explicit Detokenizer(const Tokenizer& tokenizer, Start start = Start::kText)
      : tokenizer_(tokenizer), drops_space_(start == Start::kText && tokenizer.drops_first_space()) {}

  // The text that became complete with this token; may be empty.
  std::string Push(TokenId token);
  // What is still held back, as U+FFFD, at the end of the stream.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  bool drops_space_;     // the next byte, if it is a space
  std::string pending_;  // at most 3 bytes
};

// Finds stop strings in a stream of text pieces, however they are cut. Holds back the longest suffix that could still
// become a stop string, so that no part of one is ever delivered. Of several matches the one that ends first counts, and of
// those that end together the longest. Empty stop strings are ignored. The time is linear in the text.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stop);

  struct Output {
    std::string text;      // to deliver
    bool stopped = false;  // a stop string was found; text ends right before it, and nothing may follow
  };
  // After a stop: no text, and still stopped.
  Output Push(std::string_view piece);
  // What is held back, at the end of the stream.
  std::string Flush();

 private:
  // Knuth, Morris, Pratt: an automaton for one stop string.
  struct Automaton {
    std::string stop;
    std::vector<size_t> borders;  // [i]: the longest proper prefix of stop that also ends its first i + 1 bytes
    size_t num_matched = 0;       // the longest prefix of stop that ends the text so far

    void Push(char byte);
    bool Found() const { return num_matched == stop.size(); }
  };

  std::vector<Automaton> automata_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace autoglm
