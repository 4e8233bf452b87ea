#include "discovery/file_source.h"

#include <utility>

#include "base/text_file.h"

namespace autoglm::discovery {
namespace {

constexpr int64_t kFileBytesMax = 16 << 20;

}  // namespace

FileSource::FileSource(const gateway::DiscoveryConfig& config, http::EventLoop& loop, SourceHooks hooks,
                       std::chrono::milliseconds interval)
    : file_(config.file), like_(config.like), interval_(interval), loop_(loop), report_(std::move(hooks)) {
  timer_ = loop_.CallAfter(std::chrono::milliseconds(0), [this] { Look(); });
}

void FileSource::Look() {
  timer_ = loop_.CallAfter(interval_, [this] { Look(); });
  if (const Status status = Read(); !status) report_.Failed(status.error());
}

Status FileSource::Read() {
  AUTOGLM_TRY(const std::optional<FileStamp> stamp, FileStamp::Of(file_));
  if (stamp && stamp == stamp_) return {};
  stamp_ = stamp;
  AUTOGLM_TRY(const std::string text, ReadTextFile(file_, kFileBytesMax));
  AUTOGLM_TRY(std::vector<gateway::UpstreamConfig> upstreams, gateway::ParseUpstreamList(text, file_.string(), like_));
  report_.Works();
  report_.Found(std::move(upstreams));
  return {};
}

}  // namespace autoglm::discovery
