#include "cli/slo_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/text_file.h"
#include "cli/command_line.h"
#include "cli/url_fetch.h"
#include "http/server.h"
#include "support/temporary_folder.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  int exit_code = 0;
  std::string out, err;
};

Outcome RunSlo(std::vector<std::string> arguments) {
  std::istringstream in;
  std::ostringstream out, err;
  Console console{.in = in, .out = out, .err = err};
  arguments.insert(arguments.begin(), "slo");
  const int exit_code = RunCommandLine(arguments, console);
  return {exit_code, out.str(), err.str()};
}

std::string Example() { return (SourceDir() / "deploy" / "slo.example.json").string(); }

constexpr const char* kStatus = R"({"object": "slo.status", "time": "2027-01-15T08:00:00.000Z",
  "gate": {"state": "closed", "reason": "api-a: a page fires, the error budget burns too fast"},
  "slos": [
    {"id": "api-a", "service": "api", "name": "a", "target": 0.999, "window": "30d", "min_events": 5, "total": 1000, "bad": 500,
     "budget_remaining": -499, "windows": {"1h": {"total": 10, "bad": 5, "burn_rate": 500}},
     "alerts": [{"severity": "page", "state": "firing"}, {"severity": "ticket", "state": "inactive"}]},
    {"id": "api-b", "service": "api", "name": "b", "target": 0.95, "window": "7d", "min_events": 5, "total": 1000, "bad": 5,
     "budget_remaining": 0.9, "windows": {}, "alerts": []}]})";

// A server that answers /v1/slo, and asks for a key where one is set.
class StatusServer {
 public:
  explicit StatusServer(std::string body, std::string key = "") {
    server_ = *http::Server::Start(
        {.port = 0}, [body = std::move(body), key = std::move(key)](const std::shared_ptr<const http::Request>& request,
                                                                    const std::shared_ptr<http::Exchange>& exchange) {
          const bool is_known = request->path == "/v1/slo";
          const bool may_ask = key.empty() || request->Header("authorization") == "Bearer " + key;
          exchange->Send({.status = !is_known ? 404 : may_ask ? 200 : 401, .body = body});
        });
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

 private:
  std::unique_ptr<http::Server> server_;
};

TEST(SloCommand, Rules_ArePrintedOrWrittenIntoAFolder) {
  const Outcome printed = RunSlo({"rules", Example()});
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("slo:sli_error:ratio_rate5m"));
  const TemporaryFolder folder;
  const std::string target = (folder.path() / "a" / "b").string();
  EXPECT_EQ(RunSlo({"rules", Example(), "-o", target, "--webhook", "http://h/x"}).exit_code, 0);
  EXPECT_EQ(*ReadTextFile(target + "/slo.rules.yml"), printed.out);
  EXPECT_THAT(*ReadTextFile(target + "/alertmanager.yml"), HasSubstr("http://h/x"));
}

TEST(SloCommand, Rules_NameWhatTheyLeaveOut) {
  const Outcome outcome = RunSlo({"rules", Example(), "--source", "gateway"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("none of the objectives can be counted by these metrics"));
}

TEST(SloCommand, Mistakes_AreOneLineWithTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("slo.json", R"({"slo": {"service": "x"}})").string();
  const Outcome outcome = RunSlo({"lint", path});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "autoglm: " + path + ": slo.objective is required\n");
}

TEST(SloCommand, Lint_PrintsTimesAndFailsOnWhatCannotFire) {
  const Outcome well = RunSlo({"lint", Example()});
  EXPECT_EQ(well.exit_code, 0);
  EXPECT_THAT(well.out, AllOf(HasSubstr("user-api-latency-p95-300ms-interactive: 95 % in 30 days"), HasSubstr("10 min 0 s")));
  const TemporaryFolder folder;
  const std::string path =
      folder.Write("slo.json", R"({"slo": {"service": "x", "objective": "90th_percentile_latency", "target": 1, "unit": "s"}})")
          .string();
  const Outcome bad = RunSlo({"lint", path, "--standard-factors"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.out,
              AllOf(HasSubstr("never"), HasSubstr("error: x-latency-p90-1000ms: the page of 14.4x over 1h can never fire")));
  EXPECT_THAT(RunSlo({"lint", path, "--json"}).out, StartsWith("{\"objectives\":"));
}

TEST(SloCommand, Lint_ReadsMetricsFromAFile) {
  const TemporaryFolder folder;
  const std::string metrics =
      folder.Write("metrics", "autoglm_e2e_request_latency_seconds_bucket{slo_class=\"interactive\",le=\"0.25\"} 1\n").string();
  const Outcome outcome = RunSlo({"lint", Example(), "--metrics", metrics});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("has no bucket le=\"0.3\""));
}

TEST(SloCommand, Status_IsATableOfWhatTheServerSays) {
  const StatusServer server(kStatus, "sk-1");
  const Outcome outcome = RunSlo({"status", "--url", server.url() + "/", "--key", "sk-1"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("api-a      99.9 %  30d     500 / 1000  -49900.0 %   500.00   -        page\n"),
                                 HasSubstr("gate closed: api-a: a page fires")));
  EXPECT_THAT(RunSlo({"status", "--url", server.url(), "--key", "no"}).err, HasSubstr("answers 401"));
}

TEST(SloCommand, Gate_ExitsByWhatIsKnown) {
  const StatusServer server(kStatus);
  const Outcome closed = RunSlo({"gate", "--url", server.url()});
  EXPECT_EQ(closed.exit_code, 1);
  EXPECT_EQ(closed.out, "closed: api-a: a page fires, the error budget burns too fast\n");
  EXPECT_EQ(RunSlo({"gate", "--url", server.url(), "--objective", "a"}).exit_code, 1);
  EXPECT_EQ(RunSlo({"gate", "--url", server.url(), "--objective", "api-b"}).exit_code, 0);
  EXPECT_EQ(RunSlo({"gate", "--url", server.url(), "--objective", "c"}).exit_code, 3);
  const StatusServer nonsense("<html>");
  EXPECT_EQ(RunSlo({"gate", "--url", nonsense.url()}).exit_code, 3);
  const Outcome nobody = RunSlo({"gate", "--url", "http://127.0.0.1:1"});
  EXPECT_EQ(nobody.exit_code, 3);
  EXPECT_THAT(nobody.out, StartsWith("unknown: http://127.0.0.1:1/v1/slo: "));
  EXPECT_EQ(RunSlo({"gate", "--prometheus", "http://127.0.0.1:1", Example()}).exit_code, 3);
}

TEST(SloCommand, OpenSlo_GoesThereAndBack) {
  const Outcome there = RunSlo({"openslo", Example()});
  ASSERT_EQ(there.exit_code, 0) << there.err;
  const TemporaryFolder folder;
  const std::string yaml = folder.Write("slo.yaml", there.out).string();
  const Outcome back = RunSlo({"openslo", yaml, "--to-json"});
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(back.out, RunSlo({"openslo", Example(), "--to-json"}).out);
}

TEST(UrlFetch, Urls_AreCheckedAndEncoded) {
  EXPECT_EQ(FetchUrl({.url = "nonsense"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PercentEncoded("a b{c=\"d\"}"), "a%20b%7Bc%3D%22d%22%7D");
}

}  // namespace
}  // namespace autoglm
