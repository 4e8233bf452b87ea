#include "gateway/waiting_line.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

namespace autoglm::gateway {

struct WaitingLine::Place::Waiters {
  mutable std::mutex mutex;  // of all but the size
  std::map<Key, std::function<void()>> by_turn;
  std::atomic<int64_t> size{0};  // of by_turn
  TimePoint last_room{};
  double seconds_per_room = 0;  // mean; 0: unknown
};

namespace {

constexpr double kMemory = 0.1;  // what a new time between two rooms counts in the mean

}  // namespace

WaitingLine::Place::~Place() {
  std::function<void()> dropped;
  const std::lock_guard lock(waiters_->mutex);
  const auto found = waiters_->by_turn.find(key_);
  if (found == waiters_->by_turn.end()) return;
  dropped = std::move(found->second);
  waiters_->by_turn.erase(found);
  waiters_->size.fetch_sub(1);
}

WaitingLine::WaitingLine(int64_t max_waiting, const Clock& clock)
    : max_waiting_(max_waiting), clock_(clock), waiters_(std::make_shared<Place::Waiters>()) {}

std::unique_ptr<WaitingLine::Place> WaitingLine::Join(int64_t priority, uint64_t number, std::function<void()> on_turn) {
  const Place::Key key{priority, number};
  const std::lock_guard lock(waiters_->mutex);
  if (std::ssize(waiters_->by_turn) >= max_waiting_) return nullptr;
  waiters_->by_turn.emplace(key, std::move(on_turn));
  waiters_->size.fetch_add(1);
  return std::unique_ptr<Place>(new Place(waiters_, key));
}

void WaitingLine::OnRoom() {
  if (waiters_->size.load() == 0) return;
  std::function<void()> on_turn;
  {
    const std::lock_guard lock(waiters_->mutex);
    const TimePoint now = clock_.Now();
    if (waiters_->last_room != TimePoint{}) {
      const double seconds = Seconds(now - waiters_->last_room);
      double& mean = waiters_->seconds_per_room;
      mean = mean == 0 ? seconds : mean + kMemory * (seconds - mean);
    }
    waiters_->last_room = now;
    if (waiters_->by_turn.empty()) return;
    on_turn = std::move(waiters_->by_turn.begin()->second);
    waiters_->by_turn.erase(waiters_->by_turn.begin());
    waiters_->size.fetch_sub(1);
  }
  on_turn();
}

void WaitingLine::WakeAll() {
  std::vector<std::function<void()>> turns;
  {
    const std::lock_guard lock(waiters_->mutex);
    for (auto& [key, on_turn] : waiters_->by_turn) turns.push_back(std::move(on_turn));
    waiters_->by_turn.clear();
    waiters_->size.store(0);
  }
  for (const auto& on_turn : turns) on_turn();
}

int64_t WaitingLine::size() const { return waiters_->size.load(); }

double WaitingLine::fill() const {
  return max_waiting_ == 0 ? 1 : static_cast<double>(size()) / static_cast<double>(max_waiting_);
}

int64_t WaitingLine::RetryAfterSeconds() const {
  const std::lock_guard lock(waiters_->mutex);
  const double seconds = waiters_->seconds_per_room * static_cast<double>(waiters_->by_turn.size() + 1);
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(seconds)), 1, 60);
}

}  // namespace autoglm::gateway
