#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "base/cancel_token.h"
#include "base/result.h"

namespace autoglm {

// Who ends soon has no time to write what a later start would find.
enum class PreparedCacheUse { kReadAndWrite, kRead };

// Where prepared weights are kept.
struct PreparedCacheOptions {
  PreparedCacheUse use = PreparedCacheUse::kReadAndWrite;
  std::filesystem::path folder;                // empty: nowhere
  int64_t max_bytes = int64_t{64} << 30;       // of all files in it; those unused for longest go first
  int64_t min_image_bytes = int64_t{8} << 20;  // smaller weights are packed faster than they are found
};

// Tells one image from another: the name of its file, and a digest that the file repeats.
struct PreparedKey {
  static constexpr size_t kDigestBytes = 16;
  std::byte digest[kDigestBytes] = {};

  // The digest of a text that names everything the image depends on (XXH3, 128 bits).
  static PreparedKey Of(std::string_view description);
  std::string FileName() const;
  bool operator==(const PreparedKey&) const = default;
};

// An image in the cache, open for mapping.
class PreparedImage {
 public:
  PreparedImage(int fd, int64_t offset) : fd_(fd), offset_(offset) {}
  PreparedImage(PreparedImage&& other) noexcept;
  PreparedImage& operator=(PreparedImage&&) = delete;
  ~PreparedImage();

  int fd() const { return fd_; }
  int64_t offset() const { return offset_; }  // of the image in its file; a multiple of 2 MiB, for huge pages

 private:
  int fd_ = -1;
  int64_t offset_ = 0;
};

// Packed weights kept in files as they stand in memory, so that a later start maps them instead of packing. One file holds one
// image: 4096 bytes of header (magic, version, key, size, checksum of the header), a hole, and from 2 MiB on the image.
//
// A file has its final name only once all of it is on the disk, so a crash leaves at most a part file, which the next writer
// removes; two writers of one image never write at the same time (a lock on the part file). Files of other versions, cut short
// or with a damaged header count as absent. As with model files, nobody may change a file in place.
class PreparedCache {
 public:
  explicit PreparedCache(PreparedCacheOptions options) : options_(std::move(options)) {}

  // nullopt where there is none, or none of this size and version. A hit counts as a use.
  std::optional<PreparedImage> Find(const PreparedKey& key, int64_t image_bytes) const;
  // Writes an image unless it is there, or somebody else is writing it. Makes room first. Errors: kIo; kResourceExhausted where
  // the disk or `max_bytes` has no room; kCancelled. After an error nothing of the image is left.
  Status Store(const PreparedKey& key, std::span<const std::byte> image, const CancelToken& cancel) const;

 private:
  std::filesystem::path PathOf(const PreparedKey& key) const { return options_.folder / key.FileName(); }
  Status MakeRoom(int64_t bytes) const;
  void RemoveAbandonedParts() const;

  const PreparedCacheOptions options_;
};

// Stores an image in a thread of its own, with low priority.
class PreparedWriter {
 public:
  // The image must stay as it is as long as this object lives.
  PreparedWriter(PreparedCacheOptions options, const PreparedKey& key, std::span<const std::byte> image);
  // Gives up where the writing has not ended.
  ~PreparedWriter();

  // Waits for the end. Errors: as PreparedCache::Store.
  Status Join();

 private:
  CancelToken cancel_;
  Status status_;
  std::thread thread_;
};

}  // namespace autoglm
