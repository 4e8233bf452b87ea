"""The boards of deploy/monitoring, tried with a real Prometheus on numbers that are known in advance, and on real processes."""
import json
import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boards
import metric_tables
import pytest
import recording
import yaml
from gateway_process import Gateway
from prometheus_process import Exporter, NodeExporter, Prometheus
from serving import wait_until

FOLDER = Path(__file__).resolve().parents[2] / "deploy/monitoring"
BOARDS = ["overview", "engine", "gateway", "slo", "cache", "nodes"]


@pytest.fixture(scope="module")
def node_exposition(tmp_path_factory):
    with NodeExporter(tmp_path_factory.mktemp("node")) as exporter:
        return exporter.get("/metrics")[1]


@pytest.fixture(scope="module")
def named():
    """Every metric that a board asks for, without the endings of histograms."""
    return {metric for target in boards.targets() for metric, _, _ in boards.selectors(target.expr)}


@pytest.fixture(scope="module")
def known(node_exposition):
    """{name: (type, labels)} of everything that somebody exports or a rule makes."""
    return metric_tables.ours() | metric_tables.node(node_exposition)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, node_exposition, named):
    """A Prometheus that remembers recording.py."""
    folder = tmp_path_factory.mktemp("recorded")
    node = {name: described for name, described in metric_tables.node(node_exposition).items()
            if name in named or name == "node_uname_info"}
    data = recording.write_blocks(folder, node)
    (folder / "prometheus.yml").write_text("{}")
    with Prometheus(folder, folder / "prometheus.yml", data) as prometheus:
        yield prometheus


# The boards as files

def test_the_committed_boards_are_what_the_generator_writes(tmp_path):
    subprocess.run([sys.executable, str(FOLDER / "generate.py"), str(tmp_path)], check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in boards.FOLDER.iterdir()) == sorted(f"{b}.json" for b in BOARDS)
    for path in tmp_path.iterdir():
        assert path.read_text() == (boards.FOLDER / path.name).read_text(), f"{path.name}: run deploy/monitoring/generate.py"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_a_place_a_unit_and_a_question(name):
    board = boards.load(name)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, f"{panel['title']} overlaps"
        taken |= cells
        if panel["type"] != "row":
            assert len(panel["description"]) > 15 and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
    titles = [panel["title"] for panel in boards.panels(name)]
    assert len(set(titles)) == len(titles)


def test_boards_link_to_each_other_and_only_to_boards_that_exist():
    uids = {boards.load(name)["uid"] for name in BOARDS}
    assert len(uids) == len(BOARDS)
    for name in BOARDS:
        board = boards.load(name)
        assert board["tags"] == ["autoglm"] and board["links"][0]["tags"] == ["autoglm"] and board["links"][0]["keepTime"]
        for panel in boards.panels(name):
            for link in panel["links"]:
                assert re.match(r"/d/([\w-]+)\?", link["url"])[1] in uids, link


def test_counters_and_buckets_are_never_read_without_a_rate():
    """An average since the process began, or a sum of buckets, shows last week, not now."""
    for target in boards.targets():
        for metric, _, before in boards.selectors(target.expr):
            is_counted_only = re.search(r"count by \([^)]*\) \($", before)  # how many series there are, such as processors
            if metric.endswith(("_total", "_bucket", "_sum", "_count")) and not is_counted_only:
                assert before.endswith(("rate(", "increase(")), str(target)


def test_percentiles_of_times_lead_to_traces():
    found = 0
    for name in BOARDS:
        for panel in boards.panels(name):
            of_times = panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["unit"] == "s"
            for target in panel["targets"]:
                if of_times and "histogram_quantile" in target["expr"] and panel["title"] != "Time per output token by batch":
                    assert target["exemplar"], panel["title"]
                    found += 1
    assert found >= 35
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/datasources.yaml").read_text())["datasources"]
    uids = {s["uid"] for s in source}
    links = next(s for s in source if s["type"] == "prometheus")["jsonData"]["exemplarTraceIdDestinations"]
    assert {link["datasourceUid"] for link in links} <= uids and {link["name"] for link in links} == {"trace_id"}


# The boards' queries

def test_every_metric_and_label_on_a_board_exists(known, named):
    missing = {}
    for target in boards.targets():
        for metric, labels, _ in boards.selectors(target.expr):
            base = metric if metric in known else re.sub(r"_(bucket|sum|count)$", "", metric)
            if base not in known or (base != metric and known[base][0] != "histogram"):
                missing[metric] = str(target)
            elif labels - metric_tables.LABELS_OF_SCRAPES - known[base][1]:
                missing[f"{metric} {labels}"] = str(target)
    assert not missing
    assert len(named) > 100


def test_every_metric_of_ours_is_on_a_board(named):
    on_boards = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} | named
    assert not (metric_tables.server().keys() | metric_tables.gateway().keys()) - on_boards


def choices(prometheus, name):
    """{variable: its first value} as a reader would choose from the lists of the board, from left to right."""
    chosen = {}
    for variable, _, query in boards.variables(name):
        selector, label = boards.parse_label_values(query)
        selector = boards.substitute(selector, chosen) if selector else None
        values = prometheus.label_values(label, selector, recording.START, recording.END)
        assert values, f"{name}: nothing to choose for {variable}"
        chosen[variable] = boards.chosen(values[0])
    return chosen


def answers(prometheus, target, values):
    """[(labels, value or {time: value})] of a query with values put in, over or at the end of the recording."""
    expr = boards.substitute(target.expr, values)
    if target.is_instant:
        return prometheus.query(expr, recording.END)
    return prometheus.query_range(expr, recording.START + 60, recording.END, recording.STEP)


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_finds_what_it_asks_for(recorded, name):
    for target in boards.targets(name):
        found = answers(recorded, target, boards.all_of(name))
        assert found, str(target)
        for labels, _ in found:
            assert set(re.findall(r"{{(\w+)}}", target.legend)) <= labels.keys(), str(target)


@pytest.mark.parametrize("name", BOARDS)
def test_what_a_reader_chooses_narrows_the_board_and_does_not_empty_it(recorded, name):
    values = choices(recorded, name)
    found = [len(answers(recorded, target, values)) for target in boards.targets(name)]
    everything = [len(answers(recorded, target, boards.all_of(name))) for target in boards.targets(name)]
    assert all(some <= every for some, every in zip(found, everything))
    assert sum(some > 0 for some in found) > 0.6 * len(found)


def of_panel(prometheus, board, panel):
    """{legend with values put in: value} of a panel at the end of the recording, or {legend: {time: value}} of a graph."""
    found = {}
    for target in boards.targets(board):
        if target.panel != panel:
            continue
        for labels, value in answers(prometheus, target, boards.all_of(board)):
            found[re.sub(r"{{(\w+)}}", lambda m: labels.get(m[1], ""), target.legend)] = value
    assert found, f"no {panel} on {board}"
    return found


def of_figure(prometheus, board, panel):
    (value,) = of_panel(prometheus, board, panel).values()
    return value


# From recording.py: buckets end at 0.25, 0.5, 1, 2.5; a percentile lies inside its bucket by linear interpolation.
@pytest.mark.parametrize("board, panel, expected", [
    ("overview", "Answered well", 0.9), ("overview", "Requests", 2), ("overview", "First token p95", 1 + 1.5 * 0.95),
    ("overview", "Per token p95", 0.25 + 0.25 * 0.95), ("overview", "Whole answer p95", 1 + 1.5 * 0.95), ("overview", "Least budget left", 0.4),
    ("overview", "Alerts firing", 3), ("overview", "Targets down", 1),
    ("engine", "Guesses that were right", 0.75), ("engine", "Running", 1), ("engine", "Queue p95", 0.4875),
    ("gateway", "Answered well", 0.75), ("gateway", "Requests", 2), ("gateway", "Upstreams left out", 1), ("gateway", "Attempts per request", 1.5),
    ("slo", "Least budget left", 0.4), ("slo", "Fastest burn", 2), ("slo", "Broken objectives", 0), ("slo", "Pages firing", 1),
    ("slo", "Tickets firing", 1), ("slo", "May we change things?", 0), ("cache", "Found in the cache", 0.4), ("cache", "Saved", 8),
    ("nodes", "Busiest processors", 0.4), ("nodes", "Waiting for processors", 0.2), ("nodes", "Stolen", 0.1), ("nodes", "Least memory left", 0.25),
])
def test_figures_show_the_known_number(recorded, board, panel, expected):
    assert of_figure(recorded, board, panel) == pytest.approx(expected, rel=1e-6)


def test_all_well_is_one_and_not_nothing_where_no_error_was_ever_counted(recorded):
    target = next(t for t in boards.targets("overview") if t.panel == "Answered well")
    expr = boards.substitute(target.expr.replace('path=~"/v1/.*"', 'path=~"/v1/.*", code="200"'), boards.all_of("overview"))
    assert recorded.query(expr, recording.END) == [({}, 1.0)]


def test_a_figure_says_nothing_where_nobody_asked(recorded):
    for panel in ("Answered well", "First token p95"):
        target = next(t for t in boards.targets("overview") if t.panel == panel)
        assert recorded.query(boards.substitute(target.expr, boards.all_of("overview") | {"instance": "elsewhere"}), recording.END) == []


def test_a_restart_does_not_disturb_a_rate(recorded):
    # The server's counter falls to 0 in the middle; the graph stays where it was.
    by_code = of_panel(recorded, "overview", "Answers by status")
    for code, expected in (("200", 1.8), ("503", 0.2)):
        assert len(by_code[code]) > 100
        assert all(value == pytest.approx(expected) for value in by_code[code].values()), by_code[code]
    raw = recorded.query_range('autoglm_http_requests_total{instance="one:8080", code="200"}', recording.START, recording.END, recording.STEP)[0][1]
    assert raw[recording.RESTART] > 100 * raw[recording.RESTART + recording.STEP] / 2 > 0


def test_a_restart_is_marked_on_the_time_axis(recorded):
    mark = next(t for t in boards.targets("overview") if t.panel == "annotation Restarts")
    marks = recorded.query_range(boards.substitute(mark.expr, boards.all_of("overview")), recording.START, recording.END, recording.STEP)
    assert [labels["instance"] for labels, _ in marks] == ["one:8080"]
    assert min(marks[0][1]) == recording.RESTART + recording.STEP


def test_graphs_show_the_new_latency_and_not_the_average_since_the_start(recorded):
    line = of_panel(recorded, "overview", "Time to first token")["p95"]
    assert line[recording.CHANGE] == pytest.approx(0.1 + 0.15 * 0.95)
    assert line[recording.CHANGE + 75] == pytest.approx(1 + 1.5 * 0.95), "a minute after the change the old latency must be gone"
    # What a board that divides sums by counts since the start would show instead:
    name = "autoglm_time_to_first_token_seconds"
    (_, since_start), = recorded.query(f"avg({name}_sum) / avg({name}_count)", recording.END)
    assert since_start == pytest.approx((605 * 0.2 + 600 * 2) / 1205, rel=0.3) and since_start < 1.4


def test_stages_add_up_and_what_nobody_explains_is_shown(recorded):
    seconds = {stage: line[recording.END] for stage, line in of_panel(recorded, "overview", "Seconds per request, by stage").items()}
    expected = {"queue": 0.6, "prefill": 0.3, "prefill_stall": 0.1, "decode": 0.95, "decode_stall": 0, "kv_restore": 0, "unexplained": 0.05}
    assert seconds == {stage: pytest.approx(value) for stage, value in expected.items()}
    assert sum(seconds.values()) == pytest.approx(2)  # the mean time of a request
    assert of_panel(recorded, "overview", "Server: requests in each stage")["queue"][recording.END] == pytest.approx(2 * 0.6)
    assert of_panel(recorded, "overview", "Server: p95 of stages")["queue"][recording.END] == pytest.approx(0.5 + 0.5 * 0.95)
    assert of_panel(recorded, "overview", "Time that nobody can explain")["server"][recording.END] == pytest.approx(0.025)
    assert of_panel(recorded, "engine", "Held up by others")["of prefill"][recording.END] == pytest.approx(0.25)


def test_the_sick_upstream_is_told_from_the_well_one(recorded):
    failed = of_panel(recorded, "gateway", "Share of attempts that failed")
    assert failed["left"][recording.END] == 0
    assert failed["right"][recording.END] == pytest.approx(0.5)
    breakers = of_panel(recorded, "gateway", "Circuit breakers")
    assert [breakers["right (chat)"][t] for t in (recording.CHANGE - 15, recording.CHANGE)] == [0, 1]
    assert set(breakers["left (chat)"].values()) == {0}


def test_the_board_of_objectives_knows_burn_days_and_alerts(recorded):
    burn = of_panel(recorded, "slo", "Burn rate by window")
    assert len(burn) == 8 and burn["6h"][recording.END] == pytest.approx(2)
    columns = [t for t in boards.targets("slo") if t.panel == "Objectives"]
    rows = [{labels["sloth_slo"]: value for labels, value in recorded.query(boards.substitute(t.expr, boards.all_of("slo")), recording.END)}
            for t in columns]
    assert rows == [{"ttft": 0.95, "errors": 0.99}, {"ttft": 0.4, "errors": 1}, {"ttft": pytest.approx(2), "errors": 0},
                    {"ttft": pytest.approx(0.4 * 28 / 2)}]
    states = of_panel(recorded, "slo", "Alerts")
    page = states["ttft: ChatFirstToken (page)"]
    assert [page.get(t) for t in (recording.CHANGE - 15, recording.CHANGE, recording.CHANGE + 60, recording.END)] == [None, 1, 2, 2]


def test_a_period_that_rules_do_not_name_is_thirty_days(recorded):
    target = [t for t in boards.targets("slo") if t.panel == "Objectives"][3]
    expr = boards.substitute(target.expr, boards.all_of("slo")).replace("slo:time_period:days", "slo:no_such_rule")
    assert recorded.query(expr, recording.END)[0][1] == pytest.approx(0.4 * 30 / 2)


def test_throttling_and_full_disks_show_on_the_board_of_nodes(recorded):
    assert of_panel(recorded, "nodes", "Throttled by limits")["p c"][recording.END] == pytest.approx(0.25)
    full_in = [t for t in boards.targets("nodes") if t.panel == "Room on disks"][2]
    (_, seconds), = recorded.query(boards.substitute(full_in.expr, boards.all_of("nodes")), recording.END)
    assert seconds == pytest.approx((50e9 - 1800e6) / 1e6, rel=1e-3)


# Real processes

def test_exemplars_of_a_percentile_name_their_traces(tmp_path):
    name, trace = "autoglm_time_to_first_token_seconds", "4bf92f3577b34da6a3ce929d0e0e4736"

    def text():
        count = int(time.time() * 10) % 1_000_000
        return (f'# TYPE {name} histogram\n{name}_bucket{{model_name="m",le="0.5"}} {count} # {{trace_id="{trace}"}} 0.3 {time.time():.3f}\n'
                f'{name}_bucket{{model_name="m",le="+Inf"}} {count}\n{name}_sum{{model_name="m"}} {count * 0.3}\n'
                f'{name}_count{{model_name="m"}} {count}\n# EOF\n')

    with Exporter(text) as exporter:
        config = tmp_path / "prometheus.yml"
        config.write_text(json.dumps({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [
            {"job_name": "autoglm", "static_configs": [{"targets": [exporter.address]}]}]}))
        with Prometheus(tmp_path, config) as prometheus:
            target = next(t for t in boards.targets("overview") if t.panel == "Time to first token")
            expr = boards.substitute(target.expr, boards.all_of("overview"))
            find = lambda: prometheus.api("query_exemplars", query=expr, start=time.time() - 60, end=time.time() + 1)  # noqa: E731
            assert wait_until(find, 15)
            assert find()[0]["exemplars"][0]["labels"] == {"trace_id": trace}


def test_a_real_server_and_gateway_fill_the_boards(server, binary, tmp_path):
    shutil.copytree(FOLDER / "prometheus", tmp_path / "prometheus")
    config = yaml.safe_load((tmp_path / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    (tmp_path / "prometheus/prometheus.yml").write_text(yaml.safe_dump(config))
    gateway = Gateway(binary, tmp_path, f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nroutes: [{{name: main, upstreams: ['{server.url}']}}]\n")
    try:
        with NodeExporter(tmp_path / "node") as node:
            addresses = {"autoglm": f"{server.host}:{server.port}", "autoglm-gateway": f"127.0.0.1:{gateway.admin_port}", "node": node.address}
            for name in ("alertmanager", "prometheus"):
                (tmp_path / f"prometheus/targets/{name}.yml").write_text("[]")
            for name, address in addresses.items():
                (tmp_path / f"prometheus/targets/{name}.yml").write_text(json.dumps([{"targets": [address]}]))
            with Prometheus(tmp_path / "run", tmp_path / "prometheus/prometheus.yml") as prometheus:
                check_live_boards(prometheus, gateway, addresses)
    finally:
        gateway.stop()


def check_live_boards(prometheus, gateway, addresses):
    body = {"model": "default", "messages": [{"role": "user", "content": "Count to ten."}], "max_tokens": 8, "temperature": 0}
    assert wait_until(lambda: sum(value for _, value in prometheus.query("up")) == 3, 15)
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        status, _, _ = gateway.post("/v1/chat/completions", body)
        assert status == 200
    exported = set(prometheus.label_values("__name__")) | {"ALERTS"}
    of_gateway = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported if name.startswith("autoglm_gw_")}
    assert of_gateway <= metric_tables.gateway().keys(), "docs/gateway.md must list every metric"
    values, asked = boards.all_of("overview"), []
    for target in boards.targets("overview"):
        if target.panel.startswith("annotation") or not {metric for metric, _, _ in boards.selectors(target.expr)} <= exported:
            continue
        found = prometheus.query(boards.substitute(target.expr, values, rate_interval="5s"))
        assert found or target.panel == "Firing alerts", str(target)
        assert all(math.isfinite(value) for _, value in found), str(target)
        asked.append(target.panel)
    assert len(asked) >= 20, asked

    def figure(board, panel):
        expr = next(t.expr for t in boards.targets(board) if t.panel == panel)
        (_, value), = prometheus.query(boards.substitute(expr, boards.all_of(board), rate_interval="5s"))
        return value

    assert figure("overview", "Answered well") == figure("gateway", "Answered well") == 1
    assert 0 < figure("overview", "First token p95") <= figure("overview", "Whole answer p95") < 60
    assert figure("gateway", "Attempts per request") == pytest.approx(1, rel=0.3)
    assert figure("overview", "Targets down") == figure("gateway", "Upstreams left out") == 0
    assert 0 < figure("nodes", "Least memory left") <= 1
    rules = {rule["name"] for group in prometheus.api("rules")["groups"] for rule in group["rules"] if rule["health"] == "ok"}
    assert "AutoglmTargetDown" in rules
    assert {t["labels"]["job"]: t["labels"]["instance"] for t in prometheus.api("targets")["activeTargets"]} == addresses
