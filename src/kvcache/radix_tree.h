#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvcache/block_table.h"

namespace autoglm {

// The known prefixes: a tree with one node per full block, where a path from a root spells the tokens of a prefix. A node
// is named by its block, so all nodes live in one array as long as the pool and nothing is allocated after construction.
//
// A table references every node on its path. The nodes that nobody references stand in a list, least recently used first.
// A table leaves its path from the deepest node up, so a child always stands before its parent in that list: its head is
// always a leaf, and eviction takes constant time and never orphans a child.
class RadixTree {
 public:
  static constexpr BlockIndex kRoot = -1;  // the parent of every first block

  explicit RadixTree(int64_t num_blocks);

  // The child of `parent` that holds exactly `tokens` [32]. `salt` matters at the root: each salt has a tree of its own.
  std::optional<BlockIndex> FindChild(BlockIndex parent, std::span<const TokenId> tokens, uint64_t salt) const;

  // Makes `block` a child of `parent`, with one reference. The caller has found no such child before.
  void Insert(BlockIndex parent, BlockIndex block, std::span<const TokenId> tokens, uint64_t salt);

  void Reference(BlockIndex block);
  // Call from the deepest node of a path upwards.
  void Unreference(BlockIndex block);

  // Takes the least recently used unreferenced node out of the tree; nullopt where every node is referenced.
  std::optional<BlockIndex> EvictOldest();
  // Takes a node that nobody references and that has no children out of the tree; false where it is not such a one.
  bool Remove(BlockIndex block);

  bool Contains(BlockIndex block) const { return At(block).is_node; }
  BlockIndex parent(BlockIndex block) const { return At(block).parent; }
  // The content's name; of kRoot, the empty one.
  BlockKey key(BlockIndex block) const { return block == kRoot ? BlockKey() : At(block).key; }
  std::span<const TokenId> tokens(BlockIndex block) const { return At(block).tokens; }
  int64_t num_references(BlockIndex block) const { return At(block).num_references; }
  int64_t num_nodes() const { return num_nodes_; }
  int64_t num_unreferenced() const { return num_unreferenced_; }

  // Every node can be found from its parent, child counts and reference counts add up, the list holds exactly the
  // unreferenced nodes with children before parents.
  Status CheckIntegrity() const;

 private:
  friend struct RadixTreePeer;  // tests break a tree on purpose

  static constexpr BlockIndex kNone = -1;  // the end of a list

  struct Node {
    bool is_node = false;
    BlockIndex parent = kRoot;
    BlockIndex next_in_bucket = kNone;
    BlockIndex older = kNone;  // neighbours in the list of unreferenced nodes
    BlockIndex newer = kNone;
    int32_t num_children = 0;
    int32_t num_references = 0;
    uint64_t salt = 0;
    uint64_t hash = 0;
    BlockKey key = {};
    std::array<TokenId, kBlockSizeTokens> tokens = {};
  };

  Node& At(BlockIndex block) { return nodes_[static_cast<size_t>(block)]; }
  const Node& At(BlockIndex block) const { return nodes_[static_cast<size_t>(block)]; }
  size_t BucketOf(uint64_t hash) const { return hash & (buckets_.size() - 1); }
  void AppendNewest(BlockIndex block);
  void Unlink(BlockIndex block);
  void RemoveFromBucket(BlockIndex block);
  Status CheckNodes() const;
  Status CheckList() const;

  std::vector<Node> nodes_;          // [num_blocks]
  std::vector<BlockIndex> buckets_;  // heads of the chains of a hash table; a power of two
  BlockIndex oldest_ = kNone;
  BlockIndex newest_ = kNone;
  int64_t num_nodes_ = 0;
  int64_t num_unreferenced_ = 0;
};

}  // namespace autoglm
