#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace autoglm::gateway {

// Requests that wait in front of a route whose upstreams all have as many as they may, or are gone: the most urgent first, those
// of one priority in the order they came. Any thread.
class WaitingLine {
 public:
  // A place in the line; destroyed, it is given up. May outlive the line.
  class Place {
   public:
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    friend class WaitingLine;
    using Key = std::pair<int64_t, uint64_t>;  // priority (low is urgent), number
    struct Waiters;
    Place(std::shared_ptr<Waiters> waiters, Key key) : waiters_(std::move(waiters)), key_(key) {}

    const std::shared_ptr<Waiters> waiters_;
    const Key key_;
  };

  WaitingLine(int64_t max_waiting, const Clock& clock);

  // A number that keeps a request's turn while it leaves the line and comes back.
  uint64_t TakeNumber() { return next_number_.fetch_add(1); }

  // `on_turn` is called once, from whatever thread gives room, and must only post. nullptr where the line is full.
  std::unique_ptr<Place> Join(int64_t priority, uint64_t number, std::function<void()> on_turn);

  // A request has ended: there may be room for one. Cheap where nobody waits.
  void OnRoom();
  // An upstream came back: room for many.
  void WakeAll();

  int64_t size() const;
  double fill() const;  // of its room: 0 to 1
  // When it is worth coming back, by how fast the line has moved lately: 1 to 60.
  int64_t RetryAfterSeconds() const;

 private:
  const int64_t max_waiting_;
  const Clock& clock_;
  std::atomic<uint64_t> next_number_{0};
  const std::shared_ptr<Place::Waiters> waiters_;
};

}  // namespace autoglm::gateway
