#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "kernels/kernel_table.h"

namespace autoglm {

// Where the keys and values of a token live. A block holds 32 tokens of every layer:
//   [layer][kv head] { keys, values }
//   BF16: keys [head_dim/2][32 tokens][2], values [16 token pairs][head_dim][2]
//   F32:  keys [head_dim][32 tokens],      values [32 tokens][head_dim]
//   INT8: the same order in bytes, each half behind the float32 scales of its 32 tokens
// A 64-byte line of keys is 16 tokens side by side, a line of values 16 dims side by side: no horizontal sums.
struct KvLayout {
  KvType type = KvType::kBf16;
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;  // padded to a multiple of 16 with zeros

  bool operator==(const KvLayout&) const = default;

  int64_t element_bytes() const { return type == KvType::kBf16 ? 2 : (type == KvType::kF32 ? 4 : 1); }
  // Keys, or values, of one head.
  int64_t half_head_bytes() const {
    return kKvBlockTokens * head_dim * element_bytes() + (type == KvType::kInt8 ? kKvScaleBytes : 0);
  }
  int64_t layer_bytes() const { return num_kv_heads * 2 * half_head_bytes(); }
  int64_t block_bytes() const { return num_layers * layer_bytes(); }
};

// The memory of all KV blocks, reserved at once and given pages by the kernel as blocks are first written.
class KvPool {
 public:
  // Errors: kIo where the address space cannot be reserved.
  static Result<KvPool> Create(const KvLayout& layout, int64_t num_blocks);
  KvPool(KvPool&& other) noexcept;
  KvPool& operator=(KvPool&&) = delete;
  ~KvPool();

  const KvLayout& layout() const { return layout_; }
  int64_t num_blocks() const { return num_blocks_; }
  // Keys of one head in a block; its values follow at + layout().half_head_bytes().
  std::byte* Head(int64_t block, int64_t layer, int64_t kv_head) const {
    return base_ + block * layout_.block_bytes() + layer * layout_.layer_bytes() + kv_head * 2 * layout_.half_head_bytes();
  }
  // All of a block.
  std::span<std::byte> Block(int64_t block) const {
    return {base_ + block * layout_.block_bytes(), static_cast<size_t>(layout_.block_bytes())};
  }
  // Gives the whole pages of a block back to the system; its contents are lost.
  void DropBlock(int64_t block);

 private:
  KvPool(const KvLayout& layout, int64_t num_blocks, std::byte* base) : layout_(layout), num_blocks_(num_blocks), base_(base) {}

  KvLayout layout_;
  int64_t num_blocks_ = 0;
  std::byte* base_ = nullptr;
};

}  // namespace autoglm
