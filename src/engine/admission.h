#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <tl/expected.hpp>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "scheduler/step_plan.h"

namespace autoglm {

// How much an engine takes on. What is beyond comes back later.
struct AdmissionLimits {
  int64_t max_requests = 320;  // that wait and run
  int64_t max_running = 64;    // of them
  // Of work that they are predicted to be; 0: any. One that is more than half of it counts as half: it is taken as well, and has
  // to wait longer than others.
  double max_backlog_seconds = 120;
};

// What asks to come in, all or nothing.
struct AdmissionAsk {
  int64_t num_requests = 1;
  int64_t num_prompt_tokens = 0;  // of all of them together, as the rest
  int64_t max_answer_tokens = 0;
  uint64_t fingerprint = 0;         // recognises the same request when it is sent again; 0: nobody knows it
  std::optional<Duration> timeout;  // in which the whole answer is to be there
  bool is_urgent = false;           // stands before what waits already
};

// Why something was refused, and when it may come again: in so many seconds it will be taken.
struct Refusal {
  Error error;
  int64_t retry_after_seconds = 0;
};

// Decides at the door, from what the engine predicts of its own work, so that nobody waits for an answer that comes too late.
//
// Who is refused gets a promise: a moment at which there will be room, behind all who were promised before. Its work is kept free
// from then on, so that newcomers do not take it, and the same request, sent again at that moment, comes in. A promise that
// nobody comes for ends after a while. So Retry-After is true for those who obey it, however many there are.
//
// Any thread.
class Admission {
 public:
  Admission(const AdmissionLimits& limits, const Clock& clock) : limits_(limits), clock_(clock) {}

  // Takes the places, or says why not: kInvalidArgument (more than there ever are), kResourceExhausted (no room now),
  // kUnavailable (it would come too late for its timeout). What was taken in is given back request by request with Leave.
  tl::expected<void, Refusal> Admit(const AdmissionAsk& ask);
  // The engine has a request now, so that its estimates have its work.
  void Entered(int64_t num_prompt_tokens);
  void Leave();
  // What the engine predicts, as of its last step.
  void Update(const LoadEstimate& load);

  int64_t num_inside() const;
  // How full the engine is: 0 idle, 1 and it refuses.
  double Pressure() const;
  // Promises that are kept free for somebody.
  int64_t num_promised() const;

 private:
  // What some requests are together.
  struct Work {
    int64_t num_requests = 0;
    int64_t num_prompt_tokens = 0;
    double seconds = 0;
  };
  struct Promise {
    TimePoint from;
    TimePoint until;
    Work work;
  };

  int64_t ExpectedAnswerTokens() const;
  int64_t ExpectedAnswerTokens(const AdmissionAsk& ask) const;
  double WorkSeconds(int64_t num_prompt_tokens, int64_t num_answer_tokens) const;
  Work WorkOf(const AdmissionAsk& ask) const;
  double InsideSeconds() const;
  double OwnSeconds(const AdmissionAsk& ask) const;
  double SecondsTooLate(const AdmissionAsk& ask, const Work& promised, double timely) const;
  double SecondsToRoom(const Work& work, const Work& promised, double max_backlog_seconds) const;
  void Take(const AdmissionAsk& ask);
  Refusal RefuseUntilRoom(uint64_t fingerprint, const Work& work, double seconds, TimePoint now);
  void ForgetOldPromises(TimePoint now);
  void Forget(uint64_t fingerprint);

  const AdmissionLimits limits_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // of all below
  LoadEstimate load_;
  int64_t num_inside_ = 0;
  int64_t num_arriving_ = 0;  // taken in, and not in load_ yet
  int64_t arriving_prompt_tokens_ = 0;
  std::unordered_map<uint64_t, Promise> promises_;
  std::multimap<TimePoint, uint64_t> ends_;  // of promises, by Promise::until
  Work promised_;                            // of all promises
};

}  // namespace autoglm
