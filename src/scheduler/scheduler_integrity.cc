#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "scheduler/scheduler.h"

namespace autoglm {
namespace {

tl::unexpected<Error> Broken(std::string what) { return Fail(ErrorCode::kInternal, "scheduler: " + std::move(what)); }

Status CheckQueue(const std::vector<Sequence*>& queue, SequenceState state) {
  const Sequence* last = nullptr;
  for (const Sequence* sequence : queue) {
    if (sequence->state != state) return Broken(fmt::format("sequence {} is in the wrong queue", sequence->arrival));
    if (sequence->arrival < 1 || (last != nullptr && sequence->place() <= last->place())) {
      return Broken(fmt::format("sequence {} is out of order", sequence->arrival));
    }
    last = sequence;
  }
  return {};
}

Status CheckTokens(const Sequence& sequence) {
  const auto& prompt = sequence.request.prompt_tokens;
  if (std::ssize(prompt) != sequence.num_prompt_tokens + sequence.request.num_continued ||
      std::ssize(prompt) > sequence.num_tokens() || !std::equal(prompt.begin(), prompt.end(), sequence.tokens.begin())) {
    return Broken(fmt::format("sequence {} does not begin with its prompt", sequence.arrival));
  }
  if (sequence.state == SequenceState::kRunning) return {};
  if (sequence.num_computed != 0 || !sequence.block_table.blocks.empty() || sequence.block_table.num_shared != 0) {
    return Broken(fmt::format("sequence {} holds blocks and does not run", sequence.arrival));
  }
  return {};
}

Status CheckRunning(const Sequence& sequence) {
  const BlockTable& table = sequence.block_table;
  if (sequence.num_to_compute() < 1 || sequence.num_computed < 0) {
    return Broken(
        fmt::format("sequence {} has computed {} of {} tokens", sequence.arrival, sequence.num_computed, sequence.num_tokens()));
  }
  // Between Plan and Commit a table is as long as the plan needs, otherwise as long as the computed tokens need; a draft that was
  // wrong may have left a block that is needed a little later.
  if (table.num_blocks() < NumBlocksFor(sequence.num_computed) ||
      table.num_blocks() > NumBlocksFor(sequence.num_tokens() + kMaxDraftTokens)) {
    return Broken(fmt::format("sequence {} has {} blocks for {} of {} tokens", sequence.arrival, table.num_blocks(),
                              sequence.num_computed, sequence.num_tokens()));
  }
  if (table.num_shared != sequence.num_computed / kBlockSizeTokens) {
    return Broken(fmt::format("sequence {} gave {} blocks to the tree of {} computed tokens", sequence.arrival, table.num_shared,
                              sequence.num_computed));
  }
  return {};
}

}  // namespace

Status Scheduler::CheckIntegrity(std::span<const BlockTable* const> held) const {
  AUTOGLM_TRY_VOID(waiting_.CheckIntegrity());
  AUTOGLM_TRY_VOID(CheckQueue(running_, SequenceState::kRunning));
  if (num_running() > options_.max_running) return Broken(fmt::format("{} sequences run", num_running()));
  // Queues hold no sequence twice, so equal counts mean that every live sequence is in its queue.
  int64_t num_unfinished = 0;
  for (const auto& [key, sequence] : sequences_) {
    AUTOGLM_TRY_VOID(CheckTokens(*sequence));
    if (sequence->state != SequenceState::kFinished) ++num_unfinished;
  }
  if (num_unfinished != num_waiting() + num_running()) {
    return Broken(fmt::format("{} sequences live, {} wait, {} run", num_unfinished, num_waiting(), num_running()));
  }
  std::vector<const BlockTable*> tables(held.begin(), held.end());
  for (const Sequence* sequence : running_) {
    AUTOGLM_TRY_VOID(CheckRunning(*sequence));
    tables.push_back(&sequence->block_table);
  }
  return blocks_.CheckIntegrity(tables);
}

}  // namespace autoglm
