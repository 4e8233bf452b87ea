"""Rules of `autoglm slo rules` in the hands of promtool: when alerts begin and end, over histories of requests."""
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from slo_cases import FIRST_TOKEN, LATENCY, MODEL, SERIES, SPECS, firing, histogram, requests, run_promtool

DAY = 1440


@pytest.fixture(scope="session")
def objective_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slo")
    for name, (fields, _) in SPECS.items():
        (folder / f"{name}.json").write_text(json.dumps({"slo": {"service": "api", "name": "o", **fields}}))
    return folder


@pytest.fixture(scope="session")
def rule_files(binary, objective_files):
    """The rules of every objective, checked by promtool."""
    for name, (_, flags) in SPECS.items():
        rules = subprocess.run([binary, "slo", "rules", objective_files / f"{name}.json", *flags], capture_output=True, text=True, check=True)
        (objective_files / f"{name}.yml").write_text(rules.stdout)
    files = [str(objective_files / f"{name}.yml") for name in SPECS]
    checked = subprocess.run(["promtool", "check", "rules", *files], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return {name: objective_files / f"{name}.yml" for name in SPECS}


@pytest.fixture
def judge(rule_files, tmp_path):
    """judge("p95", series or phases, [(minute, query, value)]) fails with what promtool says."""

    def run(name, history, checks, step=1):
        series = history if history and isinstance(history[0], dict) else SERIES[name](history, step)
        complaints = run_promtool(tmp_path, rule_files[name], series, checks, step)
        assert not complaints, complaints

    return run


def lint(binary, objective_files, name):
    flags = [flag for flag in SPECS[name][1] if flag == "--standard-factors"]
    report = subprocess.run([binary, "slo", "lint", objective_files / f"{name}.json", "--json", *flags], capture_output=True, text=True)
    return json.loads(report.stdout)["objectives"][0]["rules"]


def detection(rules, severity):
    times = [rule["detects_outage_seconds"] for rule in rules if rule["severity"] == severity]
    return min(time for time in times if time is not None) / 60


@pytest.mark.parametrize("name", [n for n in SPECS if n != "one-event"])
def test_total_outage_pages_when_lint_says_so(binary, objective_files, judge, name):
    """Seven hours without a failure, then nothing but failures."""
    healthy, step = 7 * 60, 2
    expected = detection(lint(binary, objective_files, name), "page")
    phases = [(healthy, 60, 0), ((int(expected) + 20) // 2 * 2, 60, 60)]
    checks = [(healthy - 2, firing("page"), 0), (healthy + int(expected * 1.1) + 4, firing("page"), 1)]
    if expected > 3:
        checks.append((healthy + int(expected * 0.85), firing("page"), 0))
    judge(name, phases, checks, step)


@pytest.mark.parametrize("name", ["p95", "nines", "screen", "gateway", "raw"])
def test_page_ends_with_the_short_windows(judge, name):
    """Half an hour of failures; the longer of the pages' short windows is half an hour too."""
    phases = [(120, 60, 0), (30, 60, 60), (40, 60, 0)]
    judge(name, phases, [(148, firing("page"), 1), (152, firing("page"), 1), (120 + 30 + 33, firing("page"), 0)])


# The budget times this, from the start, and who is told within the hour: all windows begin with it.
BURN_RATES = [
    ("nines", 0.9, 0, 0), ("nines", 1.2, 0, 1), ("nines", 2.5, 0, 1), ("nines", 5, 0, 1), ("nines", 7, 1, 1), ("nines", 16, 1, 1),
    ("p99", 0.9, 0, 0), ("p99", 1.2, 0, 1), ("p99", 5, 0, 1), ("p99", 7, 1, 1), ("p99", 16, 1, 1),
    ("p95", 0.9, 0, 0), ("p95", 1.2, 0, 1), ("p95", 2, 0, 1), ("p95", 2.4, 1, 1), ("p95", 4, 1, 1),
    ("p90", 0.9, 0, 0), ("p90", 1.2, 0, 1), ("p90", 1.5, 0, 1), ("p90", 1.7, 1, 1), ("p90", 5, 1, 1),
    ("p95-standard", 2.4, 0, 1), ("p95-standard", 7, 1, 1), ("p90-standard", 5, 0, 1), ("p90-standard", 8, 1, 1),
    ("nines-28d", 5.3, 0, 1), ("nines-28d", 6, 1, 1),
]
BUDGETS = {"nines": 0.001, "nines-28d": 0.001, "p99": 0.01, "p95": 0.05, "p95-standard": 0.05, "p90": 0.1, "p90-standard": 0.1}


@pytest.mark.parametrize("name,burn,pages,tickets", BURN_RATES)
def test_steady_burn(judge, name, burn, pages, tickets):
    bad = round(10_000 * BUDGETS[name] * burn, 6)
    judge(name, [(50, 10_000, bad)], [(48, firing("page"), pages), (48, firing("ticket"), tickets)])


@pytest.mark.parametrize("window,minutes", [("5m", 5), ("30m", 30), ("1h", 60), ("2h", 120), ("6h", 360), ("1d", DAY), ("3d", 3 * DAY)])
def test_each_window_holds_its_own_time(judge, window, minutes):
    """A tenth of the requests failed, in the window's last half alone."""
    step = 1 if minutes <= 60 else 2
    half = minutes // 2
    ratio = f'sum(slo:sli_error:ratio_rate{window}{{sloth_slo="o"}})'
    before = minutes + 10
    expected = 0.1 * half / minutes
    judge("p95", [(before, 100, 0), (half + 4, 100, 10)],
          [(before - 2, ratio, 0), (before + half, f"{ratio} > bool {expected - 0.01}", 1), (before + half, f"{ratio} < bool {expected + 0.01}", 1)], step)


def test_a_page_of_the_long_rule_alone(judge):
    """Seven times the budget is below 14.4, above 6."""
    judge("nines", [(400, 10_000, 0), (360, 10_000, 70)], [(400 + 250, firing("page"), 0), (400 + 340, firing("page"), 1)], step=2)


def test_tickets_need_their_share_of_days(judge):
    """1.5 times the budget: after two of three days, because there was nothing before."""
    judge("nines", [(3 * DAY + 60, 10_000, 0), (3 * DAY, 10_000, 15)],
          [(3 * DAY + 60 + int(1.7 * DAY), firing("ticket"), 0), (3 * DAY + 60 + int(2.3 * DAY), firing("ticket"), 1),
           (3 * DAY + 60 + int(2.3 * DAY), firing("page"), 0)], step=2)


@pytest.mark.parametrize("name", ["nines", "p95", "gateway-p95"])
def test_no_series_no_alert(judge, name):
    judge(name, [{"series": "other", "values": "0x100"}],
          [(90, firing("page"), 0), (90, firing("ticket"), 0), (90, firing("warning"), 0), (90, "count(slo:sli_error:ratio_rate5m)", None)])


@pytest.mark.parametrize("name", ["nines", "p95"])
def test_series_that_end_end_the_alert(judge, name):
    judge(name, [(60, 60, 0), (30, 60, 60), (90, None, None)], [(89, firing("page"), 1), (89 + 40, firing("page"), 0)])


@pytest.mark.parametrize("name", ["nines", "p95"])
def test_no_traffic_is_no_failure(judge, name):
    judge(name, [(60, 60, 0), (60, 0, 0)], [(110, firing("page"), 0), (110, "count(slo:sli_error:ratio_rate5m)", None)])


# (bad, of all) within ten minutes and nothing else, and whether somebody is paged.
LOW_TRAFFIC = [("nines", 1, 3, 0), ("nines", 3, 3, 0), ("nines", 4, 4, 0), ("nines", 6, 6, 1), ("nines", 6, 100, 1),
               ("p95", 1, 3, 0), ("p95", 4, 4, 0), ("p95", 7, 8, 1), ("p90", 3, 3, 0), ("one-event", 2, 3, 1)]


@pytest.mark.parametrize("name,bad,total,pages", LOW_TRAFFIC)
def test_low_traffic(judge, name, bad, total, pages):
    """They come in one minute of an otherwise silent hour."""
    judge(name, [(60, 0, 0), (1, total, bad), (10, 0, 0)], [(63, firing("page"), pages), (63, firing("ticket"), pages)])


@pytest.mark.parametrize("name", ["nines", "p95"])
def test_a_restart_is_no_failure(judge, name):
    judge(name, [(60, 60, 0), (0, "reset", 0), (60, 60, 0), (0, "reset", 0), (60, 60, 0)],
          [(minute, firing(severity), 0) for minute in (59, 62, 70, 122, 179) for severity in ("page", "ticket")])


@pytest.mark.parametrize("name", ["nines", "p95"])
def test_a_restart_does_not_end_an_outage(judge, name):
    judge(name, [(60, 60, 0), (20, 60, 60), (0, "reset", 0), (20, 60, 60)], [(79, firing("page"), 1), (83, firing("page"), 1), (99, firing("page"), 1)])


@pytest.mark.parametrize("le,pages", [("1", 1), ("1.0", 1), ("0.9", 0), ("1.1", 0), ("10", 0), ("110", 0)])
def test_the_bucket_is_found_in_both_spellings_and_no_other(judge, le, pages):
    judge("p90", histogram(LATENCY, MODEL, le, [(60, 60, 0), (40, 60, 60)], 1), [(95, firing("page"), pages)])


@pytest.mark.parametrize("le", ["300", "300.0"])
def test_whole_seconds_of_background_jobs(judge, le):
    judge("batch", histogram(LATENCY, 'model_name="m",slo_class="batch"', le, [(60, 60, 0), (40, 60, 60)], 1), [(95, firing("page"), 1)])


@pytest.mark.parametrize("name,series", [
    ("batch", histogram(LATENCY, MODEL, "300", [(60, 60, 0), (40, 60, 60)], 1)),
    ("screen", histogram(FIRST_TOKEN, 'model_name="m",slo_class="batch"', "1.5", [(60, 60, 0), (40, 60, 60)], 1)),
    ("screen", histogram(LATENCY, MODEL, "1.5", [(60, 60, 0), (40, 60, 60)], 1)),
    ("p95-model", histogram(LATENCY, 'model_name="other",slo_class="interactive"', "0.3", [(60, 60, 0), (40, 60, 60)], 1)),
    ("payment", requests([(60, 60, 0), (40, 60, 60)], 1)),
    ("nines", requests([(60, 60, 0), (40, 60, 60)], 1, labels='path="/health"')),
    ("nines", requests([(60, 60, 0), (40, 60, 60)], 1, bad_code=404)),
    ("nines", requests([(60, 60, 0), (40, 60, 60)], 1, bad_code=429)),
    ("nines", requests([(60, 60, 0), (40, 60, 60)], 1, bad_code=499)),
    ("gateway", requests([(60, 60, 0), (40, 60, 60)], 1, "autoglm_gw_http_requests_total", 'route="other"')),
])
def test_what_is_not_its_business_fires_nothing(judge, name, series):
    judge(name, series, [(95, firing("page"), 0), (95, firing("ticket"), 0)])


@pytest.mark.parametrize("code", [408, 500, 502, 504])
def test_failures_are_these_codes_too(judge, code):
    judge("nines", requests([(60, 60, 0), (20, 60, 60)], 1, bad_code=code), [(75, firing("page"), 1)])


def test_refusals_of_clients_do_not_dilute_failures(judge):
    series = requests([(60, 60, 0), (60, 60, 1)], 1) + [
        {"series": 'autoglm_http_requests_total{path="/v1/chat/completions",code="401"}', "values": "0+6000x120"}]
    judge("nines", series, [(115, firing("page"), 1)])


def test_high_latency_waits_five_minutes(judge):
    """One request in ten is slow: the percentile 95 is above its target."""
    judge("p95", [(60, 60, 0), (30, 60, 6)], [(59, firing("warning"), 0), (62, firing("warning"), 0), (75, firing("warning"), 1)])


def test_high_latency_is_seen_below_higher_buckets_too(judge):
    phases = [(60, 60, 0), (30, 60, 6)]
    series = histogram(LATENCY, MODEL, "0.3", phases, 1) + histogram(LATENCY, MODEL, "5", [(90, 60, 0)], 1)[1:2]
    judge("p95", series, [(62, firing("warning"), 0), (75, firing("warning"), 1)])


def test_high_latency_of_few_requests_warns_nobody(judge):
    judge("p95", [(60, 0, 0), (30, 0.2, 0.2)], [(80, firing("warning"), 0)])


def test_latency_just_within_its_target_warns_nobody(judge):
    judge("p95", [(90, 100, 5)], [(80, firing("warning"), 0), (80, firing("page"), 0), (80, firing("ticket"), 0)])


def test_the_budget_counts_requests_and_not_minutes(judge):
    """An hour with 10,000 good requests a minute, an hour with ten bad ones: 0.1 % of all, not half of the time."""
    remaining = 'sum(slo:period_error_budget_remaining:ratio{sloth_slo="o"})'
    judge("nines", [(60, 10_000, 0), (60, 10, 10)], [(119, f"{remaining} > bool -0.1", 1), (119, f"{remaining} < bool 0.1", 1),
                                                     (59, f"{remaining}", 1)])


def test_recordings_are_sloths(judge):
    judge("nines", [(60, 1000, 1)], [
        (50, 'sum(slo:objective:ratio{sloth_id="api-o",sloth_service="api",sloth_slo="o"})', 0.999),
        (50, "sum(slo:error_budget:ratio)", 0.001), (50, "sum(slo:time_period:days)", 30),
        (50, "round(sum(slo:current_burn_rate:ratio), 0.01)", 1), (50, "round(sum(slo:period_burn_rate:ratio), 0.01)", 1),
        (50, 'count(sloth_slo_info{sloth_objective="99.9"})', 1)])


def test_the_example_is_good_rules_and_configuration(binary, tmp_path):
    example = Path(__file__).resolve().parents[2] / "deploy/slo.example.json"
    subprocess.run([binary, "slo", "rules", example, "-o", tmp_path, "--webhook", "http://127.0.0.1:9/hook"], check=True)
    subprocess.run(["promtool", "check", "rules", tmp_path / "slo.rules.yml"], check=True)
    subprocess.run(["amtool", "check-config", tmp_path / "alertmanager.yml"], check=True)


# Labels of an alert, and which receiver gets it.
ROUTES = [("severity=page sloth_id=a", "page"), ("severity=ticket sloth_id=a", "ticket"), ("severity=warning sloth_id=a", "warning"),
          ("severity=page", "page"), ("severity=other", "ticket"), ("alertname=x", "ticket"), ("severity=page owner=payments team=x", "page")]


@pytest.mark.parametrize("labels,receiver", ROUTES)
def test_routes(alertmanager_config, labels, receiver):
    routed = subprocess.run(["amtool", "config", "routes", "test", f"--config.file={alertmanager_config}", f"--verify.receivers={receiver}",
                             *labels.split()], capture_output=True, text=True)
    assert routed.returncode == 0, routed.stdout + routed.stderr


@pytest.fixture(scope="session")
def alertmanager_config(binary, objective_files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alertmanager")
    subprocess.run([binary, "slo", "rules", objective_files / "p95.json", "-o", folder, "--webhook", "http://127.0.0.1:9/hook"], check=True)
    return folder / "alertmanager.yml"


@pytest.fixture(scope="session")
def alertmanager(alertmanager_config, tmp_path_factory):
    """The URL of Debian's own Alertmanager with our configuration."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(["prometheus-alertmanager", f"--config.file={alertmanager_config}", f"--web.listen-address=127.0.0.1:{port}",
                                "--cluster.listen-address=", f"--storage.path={tmp_path_factory.mktemp('storage')}"], stderr=subprocess.DEVNULL)
    wait_for(lambda: get_json(f"{url}/api/v2/status"))
    yield url
    process.terminate()
    process.wait(timeout=30)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get_json(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return None


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


# Labels of the alerts that fire, and the severities of those kept back.
INHIBITION = [
    ([("page", "i1"), ("ticket", "i1"), ("warning", "i1")], {"ticket", "warning"}),
    ([("page", "i2"), ("ticket", "i3")], set()),
    ([("ticket", "i4"), ("warning", "i4")], set()),
    ([("page", None), ("ticket", None)], set()),
]


@pytest.mark.parametrize("alerts,kept_back", INHIBITION)
def test_a_page_keeps_back_the_ticket_of_its_objective(alertmanager, alerts, kept_back):
    """Alerts without sloth_id are somebody else's: none keeps back another."""
    test = "".join(f"{severity}{objective}" for severity, objective in alerts)
    body = [{"labels": {"alertname": "Burn", "test": test, "severity": severity, **({"sloth_id": objective} if objective else {})}}
            for severity, objective in alerts]
    request = urllib.request.Request(f"{alertmanager}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()

    def settled():
        found = [alert for alert in get_json(f"{alertmanager}/api/v2/alerts") or [] if alert["labels"]["test"] == test]
        is_known = len(found) == len(alerts) and all(alert["status"]["state"] != "unprocessed" for alert in found)
        suppressed = {alert["labels"]["severity"] for alert in found if alert["status"]["inhibitedBy"]}
        return is_known and (suppressed == kept_back)

    wait_for(settled)
