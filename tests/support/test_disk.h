#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <span>
#include <thread>

#include "kvstore/block_file.h"

namespace autoglm {

// A disk that a test holds up, or fills.
class TestDisk : public BlockFiles {
 public:
  Status Write(const std::filesystem::path& path, const BlockIdentity& identity,
               std::span<const std::byte> payload) const override {
    while (is_stuck) std::this_thread::yield();
    std::this_thread::sleep_for(write_delay.load());
    if (is_full) return Fail(ErrorCode::kResourceExhausted, "no space left on device");
    return BlockFiles::Write(path, identity, payload);
  }
  BlockRead Read(const std::filesystem::path& path, const BlockIdentity& identity, std::span<std::byte> payload) const override {
    while (is_stuck) std::this_thread::yield();
    std::this_thread::sleep_for(read_delay.load());
    return BlockFiles::Read(path, identity, payload);
  }

  std::atomic<bool> is_stuck{false};
  std::atomic<bool> is_full{false};
  std::atomic<std::chrono::milliseconds> write_delay{};
  std::atomic<std::chrono::milliseconds> read_delay{};
};

}  // namespace autoglm
