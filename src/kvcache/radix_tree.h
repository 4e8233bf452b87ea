#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_table.h"

namespace autoglm {

// The known prefixes: a tree with one node per block, where a path from a root spells the tokens of a prefix. A node is named by
// its block, so all nodes live in one array as long as the pool and nothing is allocated after construction.
//
// A full node has 32 tokens, a name, and perhaps children. A partial node has fewer: the end of what a sequence has computed, a
// leaf that grows with its sequence. A table references every node on its path.
//
// What nobody references may be evicted, leaves first, by recency and cost (GreedyDual): a node is worth what it takes to have
// it again, above the worth of what was evicted last when it was used last. So of two used at the same time the cheaper one goes
// first, and what is dear goes, too, when it has not been used for long.
class RadixTree {
 public:
  static constexpr BlockIndex kRoot = -1;  // the parent of every first block
  // What it takes to have the KV of such a block again, in any unit; the key of a partial node is empty.
  using Cost = std::function<double(int64_t first_token, int64_t num_tokens, const BlockKey& key)>;

  explicit RadixTree(int64_t num_blocks);

  // Null: all cost the same, and the least recently used goes first. Asked whenever a node has lost its last reference.
  void SetCost(Cost cost) { cost_ = std::move(cost); }

  // The full child of `parent` that holds exactly `tokens` [32]. `salt` matters: equal tokens of two salts are two nodes.
  std::optional<BlockIndex> FindChild(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) const;

  struct Beginning {
    BlockIndex block = kRoot;
    int64_t num_tokens = 0;  // that are equal, at least 1
  };
  // The child of `parent`, full or partial, but not `except`, that has most of `tokens` at its beginning. Of many that begin with
  // the same token only the newest are looked at.
  std::optional<Beginning> FindBeginning(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt,
                                         BlockIndex except = kRoot) const;

  // Makes `block` a child of `parent`, with one reference; partial where there are fewer than 32 tokens, at least 1. The caller
  // has found no full child of these tokens before.
  void Insert(BlockIndex parent, BlockIndex block, std::span<const TokenId> tokens, uint64_t salt);
  // Now a partial node holds `tokens`, which begin with what it held: 31 at most.
  void Extend(BlockIndex block, std::span<const TokenId> tokens);

  void Reference(BlockIndex block);
  // Call from the deepest node of a path upwards.
  void Unreference(BlockIndex block);

  // Takes the node that is worth least out of the tree; nullopt where every node is referenced.
  std::optional<BlockIndex> Evict();
  // Takes a node that nobody references and that has no children out of the tree; false where it is not such a one.
  bool Remove(BlockIndex block);
  // Takes out a partial node that one table references: it is that table's alone.
  void Withdraw(BlockIndex block);
  // Takes out the partial children of a node that have this salt and that nobody references. Looks at all nodes.
  std::vector<BlockIndex> RemovePartialChildren(BlockIndex parent, uint64_t salt);

  bool Contains(BlockIndex block) const { return At(block).is_node; }
  bool IsPartial(BlockIndex block) const { return At(block).is_node && At(block).num_tokens < kBlockSizeTokens; }
  BlockIndex parent(BlockIndex block) const { return At(block).parent; }
  // The content's name; of kRoot and of partial nodes, the empty one.
  BlockKey key(BlockIndex block) const { return block == kRoot ? BlockKey() : At(block).key; }
  std::span<const TokenId> tokens(BlockIndex block) const {
    return std::span(At(block).tokens).first(static_cast<size_t>(At(block).num_tokens));
  }
  uint64_t salt(BlockIndex block) const { return At(block).salt; }
  int64_t num_references(BlockIndex block) const { return At(block).num_references; }
  int64_t num_nodes() const { return num_nodes_; }

  // A prefix that goes on in no other.
  struct Prefix {
    int64_t num_tokens = 0;
    int64_t num_own_blocks = 0;  // at its end, that no other prefix shares
    int64_t num_users = 0;       // tables that reference its end
    int64_t unused_seconds = 0;  // since it was let go of last
  };
  // What time it is, for Prefixes; in seconds of any clock.
  void SetTime(int64_t seconds) { seconds_ = static_cast<uint32_t>(seconds); }
  // The ones used last, at most `limit`. Looks at all nodes.
  std::vector<Prefix> Prefixes(size_t limit) const;
  int64_t num_unreferenced() const { return num_unreferenced_; }

  // Every node can be found from its parent, child counts and reference counts add up, and the heap holds exactly the nodes that
  // could be evicted now, in order.
  Status CheckIntegrity() const;

 private:
  friend struct RadixTreePeer;  // tests break a tree on purpose

  static constexpr BlockIndex kNone = -1;  // the end of a list

  struct Node {
    bool is_node = false;
    BlockIndex parent = kRoot;
    BlockIndex next_in_bucket = kNone;  // of full nodes with a like hash
    BlockIndex next_sibling = kNone;    // of nodes that begin like this one
    BlockIndex previous_sibling = kNone;
    int32_t num_tokens = 0;
    int32_t num_children = 0;
    int32_t num_references = 0;
    int32_t depth = 0;  // blocks before it
    int32_t heap_position = kNone;
    uint64_t salt = 0;
    uint64_t hash = 0;     // of a full node
    double worth = 0;      // of an unreferenced node
    uint64_t used_at = 0;  // decides between equal ones
    uint32_t used_second = 0;
    BlockKey key = {};
    std::array<TokenId, kBlockSizeTokens> tokens = {};
  };

  Node& At(BlockIndex block) { return nodes_[static_cast<size_t>(block)]; }
  const Node& At(BlockIndex block) const { return nodes_[static_cast<size_t>(block)]; }
  size_t BucketOf(uint64_t hash) const { return hash & (buckets_.size() - 1); }
  BlockIndex& SiblingsOf(BlockIndex parent, TokenId first, uint64_t salt);
  BlockIndex SiblingsOf(BlockIndex parent, TokenId first, uint64_t salt) const;

  void LinkBucket(BlockIndex block);
  void UnlinkBucket(BlockIndex block);
  void LinkSiblings(BlockIndex block);
  void UnlinkSiblings(BlockIndex block);
  void TakeOut(BlockIndex block);

  bool GoesBefore(BlockIndex a, BlockIndex b) const;
  void PushHeap(BlockIndex block);
  void PopHeap(BlockIndex block);
  void Sift(int64_t position);
  void PlaceInHeap(int64_t position, BlockIndex block);

  Status CheckNodes() const;
  Status CheckLinks(BlockIndex block) const;
  Status CheckHeap() const;

  std::vector<Node> nodes_;           // [num_blocks]
  std::vector<BlockIndex> buckets_;   // heads of the chains of a hash table of full nodes; a power of two
  std::vector<BlockIndex> siblings_;  // the same for all nodes by parent and first token, newest first
  std::vector<BlockIndex> heap_;      // unreferenced nodes without children, the one worth least on top
  Cost cost_;
  double worth_evicted_ = 0;  // of the node evicted last, or of a dearer one before
  uint64_t num_uses_ = 0;
  uint32_t seconds_ = 0;
  int64_t num_nodes_ = 0;
  int64_t num_unreferenced_ = 0;
};

}  // namespace autoglm
