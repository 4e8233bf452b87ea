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
  seen_ = FileStamp::Of(file_).value_or(std::nullopt);
  timer_ = loop_.CallAfter(std::chrono::milliseconds(0), [this] { Look(); });
}

void FileSource::Look() {
  timer_ = loop_.CallAfter(interval_, [this] { Look(); });
  if (const Status status = Read(); !status) report_.Failed(status.error());
}

Status FileSource::Read() {
  AUTOGLM_TRY(const std::optional<FileStamp> now, FileStamp::Of(file_));
  const bool is_settled = std::exchange(seen_, now) == now;
  if (!is_settled || (now && now == read_)) return {};
  read_.reset();
  AUTOGLM_TRY(const std::string text, ReadTextFile(file_, kFileBytesMax));
  AUTOGLM_TRY(seen_, FileStamp::Of(file_));
  if (seen_ != now) return {};  // written just now
  read_ = now;
  AUTOGLM_TRY(std::vector<gateway::UpstreamConfig> upstreams, gateway::ParseUpstreamList(text, file_.string(), like_));
  report_.Works();
  report_.Found(std::move(upstreams));
  return {};
}

}  // namespace autoglm::discovery
