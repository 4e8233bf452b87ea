#include "cli/sequence_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "kvcache/block_manager.h"

namespace autoglm {
namespace {

// Logits are large (a row of 150 000 floats is 0.6 MB): enough tokens for a full matrix tile, and not much more.
constexpr int64_t kChunkTokens = 128;

int64_t BlocksFor(int64_t num_tokens) { return (num_tokens + kBlockSizeTokens - 1) / kBlockSizeTokens; }

}  // namespace

SequenceForward::SequenceForward(CausalLm& lm, ThreadPool& pool, KvPool kv, int64_t max_tokens)
    : lm_(lm), pool_(pool), kv_(std::move(kv)), max_tokens_(max_tokens), block_table_(kv_.num_blocks()) {
  std::iota(block_table_.begin(), block_table_.end(), 0);
}

Result<SequenceForward> SequenceForward::Create(CausalLm& lm, ThreadPool& pool, int64_t max_tokens) {
  AUTOGLM_TRY(KvPool kv, KvPool::Create(lm.kv_layout(), BlocksFor(max_tokens)));
  return SequenceForward(lm, pool, std::move(kv), max_tokens);
}

Status SequenceForward::Run(std::span<const TokenId> tokens, const Visit& visit) {
  const int64_t num_tokens = std::ssize(tokens);
  const int64_t vocab_size = lm_.config().vocab_size;
  if (num_tokens > max_tokens_) {
    return Fail(ErrorCode::kContextLengthExceeded,
                fmt::format("{} tokens are more than the context of {}", num_tokens, max_tokens_));
  }
  for (const TokenId token : tokens) {
    if (token < 0 || token >= vocab_size) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("token {} is not one of this model's, 0 to {}", token, vocab_size - 1));
    }
  }

  for (int64_t first = 0; first < num_tokens; first += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, num_tokens - first);
    const ForwardSlice slice{.tokens = tokens.subspan(first, count),
                             .first_position = first,
                             .block_table = std::span(block_table_).first(BlocksFor(first + count)),
                             .logits = ForwardSlice::Logits::kAll};
    lm_.Forward({&slice, 1}, kv_, pool_, logits_, nullptr);
    for (int64_t i = 0; i < count; ++i) visit(first + i, std::span<const float>(logits_).subspan(i * vocab_size, vocab_size));
  }
  return {};
}

}  // namespace autoglm
