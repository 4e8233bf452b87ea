#include "discovery/registered_upstreams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/temporary_folder.h"

namespace autoglm::discovery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Registration Worker(const std::string& body) { return ParseRegistration(body).value(); }

class RegisteredUpstreamsTest : public testing::Test {
 protected:
  std::unique_ptr<RegisteredUpstreams> Open() const {
    auto upstreams = RegisteredUpstreams::Open(file_);
    EXPECT_TRUE(upstreams) << upstreams.error().message;
    return *std::move(upstreams);
  }

  const TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "workers.json";
  const Registration a_ = Worker(R"({"url":"http://a:1","model_id":"m","runtime_type":"vllm","api_key":"secret"})");
  const Registration b_ = Worker(R"({"url":"http://b:1","cost":0.5,"labels":{"x":"y"}})");
};

TEST_F(RegisteredUpstreamsTest, AreThereAfterARestart) {
  {
    const auto upstreams = Open();
    ASSERT_TRUE(upstreams->Add(a_));
    ASSERT_TRUE(upstreams->Add(b_));
  }
  EXPECT_THAT(Open()->List(), ElementsAre(a_, b_));
  ASSERT_TRUE(Open()->Remove(a_.id));
  EXPECT_THAT(Open()->List(), ElementsAre(b_));
}

TEST_F(RegisteredUpstreamsTest, AreFoundByIdAndUrl) {
  const auto upstreams = *RegisteredUpstreams::Open({});
  ASSERT_TRUE(upstreams->Add(a_));
  for (const std::string_view name : {std::string_view(a_.id), std::string_view("http://a:1"), std::string_view("http://a:1/")}) {
    EXPECT_EQ(upstreams->Find(name).value(), a_);
  }
  EXPECT_EQ(upstreams->Find("http://b:1").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(upstreams->Remove("http://a:1").value(), a_);
  EXPECT_EQ(upstreams->Remove("http://a:1").error().code, ErrorCode::kNotFound);
}

TEST_F(RegisteredUpstreamsTest, TheSameUrlTwiceIsOneUpstream) {
  const auto upstreams = Open();
  ASSERT_TRUE(upstreams->Add(a_));
  ASSERT_TRUE(upstreams->Add(b_));
  const Registration anew = Worker(R"({"url":"http://a:1/","priority":100})");
  ASSERT_TRUE(upstreams->Add(anew));
  EXPECT_THAT(upstreams->List(), ElementsAre(anew, b_));
}

TEST_F(RegisteredUpstreamsTest, FileIsReadableByItsOwnerAlone) {
  ASSERT_TRUE(Open()->Add(a_));
  struct stat info{};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RegisteredUpstreamsTest, FileThatIsDamagedStopsTheStart) {
  for (const char* text : {"", "{", "[]", "{}", R"({"workers":5})", R"({"workers":[{"url":"nonsense"}]})"}) {
    folder_.Write("workers.json", std::string_view(text));
    const auto upstreams = RegisteredUpstreams::Open(file_);
    ASSERT_FALSE(upstreams) << text;
    EXPECT_EQ(upstreams.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(upstreams.error().message, HasSubstr("workers.json"));
  }
}

TEST_F(RegisteredUpstreamsTest, WhatCannotBeKeptIsNotTaken) {
  const auto upstreams = *RegisteredUpstreams::Open(folder_.path() / "nowhere" / "workers.json");
  EXPECT_FALSE(upstreams->Add(a_));
  EXPECT_TRUE(upstreams->List().empty());
}

}  // namespace
}  // namespace autoglm::discovery
