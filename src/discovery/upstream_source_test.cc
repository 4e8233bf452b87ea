#include "discovery/upstream_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "discovery/file_source.h"
#include "discovery/source_notes.h"
#include "support/temporary_folder.h"

namespace autoglm::discovery {
namespace {

using ::testing::HasSubstr;

class UpstreamSourceTest : public ::testing::Test {
 protected:
  UpstreamSourceTest() {
    thread_.RunAndWait([this] { client_.emplace(thread_.loop()); });
  }
  ~UpstreamSourceTest() override {
    thread_.RunAndWait([this] {
      source_.reset();
      client_.reset();
    });
  }
  void WatchFile(std::chrono::milliseconds interval = std::chrono::milliseconds(2)) {
    thread_.RunAndWait([this, interval] {
      const gateway::DiscoveryConfig config{.file = file_, .like = {.api_key = "k"}};
      source_ = std::make_unique<FileSource>(config, thread_.loop(), notes_.Hooks(), interval);
    });
  }
  Status Start(const gateway::DiscoveryConfig& config) {
    Status status;
    thread_.RunAndWait([&] {
      auto source = StartSource(config, thread_.loop(), *client_, notes_.Hooks());
      source ? void(source_ = *std::move(source)) : void(status = tl::unexpected(source.error()));
    });
    return status;
  }
  // At once.
  void Write(std::string_view text) const { std::filesystem::rename(folder_.Write("fresh.yaml", text), file_); }
  // As editors do: it is empty first.
  void WriteOver(std::string_view text) const { folder_.Write("upstreams.yaml", text); }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "upstreams.yaml";
  SourceNotes notes_;
  http::LoopThread thread_;
  std::optional<http::Client> client_;
  std::unique_ptr<UpstreamSource> source_;
};

TEST_F(UpstreamSourceTest, AFileIsReadAgainWhenItChanges) {
  Write("- http://a:1\n- url: http://b:1\n  weight: 2\n");
  WatchFile();
  EXPECT_EQ(notes_.At(0), "http://a:1 http://b:1");
  Write("- http://a:1\n- url: http://b:1\n  weight: 3\n");
  EXPECT_EQ(notes_.At(1), "http://a:1 http://b:1") << "a weight is a change, too";
  Write("- http://c:1\n");
  EXPECT_EQ(notes_.At(2), "http://c:1");
}

TEST_F(UpstreamSourceTest, AFileThatIsBeingWrittenIsLeftAlone) {
  Write("- http://a:1\n");
  WatchFile(std::chrono::milliseconds(100));
  EXPECT_EQ(notes_.At(0), "http://a:1");
  for (int i = 1; i <= 2000; ++i) WriteOver("- http://a:" + std::to_string(i) + "\n");
  WriteOver("- http://b:1\n");
  EXPECT_EQ(notes_.At(1), "http://b:1");
}

TEST_F(UpstreamSourceTest, AFileThatIsBrokenOrGoneKeepsTheList) {
  Write("- http://a:1\n");
  WatchFile();
  EXPECT_EQ(notes_.At(0), "http://a:1");
  Write("- http://a:1\n- url: 5:5:5\n");
  EXPECT_THAT(notes_.At(1), HasSubstr("upstreams.yaml:2"));
  std::filesystem::remove(file_);
  EXPECT_THAT(notes_.At(2), HasSubstr("cannot open"));
  Write("- http://a:1\n");
  Write("- http://b:1\n");
  EXPECT_EQ(notes_.At(3), "http://b:1");
}

TEST_F(UpstreamSourceTest, AFileMayComeLater) {
  WatchFile();
  EXPECT_THAT(notes_.At(0), HasSubstr("problem: cannot open"));
  Write("- http://a:1\n");
  EXPECT_EQ(notes_.At(1), "http://a:1");
}

TEST_F(UpstreamSourceTest, EachKindIsStartedByItsConfiguration) {
  Write("- http://a:1\n");
  ASSERT_TRUE(Start({.file = file_}));
  EXPECT_EQ(notes_.At(0), "http://a:1");
  ASSERT_TRUE(Start({.dns = "127.0.0.1:8000"}));
  EXPECT_EQ(notes_.At(1), "http://127.0.0.1:8000");
  const gateway::DiscoveryConfig::Kubernetes kubernetes{
      .service = "llm", .namespace_name = "prod", .api_server = "http://127.0.0.1:1", .token_file = ""};
  ASSERT_TRUE(Start({.kubernetes = kubernetes}));
  EXPECT_THAT(notes_.At(2), HasSubstr("prod/llm"));
}

TEST_F(UpstreamSourceTest, WhatCanNeverWorkIsAnError) {
  EXPECT_EQ(Start({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Start({.dns = "no port"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Start({.kubernetes = gateway::DiscoveryConfig::Kubernetes{.service = "a/b", .namespace_name = "n"}}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace autoglm::discovery
