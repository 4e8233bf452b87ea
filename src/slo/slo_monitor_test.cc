#include "slo/slo_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/temporary_folder.h"

namespace autoglm::slo {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const WallTime kStart = WallTime(seconds(1'800'000'000));

constexpr const char* kLatency =
    R"({"slo": {"service": "api", "objective": "95th_percentile_latency", "target": 300, "unit": "ms"}})";
constexpr const char* kAvailability =
    R"({"slo": {"service": "api", "objective": "availability", "target": 99.9, "unit": "percent"}})";

SloFile File(const std::string& text) {
  Result<SloFile> file = ParseSloFile(text, "slo.json");
  EXPECT_TRUE(file) << file.error().message;
  return *std::move(file);
}

SloEvent Answer(milliseconds latency, int status = 200) {
  return {.path = "/v1/chat/completions",
          .model = "llama",
          .slo_class = "interactive",
          .tenant = "acme",
          .status = status,
          .latency = latency,
          .time_to_first_token = latency / 2};
}

class SloMonitorTest : public testing::Test {
 protected:
  void Watch(const std::string& text) {
    monitor_.emplace(File(text), clock_, kStart);
    monitor_->SetOnTransition([this](const AlertTransition& transition) { transitions_.push_back(transition); });
  }
  // One request a second for this long.
  void Serve(seconds time, const SloEvent& event) {
    for (int64_t i = 0; i < time.count(); ++i) {
      monitor_->Observe(event);
      clock_.Advance(seconds(1));
    }
  }
  ObjectiveStatus Only() { return monitor_->Evaluate().objectives.front(); }
  bool IsPaging() { return Only().IsFiring(Severity::kPage); }
  GateStatus::State Gate() { return monitor_->Evaluate().gate.state; }

  ManualClock clock_;
  std::optional<SloMonitor> monitor_;
  std::vector<AlertTransition> transitions_;
};

TEST_F(SloMonitorTest, Observe_TellsWhetherAnObjectiveWasMissed) {
  Watch(kLatency);
  EXPECT_FALSE(monitor_->Observe(Answer(milliseconds(300))));
  EXPECT_TRUE(monitor_->Observe(Answer(milliseconds(301))));
  EXPECT_TRUE(monitor_->Observe(Answer(milliseconds(10), 503)));
  EXPECT_FALSE(monitor_->Observe(Answer(milliseconds(900), 499)));
  EXPECT_FALSE(monitor_->Observe(Answer(milliseconds(900), 400)));
  EXPECT_FALSE(monitor_->Observe({.path = "/v1/models", .latency = seconds(9)}));
  EXPECT_EQ(Only().counts, (EventCounts{3, 2}));
}

TEST_F(SloMonitorTest, Selections_DecideWhoseRequestsCount) {
  const auto counts_with = [this](const std::string& fields) {
    Watch(R"({"slo": {"service": "api", "objective": "95th_percentile_first_screen", "target": 1, "unit": "s", )" + fields +
          "}}");
    monitor_->Observe(Answer(milliseconds(3000)));
    return Only().counts.bad;
  };
  EXPECT_EQ(counts_with(R"("model": "ll*")"), 1);
  EXPECT_EQ(counts_with(R"("model": "gpt")"), 0);
  EXPECT_EQ(counts_with(R"("class": "interactive")"), 1);
  EXPECT_EQ(counts_with(R"("class": "batch")"), 0);
  EXPECT_EQ(counts_with(R"("tenant": "acme")"), 1);
  EXPECT_EQ(counts_with(R"("tenant": "other")"), 0);
  EXPECT_EQ(counts_with(R"("path": "/v1/chat/*")"), 1);
  EXPECT_EQ(counts_with(R"("route": "chat")"), 0);
}

TEST_F(SloMonitorTest, Availability_IsAboutTheApi) {
  Watch(kAvailability);
  monitor_->Observe({.path = "/health", .status = 503});
  monitor_->Observe({.path = "/v1/models", .status = 500});
  monitor_->Observe({.path = "/v1/models", .status = 404});
  monitor_->Observe({.path = "/v1/models", .status = 200});
  EXPECT_EQ(Only().counts, (EventCounts{2, 1}));
}

TEST_F(SloMonitorTest, Outage_PagesAsSoonAsTheFormulaSays) {
  Watch(kAvailability);
  Serve(hours(7), Answer(milliseconds(1)));
  EXPECT_FALSE(IsPaging());
  // 14.4 * 0.001 of an hour: 52 s.
  Serve(seconds(45), Answer(milliseconds(1), 503));
  EXPECT_FALSE(IsPaging());
  Serve(seconds(15), Answer(milliseconds(1), 503));
  EXPECT_TRUE(IsPaging());
  ASSERT_GE(transitions_.size(), 1u);
  EXPECT_EQ(transitions_.back().name, "ApiAvailability999Burn");
  EXPECT_EQ(transitions_.back().labels["sloth_severity"], "page");
  EXPECT_TRUE(transitions_.back().is_firing);
}

TEST_F(SloMonitorTest, Page_EndsWithTheShortWindow) {
  Watch(kAvailability);
  Serve(hours(1), Answer(milliseconds(1)));
  Serve(minutes(2), Answer(milliseconds(1), 503));
  ASSERT_TRUE(IsPaging());
  Serve(minutes(6), Answer(milliseconds(1)));
  EXPECT_TRUE(IsPaging());  // by the rule of 6 hours, whose short window is 30 minutes
  Serve(minutes(31), Answer(milliseconds(1)));
  EXPECT_FALSE(IsPaging());
  ASSERT_GE(transitions_.size(), 2u);
  const AlertTransition& last = transitions_.back();
  EXPECT_FALSE(last.is_firing);
  EXPECT_EQ(last.starts_at, transitions_[0].starts_at);
  EXPECT_GT(last.ends_at, last.starts_at);
}

TEST_F(SloMonitorTest, OneBadOfThree_PagesNobodyAndClosesNothing) {
  Watch(kAvailability);
  monitor_->Observe(Answer(milliseconds(1)));
  monitor_->Observe(Answer(milliseconds(1), 500));
  monitor_->Observe(Answer(milliseconds(1)));
  EXPECT_FALSE(IsPaging());
  EXPECT_FALSE(Only().IsFiring(Severity::kTicket));
  EXPECT_LT(Only().budget_remaining, 0);
  EXPECT_EQ(Gate(), GateStatus::State::kOpen);
  EXPECT_THAT(transitions_, IsEmpty());
}

TEST_F(SloMonitorTest, ChanceAtLowTraffic_DoesNotPageWhereShareAndNumberWould) {
  Watch(R"({"slo": {"service": "api", "objective": "90th_percentile_latency", "target": 300, "unit": "ms", "min_events": 2}})");
  // 3 of 10 where 1 of 10 may be: 7 % by chance.
  for (int i = 0; i < 7; ++i) monitor_->Observe(Answer(milliseconds(1)));
  for (int i = 0; i < 3; ++i) monitor_->Observe(Answer(milliseconds(900)));
  EXPECT_FALSE(IsPaging());
  for (int i = 0; i < 14; ++i) monitor_->Observe(Answer(milliseconds(1)));
  for (int i = 0; i < 8; ++i) monitor_->Observe(Answer(milliseconds(900)));
  EXPECT_TRUE(IsPaging());
}

TEST_F(SloMonitorTest, Gate_ClosesWhileAPageFiresAndWhenTheBudgetIsGone) {
  Watch(kAvailability);
  EXPECT_EQ(Gate(), GateStatus::State::kOpen);
  Serve(minutes(2), Answer(milliseconds(1), 503));
  EXPECT_EQ(Gate(), GateStatus::State::kClosed);
  EXPECT_THAT(monitor_->Evaluate().gate.reason, HasSubstr("api-availability-99-9: a page fires"));
  clock_.Advance(hours(10));
  EXPECT_FALSE(IsPaging());
  EXPECT_EQ(Gate(), GateStatus::State::kClosed);
  EXPECT_THAT(monitor_->Evaluate().gate.reason, HasSubstr("of the error budget of 30 days are left"));
  clock_.Advance(hours(24 * 31));
  EXPECT_EQ(Gate(), GateStatus::State::kOpen);
}

TEST_F(SloMonitorTest, IgnoredObjectives_LeaveTheGateOpen) {
  Watch(R"({"slo": {"service": "api", "objective": "availability", "target": 99.9, "unit": "percent"},
            "gate": {"ignore": ["availability-99-9"]}})");
  Serve(minutes(2), Answer(milliseconds(1), 503));
  EXPECT_TRUE(IsPaging());
  EXPECT_EQ(Gate(), GateStatus::State::kOpen);
}

TEST_F(SloMonitorTest, Restart_KeepsTheBudgetAndWhatFires) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "slo-state.json";
  Watch(kAvailability);
  Serve(minutes(10), Answer(milliseconds(1)));
  Serve(minutes(2), Answer(milliseconds(1), 503));
  const SloStatus before = monitor_->Evaluate();
  ASSERT_TRUE(monitor_->Save(path));

  transitions_.clear();
  ManualClock clock;
  SloMonitor again(File(kAvailability), clock, before.time);
  again.SetOnTransition([this](const AlertTransition& transition) { transitions_.push_back(transition); });
  ASSERT_TRUE(again.Load(path));
  const ObjectiveStatus after = again.Evaluate().objectives.front();
  EXPECT_EQ(after.counts, before.objectives[0].counts);
  EXPECT_EQ(after.budget_remaining, before.objectives[0].budget_remaining);
  EXPECT_TRUE(after.IsFiring(Severity::kPage));
  EXPECT_THAT(transitions_, IsEmpty()) << "an alert that goes on does not begin";
}

TEST_F(SloMonitorTest, AnObjectiveThatCountsSomethingElse_BeginsAnew) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "slo-state.json";
  Watch(kLatency);
  Serve(minutes(10), Answer(milliseconds(900)));
  ASSERT_TRUE(monitor_->Save(path));
  Watch(
      R"({"slo": {"service": "api", "name": "latency-p95-300ms", "objective": "95th_percentile_latency", "target": 1, "unit": "s"}})");
  ASSERT_TRUE(monitor_->Load(path));
  EXPECT_EQ(Only().counts.total, 0);
}

TEST_F(SloMonitorTest, ABrokenStateFile_IsAnErrorThatChangesNothing) {
  const TemporaryFolder folder;
  Watch(kLatency);
  monitor_->Observe(Answer(milliseconds(1)));
  EXPECT_EQ(monitor_->Load(folder.path() / "none").error().code, ErrorCode::kNotFound);
  for (const char* text :
       {"", "{}", "[1]", R"({"version": 1})", R"({"version": 9, "objectives": []})", R"({"version": 1, "objectives": [3]})"}) {
    const Status loaded = monitor_->Load(folder.Write("state", text));
    ASSERT_FALSE(loaded) << text;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(loaded.error().message, HasSubstr((folder.path() / "state").string()));
  }
  EXPECT_EQ(Only().counts.total, 1);
}

TEST_F(SloMonitorTest, StatusJson_ReadsBackAsTheStatus) {
  Watch(kAvailability);
  Serve(minutes(2), Answer(milliseconds(1), 503));
  const SloStatus status = monitor_->Evaluate();
  const Result<SloStatus> read = StatusFromJson(*ParseJson(monitor_->StatusJson()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->gate.state, GateStatus::State::kClosed);
  EXPECT_EQ(read->gate.reason, status.gate.reason);
  ASSERT_EQ(read->objectives.size(), 1u);
  EXPECT_EQ(read->objectives[0].counts, status.objectives[0].counts);
  EXPECT_EQ(read->objectives[0].budget_remaining, status.objectives[0].budget_remaining);
  EXPECT_EQ(read->objectives[0].windows.size(), 8u);
  EXPECT_TRUE(read->objectives[0].IsFiring(Severity::kPage));
}

TEST_F(SloMonitorTest, RawQueries_AreNotCountedAndSaySo) {
  Watch(
      R"({"slo": {"service": "s", "objective": "ratio", "target": 0.99, "unit": "ratio", "good_query": "g", "total_query": "t"}})");
  EXPECT_FALSE(monitor_->Observe(Answer(seconds(99), 500)));
  EXPECT_THAT(Only().unknown, HasSubstr("Prometheus"));
  EXPECT_EQ(Gate(), GateStatus::State::kOpen);
}

TEST_F(SloMonitorTest, ManyThreads_LoseNoEvent) {
  Watch(kLatency);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int k = 0; k < 5000; ++k) monitor_->Observe(Answer(milliseconds(k % 2 == 0 ? 1 : 900)));
    });
  }
  for (int i = 0; i < 20; ++i) {
    monitor_->Evaluate();
    EXPECT_THAT(monitor_->StatusJson(), HasSubstr("slo.status"));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Only().counts, (EventCounts{20'000, 10'000}));
}

TEST(WebhookBody, HasAlertmanagersShape) {
  Objective objective{.service = "api", .name = "x", .target = 0.99, .runbook_url = "https://r/1", .team = "core"};
  const AlertTransition page = TransitionOf(objective, {Severity::kPage, true, kStart}, kStart);
  const AlertTransition ticket = TransitionOf(objective, {Severity::kTicket, false, kStart + hours(1)}, kStart);
  const std::vector<AlertTransition> alerts = {page, ticket};
  const Json body = WebhookBody(alerts, "autoglm", "http://127.0.0.1:8080");
  EXPECT_EQ(body["version"], "4");
  EXPECT_EQ(body["status"], "firing");
  EXPECT_EQ(body["receiver"], "autoglm");
  EXPECT_EQ(body["truncatedAlerts"], 0);
  EXPECT_EQ(body["groupKey"], "{}:{alertname=\"ApiXBurn\", sloth_id=\"api-x\", sloth_service=\"api\"}");
  EXPECT_EQ(body["commonLabels"]["team"], "core");
  EXPECT_FALSE(body["commonLabels"].contains("severity"));
  EXPECT_EQ(body["commonAnnotations"]["runbook_url"], "https://r/1");
  ASSERT_EQ(body["alerts"].size(), 2u);
  EXPECT_EQ(body["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(body["alerts"][0]["startsAt"], "2027-01-15T08:00:00.000Z");
  EXPECT_EQ(body["alerts"][1]["status"], "resolved");
  EXPECT_EQ(body["alerts"][1]["endsAt"], "2027-01-15T09:00:00.000Z");
  EXPECT_EQ(body["alerts"][0]["fingerprint"].get<std::string>().size(), 16u);
  EXPECT_NE(body["alerts"][0]["fingerprint"], body["alerts"][1]["fingerprint"]);
  const Json one = WebhookBody(std::span(&ticket, 1), "autoglm", "");
  EXPECT_EQ(one["status"], "resolved");
}

}  // namespace
}  // namespace autoglm::slo
