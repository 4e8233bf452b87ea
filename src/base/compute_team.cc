#include "base/compute_team.h"

namespace autoglm {

ComputeTeam::Turn ComputeTeam::TakeTurn() {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  changed_.wait(lock, [&] { return serving_ == ticket; });
  return Turn(*this);
}

void ComputeTeam::EndTurn() {
  bool is_awaited = false;
  {
    const std::lock_guard lock(mutex_);
    ++serving_;
    is_awaited = serving_ != next_ticket_;
  }
  if (is_awaited) changed_.notify_all();
}

}  // namespace autoglm
