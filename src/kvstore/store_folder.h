#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvstore/block_file.h"

namespace autoglm {

// Where the files of all models lie, which are there, and which go first when there are too many:
//   ROOT/<fingerprint, 32 hex>/<first 2 hex of the key>/<key, 32 hex>.kv
// Several processes may use one folder: whatever is missing when it is looked for was removed by another. Files and folders with
// other names are nobody's business here.
class StoreFolder {
 public:
  StoreFolder(std::filesystem::path root, const KvFingerprint& fingerprint);

  const std::filesystem::path& root() const { return root_; }
  const KvFingerprint& fingerprint() const { return fingerprint_; }
  std::filesystem::path PathOf(const BlockKey& key) const;

  // Visits every block of this fingerprint by its name alone, until `visit` says false.
  void VisitOwn(const std::function<bool(const BlockKey&)>& visit) const;

  // Asked between two files, on a disk where each may take long: false ends the work.
  using GoesOn = std::function<bool()>;

  // Marks the files of a chain as used now, in such a way that its beginning goes last: a chain without it is worth nothing.
  void MarkUsed(std::span<const BlockKey> chain, const GoesOn& goes_on) const;

  struct Trimmed {
    int64_t num_bytes = 0;           // of all fingerprints that are left
    int64_t max_bytes = 0;           // what they may take, on a disk as full as it is
    std::vector<BlockKey> own_left;  // of this fingerprint
  };
  // Removes the files that were not used for longest until all of them and `extra_bytes` are below what they may take:
  // `max_bytes`, and on a disk that is nearly full nine tenths of what is theirs or free. Then by a sixteenth more, so that this
  // is not done for every file. Removes part files that nobody writes. Nothing where it was ended before all was seen.
  std::optional<Trimmed> Trim(int64_t max_bytes, int64_t extra_bytes, const GoesOn& goes_on) const;

  // What a file of this size counts for: whole pages, and at least so much that the number of files is bounded, too.
  static int64_t ChargedBytes(int64_t file_bytes);

 private:
  struct FoundFile {
    size_t owner = 0;  // index of its fingerprint
    BlockKey key;
    int64_t bytes = 0;    // charged
    int64_t used_ns = 0;  // Unix time
  };
  // Whose owners are indices of `owners`.
  std::optional<std::vector<FoundFile>> ListAll(std::vector<std::string>& owners, const GoesOn& goes_on) const;
  void BringBackFromTheFuture(std::vector<FoundFile>& files, const std::vector<std::string>& owners) const;

  const std::filesystem::path root_;
  const KvFingerprint fingerprint_;
};

}  // namespace autoglm
