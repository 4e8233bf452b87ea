#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "base/file_stamp.h"
#include "discovery/source_report.h"
#include "discovery/upstream_source.h"

namespace autoglm::discovery {

// A file with a YAML list of upstreams. A look at its stamp now and then sees every way of changing it, also on file systems that
// tell of nothing, and through links such as those of Kubernetes' ConfigMaps. It is read once two looks have seen the same: half
// a file may be a list as well. A file that is gone or broken keeps the last list.
class FileSource final : public UpstreamSource {
 public:
  FileSource(const gateway::DiscoveryConfig& config, http::EventLoop& loop, SourceHooks hooks,
             std::chrono::milliseconds interval = std::chrono::seconds(1));

 private:
  void Look();
  Status Read();

  const std::filesystem::path file_;
  const gateway::UpstreamConfig like_;
  const std::chrono::milliseconds interval_;
  http::EventLoop& loop_;
  SourceReport report_;
  std::optional<FileStamp> seen_;  // at the last look
  std::optional<FileStamp> read_;  // of what was read last, right or wrong
  http::EventLoop::Timer timer_;
};

}  // namespace autoglm::discovery
