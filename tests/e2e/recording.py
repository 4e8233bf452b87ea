"""Half an hour of metrics that were never measured: every series that the boards can ask for, with numbers that are known in advance.

Two servers, a gateway and a machine, scraped every 15 s. One server is started anew in the middle; ten minutes before the end first
tokens become ten times slower.
"""
import itertools
import subprocess

import metric_tables
from prometheus_process import need

STEP = 15
START = 1_750_000_005 - 1_750_000_005 % STEP
END = START + 1800
RESTART = START + 900   # of the first server, just after this scrape
CHANGE = END - 600
TIMES = range(START, END + 1, STEP)

SERVERS = ({"job": "autoglm", "instance": "one:8080"}, {"job": "autoglm", "instance": "two:8080"})
GATEWAY = {"job": "autoglm-gateway", "instance": "gate:8001"}
NODE = {"job": "node", "instance": "one:9100"}
SLO = {"sloth_id": "chat-ttft", "sloth_service": "chat", "sloth_slo": "ttft"}
QUIET_SLO = {"sloth_id": "chat-errors", "sloth_service": "chat", "sloth_slo": "errors"}
BOUNDS = (0.01, 0.1, 0.25, 0.5, 1, 2.5, 5)

LABEL_VALUES = {
    "model_name": ["small"], "path": ["/v1/chat/completions"], "code": ["200", "503"], "finished_reason": ["stop", "length"], "step": ["max_tokens"],
    "route": ["chat"], "upstream": ["left", "right"], "reason": ["connect"], "outcome": ["won", "ok"], "type": ["input", "output"],
    "kind": ["limit"], "fault": ["slow"], "stage": ["queue", "prefill", "prefill_stall", "decode", "decode_stall", "kv_restore", "unexplained"],
    "slo_class": ["interactive"], "tenant": ["red", "blue"], "exporter": ["zipkin"], "slo": ["chat-ttft"], "version": ["1.0"],
    "device": ["sda"], "mountpoint": ["/"], "fstype": ["ext4"], "mode": ["user", "idle", "steal"], "cpu": ["0", "1"], "core": ["0"], "package": ["0"],
    "pod": ["p"], "container": ["c"],
}

# Of counters: events a second. The first line that fits a series holds; without one it is 1.
RATES = [
    ("autoglm_http_requests_total", {"code": "503"}, 0.1), ("autoglm_http_requests_total", {"code": "200"}, 0.9),
    ("autoglm_spec_decode_num_draft_tokens_total", {}, 4), ("autoglm_spec_decode_num_accepted_tokens_total", {}, 3),
    ("autoglm_prefix_cache_queries_total", {}, 10), ("autoglm_prefix_cache_hits_total", {}, 4),
    ("autoglm_gw_http_requests_total", {"code": "503"}, 0.5), ("autoglm_gw_http_requests_total", {"code": "200"}, 1.5),
    ("autoglm_gw_upstream_requests_total", {"upstream": "left", "code": "503"}, None),  # it never failed: there is no such series
    ("node_cpu_seconds_total", {"mode": "idle"}, 0.6), ("node_cpu_seconds_total", {"mode": "user"}, 0.3), ("node_cpu_seconds_total", {"mode": "steal"}, 0.1),
    ("container_cpu_cfs_throttled_periods_total", {}, 2.5), ("container_cpu_cfs_periods_total", {}, 10),
    ("node_pressure_cpu_waiting_seconds_total", {}, 0.2),
]
# Of gauges: their value, or a function of the time.
VALUES = [
    ("autoglm_gw_cb_state", {"upstream": "right"}, lambda t: 1 if t >= CHANGE else 0), ("autoglm_gw_cb_state", {}, 0),
    ("autoglm_gw_upstream_available", {"upstream": "right"}, lambda t: 0 if t >= CHANGE else 1), ("autoglm_gw_upstream_available", {}, 1),
    ("autoglm_slo_gate_open", {}, 0), ("process_start_time_seconds", {"instance": "one:8080"}, lambda t: RESTART + 1 if t > RESTART else START - 600),
    ("process_start_time_seconds", {}, START - 600), ("node_filesystem_avail_bytes", {}, lambda t: 50e9 - 1e6 * (t - START)),
    ("node_filesystem_size_bytes", {}, 100e9), ("node_memory_MemTotal_bytes", {}, 16e9), ("node_memory_MemAvailable_bytes", {}, 4e9),
    ("up", {"instance": "gate:8001"}, lambda t: 0 if t == END else 1), ("up", {}, 1),
]
# Of histograms: (events a second, what each one measures).
OBSERVATIONS = [
    ("autoglm_time_to_first_token_seconds", {}, lambda t: (1, 2) if t > CHANGE else (1, 0.2)),
    ("autoglm_e2e_request_latency_seconds", {}, (1, 2)),
    ("autoglm_request_stage_seconds", {"stage": "queue"}, (1, 0.6)), ("autoglm_request_stage_seconds", {"stage": "prefill"}, (1, 0.3)),
    ("autoglm_request_stage_seconds", {"stage": "prefill_stall"}, (1, 0.1)), ("autoglm_request_stage_seconds", {"stage": "decode"}, (1, 0.95)),
    ("autoglm_request_stage_seconds", {"stage": "unexplained"}, (1, 0.05)), ("autoglm_request_stage_seconds", {}, (0, 0)),
]


def _find(table, name, labels, default):
    for known, some, value in table:
        if known == name and some.items() <= labels.items():
            return value
    return default


def _at(value, t):
    return value(t) if callable(value) else value


def _text(labels):
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _labels_of(names, base):
    names = sorted(names - base.keys())
    for values in itertools.product(*(LABEL_VALUES.get(name, ["any"]) for name in names)):
        yield base | dict(zip(names, values))


class Recording:
    """The lines of one OpenMetrics file."""

    def __init__(self):
        self.series = {}  # name and labels -> [(time, value)]

    def gauge(self, name, labels):
        value = _find(VALUES, name, labels, 0.5)
        self.series[name + _text(labels)] = [(t, _at(value, t)) for t in TIMES]

    def _cumulative(self, key, labels, per_second):
        total, points = 0.0, []
        for t in TIMES:
            if labels.get("instance") == SERVERS[0]["instance"] and t == RESTART + STEP:
                total = 0.0
            total += STEP * per_second(t)
            points.append((t, total))
        self.series[key] = points

    def counter(self, name, labels):
        events = _find(RATES, name, labels, 1)
        if events is not None:
            self._cumulative(name + _text(labels), labels, lambda t: events)

    def histogram(self, name, labels):
        seen = _find(OBSERVATIONS, name, labels, (1, 0.4))
        for bound in (*BOUNDS, float("inf")):
            le = "+Inf" if bound == float("inf") else str(bound)
            self._cumulative(f"{name}_bucket{_text(labels | {'le': le})}", labels,
                             lambda t, bound=bound: _at(seen, t)[0] if _at(seen, t)[1] <= bound else 0)
        self._cumulative(f"{name}_sum{_text(labels)}", labels, lambda t: _at(seen, t)[0] * _at(seen, t)[1])
        self._cumulative(f"{name}_count{_text(labels)}", labels, lambda t: _at(seen, t)[0])

    def process(self, metrics, base):
        """Everything that one process exports."""
        for name, (kind, label_names) in metrics.items():
            for labels in _labels_of(label_names, base):
                getattr(self, kind)(name, labels)
        self.gauge("up", base)

    def objective(self, slo, *, budget, remaining, error, period_days=None):
        points = lambda value: [(t, value) for t in TIMES]  # noqa: E731
        for name in metric_tables.RULES:
            if window := name.partition("ratio_rate")[2]:
                self.series[name + _text(slo | {"sloth_window": window})] = points(error)
        for name, value in (("objective:ratio", 1 - budget), ("error_budget:ratio", budget), ("current_burn_rate:ratio", error / budget),
                            ("period_error_budget_remaining:ratio", remaining), ("time_period:days", period_days)):
            if value is not None:
                self.series[f"slo:{name}{_text(slo)}"] = points(value)

    def alert(self, name, labels, pending_from, firing_from):
        for state, begin, end in (("pending", pending_from, firing_from - STEP), ("firing", firing_from, END)):
            labels = labels | {"alertname": name, "alertstate": state}
            self.series["ALERTS" + _text(labels)] = [(t, 1) for t in TIMES if begin <= t <= end]

    def text(self):
        # Samples of a name must stand together.
        keys = sorted(self.series, key=lambda key: key.partition("{")[0])
        return "".join(f"{key} {value} {t}\n" for key in keys for t, value in self.series[key]) + "# EOF\n"


def make(node_metrics):
    recording = Recording()
    for server in SERVERS:
        recording.process(metric_tables.server(), server)
    recording.process(metric_tables.gateway(), GATEWAY)
    # node-exporter says untyped where it does not know; those that the boards use count upwards.
    recording.process({name: ("counter" if kind == "untyped" else kind, labels) for name, (kind, labels) in node_metrics.items()}, NODE)
    recording.objective(SLO, budget=0.05, remaining=0.4, error=0.1, period_days=28)
    recording.objective(QUIET_SLO, budget=0.01, remaining=1, error=0)
    recording.alert("ChatFirstToken", SLO | {"sloth_severity": "page"}, CHANGE, CHANGE + 60)
    recording.alert("ChatFirstTokenSlow", SLO | {"sloth_severity": "ticket"}, CHANGE, CHANGE + 300)
    recording.alert("AutoglmBreakerOpen", GATEWAY | {"upstream": "right", "severity": "ticket"}, CHANGE, CHANGE + 300)
    return recording


def write_blocks(folder, node_metrics):
    """A data folder of Prometheus."""
    text = folder / "recording.txt"
    text.write_text(make(node_metrics).text())
    done = subprocess.run([need("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "data"
