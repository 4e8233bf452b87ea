"""The few shapes of PromQL that the boards are made of.

Percentiles come from rate() of buckets and ratios from rate() of counters, so a panel shows what happens in its window. An average since
the process began would hide this hour's trouble behind last week's quiet.
"""
from dataclasses import dataclass

WINDOW = "$__rate_interval"  # of graphs: Grafana takes at least four scrapes
NOW = "5m"                   # of single figures: the same whatever range the reader looks at

PROCESS = 'job=~"$job", instance=~"$instance"'
MODEL = PROCESS + ', model_name=~"$model_name"'
ROUTE = PROCESS + ', route=~"$route"'
API = PROCESS + ', path=~"/v1/.*"'
BAD_CODES = 'code=~"5..|429|0"'  # what clients notice and did not cause


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""
    exemplars: bool = False


def _by(labels):
    return f" by ({', '.join(labels)})" if labels else ""


def rate(metric, selector, by=(), window=WINDOW):
    """Events per second, restarts of the process taken into account."""
    return f"sum{_by(by)} (rate({metric}{{{selector}}}[{window}]))"


def total(metric, selector, by=()):
    return f"sum{_by(by)} ({metric}{{{selector}}})"


def quantile(q, histogram, selector, by=(), window=WINDOW):
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', selector, ('le', *by), window)})"


def quantiles(histogram, selector):
    """Three lines with exemplars: the usual, the slow and the slowest."""
    return [Query(quantile(q, histogram, selector), name, exemplars=True) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def quantile_now(q, histogram, selector):
    """One figure; nothing at all, not NaN, where nobody asked."""
    return f"{quantile(q, histogram, selector, window=NOW)} >= 0"


def share(part, whole):
    """A ratio of two sums without labels: 0 where the part has no series yet, nothing where the whole stands still."""
    return f"({part} or vector(0)) / ({whole} > 0)"


def or_zero(expr):
    return f"{expr} or vector(0)"
