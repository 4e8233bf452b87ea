"""Objectives from end to end: requests go wrong, somebody is called; they go right again, the call is taken back."""
import json
import threading
import time

import pytest
from alerting import AlertingChain, shrink_windows
from prometheus_process import Exporter, WebhookReceiver
from serving import wait_until

# As Sloth would write it for "95 % of first tokens within 250 ms"; a minute is a second here.
RECORDING = """
      - record: slo:sli_error:ratio_rate{window}
        expr: |
          1 - sum(rate(autoglm_time_to_first_token_seconds_bucket{{le="0.25"}}[{window}]))
            / sum(rate(autoglm_time_to_first_token_seconds_count[{window}]))
        labels: {{sloth_id: chat-ttft, sloth_service: chat, sloth_slo: ttft, sloth_window: {window}}}
"""
RULES = f"""
groups:
  - name: sloth-slo-sli-recordings-chat-ttft
    rules: {"".join(RECORDING.format(window=window) for window in ("5m", "30m", "1h", "6h"))}
  - name: sloth-slo-alerts-chat-ttft
    rules:
      - alert: ChatFirstToken
        expr: |
          (max(slo:sli_error:ratio_rate5m{{sloth_id="chat-ttft"}} > (14.4 * 0.05)) without (sloth_window)
           and max(slo:sli_error:ratio_rate1h{{sloth_id="chat-ttft"}} > (14.4 * 0.05)) without (sloth_window))
          or
          (max(slo:sli_error:ratio_rate30m{{sloth_id="chat-ttft"}} > (6 * 0.05)) without (sloth_window)
           and max(slo:sli_error:ratio_rate6h{{sloth_id="chat-ttft"}} > (6 * 0.05)) without (sloth_window))
        labels: {{sloth_severity: page}}
        annotations: {{summary: first tokens are late, runbook_url: "file:docs/runbooks/first-token.md"}}
"""


class Requests:
    """Ten requests a second whose first tokens come in time, or late."""

    def __init__(self):
        self.are_late = False
        self._good = self._all = 0
        self._lock = threading.Lock()
        self._last = time.monotonic()

    def text(self):
        name = "autoglm_time_to_first_token_seconds"
        with self._lock:
            now = time.monotonic()
            new = int((now - self._last) * 10)
            self._last += new / 10
            self._all += new
            self._good += 0 if self.are_late else new
            return (f'# TYPE {name} histogram\n{name}_bucket{{model_name="m",le="0.25"}} {self._good}\n{name}_bucket{{model_name="m",le="+Inf"}} {self._all}\n'
                    f'{name}_sum{{model_name="m"}} {self._all * 0.2}\n{name}_count{{model_name="m"}} {self._all}\n# EOF\n')


@pytest.fixture
def requests():
    return Requests()


@pytest.fixture
def start_alerting(tmp_path, requests):
    """start_alerting(rules folder) -> AlertingChain over what `requests` says, as job autoglm."""
    with Exporter(requests.text) as exporter:
        chains = []

        def start(rules_folder, **more_targets):
            chains.append(AlertingChain(tmp_path / f"chain{len(chains)}", rules_folder, {"autoglm": [exporter.address]} | more_targets))
            return chains[-1]

        yield start
        for chain in chains:
            chain.stop()


@pytest.fixture
def rules_folder(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "chat.yml").write_text(shrink_windows(RULES, 60))
    return folder


def test_windows_shrink_and_names_stay():
    rules = "record: slo:sli_error:ratio_rate1h\nexpr: rate(x[1h]) / rate(y[5m]) / sum_over_time(z[30d])"
    assert shrink_windows(rules, 60) == "record: slo:sli_error:ratio_rate1h\nexpr: rate(x[60s]) / rate(y[5s]) / sum_over_time(z[43200s])"
    assert shrink_windows("rate(x[5m])", 1000) == "rate(x[3s])"


def test_late_first_tokens_call_somebody_once_and_are_called_off(start_alerting, rules_folder, requests):
    chain = start_alerting(rules_folder)
    receiver, labels = chain.receiver, {"alertname": "ChatFirstToken", "sloth_severity": "page", "sloth_slo": "ttft"}
    assert wait_until(lambda: chain.prometheus.query("slo:sli_error:ratio_rate5m") and
                      chain.prometheus.query("slo:sli_error:ratio_rate5m")[0][1] == pytest.approx(0, abs=1e-9), 15)
    assert receiver.messages == []
    receiver.refuse_next = 1  # the tool is away for a moment: nothing may be lost
    requests.are_late = True
    assert wait_until(lambda: receiver.alerts("firing", **labels), 30), chain.prometheus.alerts()
    requests.are_late = False
    assert wait_until(lambda: receiver.alerts("resolved", **labels), 30), chain.prometheus.alerts()
    assert receiver.refuse_next == 0
    firing, resolved = receiver.alerts("firing", **labels), receiver.alerts("resolved", **labels)
    assert len({(alert["fingerprint"], alert["startsAt"]) for alert in firing + resolved}) == 1
    message = receiver.messages[0]
    assert message["version"] == "4" and message["groupLabels"].items() <= firing[0]["labels"].items()
    assert firing[0]["annotations"]["runbook_url"] and resolved[0]["endsAt"] > resolved[0]["startsAt"]


def test_requests_in_time_call_nobody(start_alerting, rules_folder):
    chain = start_alerting(rules_folder)
    assert wait_until(lambda: chain.prometheus.query("slo:sli_error:ratio_rate5m"), 15)
    time.sleep(3)
    assert chain.prometheus.alerts() == [] and chain.receiver.messages == []


OBJECTIVES = {"slo": {"service": "chat", "name": "answers", "objective": "availability", "target": 99, "unit": "percent", "min_events": 3}}


def test_a_server_that_fails_its_objective_calls_somebody_both_ways(autoglm, start_server, tmp_path):
    """Generated rules over a real server by way of Prometheus and Alertmanager, and the server's own evaluator beside them."""
    objectives, rules = tmp_path / "slo.json", tmp_path / "rules"
    objectives.write_text(json.dumps(OBJECTIVES))
    generated = autoglm("slo", "rules", str(objectives), "-o", str(rules))
    assert generated.returncode == 0, generated.stderr
    for file in rules.glob("*.yml"):
        file.write_text(shrink_windows(file.read_text(), 60))
    for other in [file for file in rules.iterdir() if "alertmanager" in file.name]:
        other.unlink()  # the chain has its own
    with WebhookReceiver() as own:
        server = start_server("--slo", str(objectives), "--alert-webhook", own.url)
        chat = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
        stop, failing = threading.Event(), threading.Event()

        def ask():
            while not stop.wait(0.1):
                server.request("POST", "/v1/chat/completions", chat, {"x-request-timeout": "0.000001"} if failing.is_set() else {})

        client = threading.Thread(target=ask)
        client.start()
        try:
            with AlertingChain(tmp_path / "chain", rules, {"autoglm": [f"{server.host}:{server.port}"]}) as chain:
                assert wait_until(lambda: chain.prometheus.query("slo:sli_error:ratio_rate5m"), 30)
                page = {"sloth_severity": "page", "sloth_slo": "answers"}
                failing.set()
                assert wait_until(lambda: chain.receiver.alerts("firing", **page), 60), chain.prometheus.alerts()
                assert wait_until(lambda: own.alerts("firing", **page), 30), own.messages
                gate = autoglm("slo", "gate", "--url", server.url)
                assert gate.returncode == 1 and "answers" in gate.stdout, (gate.stdout, gate.stderr)
                status = json.loads(server.request("GET", "/v1/slo")[2])
                assert status["gate"]["state"] == "closed"
                failing.clear()
                assert wait_until(lambda: chain.receiver.alerts("resolved", **page), 90), chain.prometheus.alerts()
        finally:
            stop.set()
            client.join()
