#include "cli/metric_view.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

using std::chrono::seconds;

MetricView::Time At(int s) { return MetricView::Time{} + seconds(100 + s); }

TEST(MetricViewTest, RatesAreOfTheTimeBetween) {
  MetricView view;
  view.Take("a_total{x=\"1\"} 10\na_total{x=\"2\"} 100\n", At(0));
  EXPECT_FALSE(view.has_interval());
  view.Take("a_total{x=\"1\"} 30\na_total{x=\"2\"} 100\n", At(4));
  EXPECT_DOUBLE_EQ(view.Rate("a_total"), 5);
  EXPECT_DOUBLE_EQ(view.Rate("a_total", {{"x", "2"}}), 0);
  EXPECT_DOUBLE_EQ(view.Value("a_total"), 130);
  view.Take("a_total{x=\"1\"} 8\n", At(6));  // began anew
  EXPECT_DOUBLE_EQ(view.Rate("a_total", {{"x", "1"}}), 4);
  EXPECT_EQ(view.LabelValues("a_total", "x"), std::vector<std::string>{"1"});
}

TEST(MetricViewTest, QuantilesAreOfWhatWasObservedSince) {
  const auto text = [](int fast, int slow) {
    return "h_bucket{le=\"0.1\"} " + std::to_string(fast) + "\nh_bucket{le=\"1.0\"} " + std::to_string(fast + slow) +
           "\nh_bucket{le=\"+Inf\"} " + std::to_string(fast + slow) + "\n";
  };
  MetricView view;
  view.Take(text(1000, 0), At(0));
  view.Take(text(1000, 0), At(1));
  EXPECT_FALSE(view.Quantile(0.5, "h"));
  view.Take(text(1000, 10), At(2));
  EXPECT_NEAR(*view.Quantile(0.5, "h"), 0.55, 1e-9) << "the thousand before do not count";
}

}  // namespace
}  // namespace autoglm
