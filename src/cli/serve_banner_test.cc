#include "cli/serve_banner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace autoglm {
namespace {

using testing::HasSubstr;

TEST(LocalUrl, IsAnAddressThatWorksOnThisMachine) {
  EXPECT_EQ(LocalUrl("127.0.0.1", 8080), "http://127.0.0.1:8080");
  EXPECT_EQ(LocalUrl("0.0.0.0", 80), "http://127.0.0.1:80");
  EXPECT_EQ(LocalUrl("::", 80), "http://[::1]:80");
  EXPECT_EQ(LocalUrl("fe80::1", 80), "http://[fe80::1]:80");
  EXPECT_EQ(LocalUrl("localhost", 80), "http://localhost:80");
}

TEST(ServeBanner, ModelWithoutChatTemplate_IsShownACompletion) {
  std::istringstream in;
  std::ostringstream out;
  const Console console{.in = in, .out = out, .err = out};
  const std::string banner = ServeBanner(
      {.model = "tiny", .architecture = "llama", .url = "http://127.0.0.1:8080", .has_chat_template = false}, console);
  EXPECT_THAT(banner,
              HasSubstr("\n  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' -d '{\"model\": "));
  EXPECT_EQ(banner.find("/v1/chat"), std::string::npos);
}

TEST(ServeBanner, Precision_IsShownWhereItIsNotTheFiles) {
  std::istringstream in;
  std::ostringstream out;
  const Console console{.in = in, .out = out, .err = out};
  EXPECT_THAT(
      ServeBanner({.model = "tiny", .architecture = "llama", .weight_bytes = 1 << 20, .precision = WeightPrecision::kInt8},
                  console),
      HasSubstr("tiny (llama, 1.0 MiB, int8)"));
}

TEST(ServeBanner, SeveralModels_AreListedWithTheirBudget) {
  std::istringstream in;
  std::ostringstream out;
  const Console console{.in = in, .out = out, .err = out};
  EXPECT_THAT(ServeBanner({.model = "tiny",
                           .more_models = {"large", "code"},
                           .num_threads = 2,
                           .memory_budget_bytes = int64_t{4} << 30,
                           .url = "http://127.0.0.1:8080"},
                          console),
              HasSubstr("  model    tiny (loaded when it is asked for)\n"
                        "           large (loaded when it is asked for)\n"
                        "           code (loaded when it is asked for)\n"
                        "  compute  2 threads, scalar, fast arithmetic\n"
                        "  budget   4.0 GiB for all models\n"));
}

TEST(ServeBanner, HasTheUrlAndACurlLine) {
  std::istringstream in;
  std::ostringstream out;
  const Console console{.in = in, .out = out, .err = out};
  const std::string banner = ServeBanner({.model = "tiny",
                                          .architecture = "llama",
                                          .weight_bytes = 3 << 20,
                                          .num_threads = 1,
                                          .isa = Isa::kAvx2,
                                          .context_length = 512,
                                          .kv_bytes = 1 << 20,
                                          .kv_tokens = 640,
                                          .url = "http://127.0.0.1:8080"},
                                         console);
  EXPECT_THAT(banner, HasSubstr("  model      tiny (llama, 3.0 MiB)\n"
                                "  compute    1 thread, avx2, fast arithmetic\n"
                                "  context    512 tokens\n"
                                "  KV memory  1.0 MiB for 640 tokens\n"));
  EXPECT_THAT(banner, HasSubstr("\nListening on http://127.0.0.1:8080\n"));
  EXPECT_THAT(
      banner,
      HasSubstr("\n  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d '{\"model\": "));
  EXPECT_EQ(banner.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace autoglm
