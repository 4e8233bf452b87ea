#include "discovery/exact_prefix_index.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace autoglm::discovery {

std::shared_ptr<ExactPrefixIndex::Engine> ExactPrefixIndex::EngineOf(const std::string& upstream) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Engine>& engine = engines_[upstream];
  if (engine == nullptr) engine = std::make_shared<Engine>();
  return engine;
}

void ExactPrefixIndex::Apply(const std::string& upstream, std::span<const EngineEvent> events) {
  const std::shared_ptr<Engine> engine = EngineOf(upstream);
  for (const EngineEvent& event : events) {
    const std::lock_guard lock(engine->mutex);
    if (engine->is_forgotten) return;
    const int64_t before = engine->blocks.num_blocks();
    num_refused_blocks_ += engine->blocks.Apply(event, std::max<int64_t>(0, options_.max_blocks - num_blocks_));
    num_blocks_ += engine->blocks.num_blocks() - before;
  }
}

void ExactPrefixIndex::Forget(const std::string& upstream) {
  std::shared_ptr<Engine> engine;  // goes after the lock: there may be much to free
  const std::lock_guard lock(mutex_);
  const auto found = engines_.find(upstream);
  if (found == engines_.end()) return;
  engine = std::move(found->second);
  engines_.erase(found);
  const std::lock_guard engine_lock(engine->mutex);
  engine->is_forgotten = true;
  num_blocks_ -= engine->blocks.num_blocks();
}

std::vector<routing::PrefixMatch> ExactPrefixIndex::Find(std::span<const TokenId> tokens) const {
  std::vector<routing::PrefixMatch> matches;
  std::vector<BlockNames> prompts;  // one for each block size; there are one or two
  const std::shared_lock lock(mutex_);
  for (const auto& [upstream, engine] : engines_) {
    const std::shared_lock engine_lock(engine->mutex);
    int64_t num_tokens = 0;
    if (const int64_t block_size = engine->blocks.block_size_tokens(); block_size > 0) {
      auto prompt = std::ranges::find(prompts, block_size, &BlockNames::block_size_tokens);
      if (prompt == prompts.end()) prompt = prompts.emplace(prompts.end(), tokens, block_size);
      num_tokens = engine->blocks.NumMatched(*prompt);
    }
    if (num_tokens > 0 || engine->blocks.is_complete()) matches.push_back({.upstream = upstream, .num_tokens = num_tokens});
  }
  return matches;
}

}  // namespace autoglm::discovery
