#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kvcache/block_key.h"

namespace autoglm {

// Which model's keys and values a block holds: the name of a text that says everything their bits depend on (XXH3, 128 bits).
struct KvFingerprint {
  uint64_t high = 0;
  uint64_t low = 0;

  static KvFingerprint Of(std::string_view text);
  // 32 hexadecimal digits.
  std::string Hex() const;

  bool operator==(const KvFingerprint&) const = default;
};

// What a file says that it holds.
struct BlockIdentity {
  KvFingerprint fingerprint;
  BlockKey key;
};

enum class BlockRead {
  kRead,
  kMissing,
  kDamaged,  // not what was asked for: cut short, another block's, another version, or its bytes do not add up
  kFailed,   // the system refused
};

// How blocks become files and come back. Virtual, so that tests can have a disk that is slow or full.
//
// A file is a header of 80 bytes and the block's bytes as they stand in memory:
//   magic "AGLMKVBL" | u32 version | u32 0 | fingerprint | key | u64 payload bytes | XXH3-128 of the payload
// all little-endian. It is written under another name and renamed, so a process that is killed leaves no half file. It is not
// brought to the disk (fsync): the page cache outlives the process, and what a power cut leaves unfinished, the checksum finds.
class BlockFiles {
 public:
  virtual ~BlockFiles() = default;

  // Makes the folders that are missing, and replaces the file where there is one. Errors: kResourceExhausted (the disk is full),
  // kIo, kNotFound (somebody keeps deleting the folder). After an error nothing is left.
  virtual Status Write(const std::filesystem::path& path, const BlockIdentity& identity,
                       std::span<const std::byte> payload) const;
  // Fills all of `payload`; what is in it is worth nothing unless the answer is kRead.
  virtual BlockRead Read(const std::filesystem::path& path, const BlockIdentity& identity, std::span<std::byte> payload) const;
};

inline constexpr int64_t kBlockFileHeaderBytes = 80;

// Removes a part file that its writer left behind, as a process that is killed does: it is older than a minute, and nobody holds
// a lock on it.
inline constexpr std::string_view kPartExtension = ".part-";
void RemoveIfAbandoned(const std::filesystem::path& part);

}  // namespace autoglm
