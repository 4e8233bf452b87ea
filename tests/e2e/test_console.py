"""The web console: what it shows is what the API says, whatever the names in it; and it says so when it knows nothing."""
import json
import threading
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from console_page import Console, browser, dev_server, number
from gateway_process import Gateway
from serving import METRIC, wait_until

CHAT = {"model": "default", "messages": [{"role": "user", "content": "Tell me about the sea."}], "temperature": 0, "ignore_eos": True}
VIEWS = ("overview", "requests", "slo", "replicas", "cache")
HOSTILE = "<img src=x onerror=alert(1)>'\"&<script>alert(2)</script>"
SHOWN_DIGITS = 0.006  # three digits are shown


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def open_console(chromium, request):
    """Opens consoles of servers; at the end all of them must have been quiet."""
    with ExitStack() as stack:
        consoles = []

        def start(url, *arguments, **options):
            if request.config.getoption("--console-dev"):
                url = stack.enter_context(dev_server(url))
            consoles.append(Console(chromium, url, *arguments, **options))
            return consoles[-1]

        yield start
        for console in consoles:
            console.close()


@pytest.fixture
def busy_server(start_server):
    """A server of its own, and a function that sends it requests; ids are load-0, load-1, ..."""
    server = start_server()
    server.post("/v1/chat/completions", CHAT | {"max_tokens": 1})

    def load(count, **members):
        for index in range(count):
            status, _, body = server.request("POST", "/v1/chat/completions", json.dumps(CHAT | {"max_tokens": 8} | members),
                                             {"Content-Type": "application/json", "x-request-id": f"load-{index}"})
            assert status == 200, body

    server.load = load
    return server


def get(server, path, headers=None):
    status, _, body = server.request("GET", path, headers=headers)
    assert status == 200, body
    return json.loads(body)


def samples(server, name):
    """[(labels, value)] of a metric; labels are text."""
    lines = server.request("GET", "/metrics")[2].decode().splitlines()
    return [(match[2], float(match[3])) for match in map(METRIC.match, lines) if match and match[1] == name]


def quantile(before, after, q):
    """As histogram_quantile() of Prometheus, from two lists of samples of a histogram's buckets."""
    bound_of = lambda labels: float(labels.partition('le="')[2].partition('"')[0])
    old = {}
    counts = {}
    for found, into in ((before, old), (after, counts)):
        for labels, value in found:
            into[bound_of(labels)] = into.get(bound_of(labels), 0) + value
    new = sorted((bound, value - old.get(bound, 0)) for bound, value in counts.items())
    rank, lower, below = q * new[-1][1], 0.0, 0.0
    for bound, cumulative in new:
        if cumulative >= rank:
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / (cumulative - below)
        lower, below = bound, cumulative
    raise AssertionError("no bucket holds it")


def decode_seconds(server):
    return sum(value for labels, value in samples(server, "autoglm_request_stage_seconds_sum") if 'stage="decode"' in labels)


def test_overview_agrees_with_the_metrics(busy_server, open_console):
    console = open_console(busy_server.url)
    console.page.select_option("#window", "300")
    console.wait_for_text("No request ended in the window")
    buckets = "autoglm_time_to_first_token_seconds_bucket"
    before, totals_before, decode_before = samples(busy_server, buckets), busy_server.metrics(), decode_seconds(busy_server)
    busy_server.load(6)
    console.wait_for_text("6 requests, ", ".stages h2")
    for q in (0.5, 0.95, 0.99):
        shown = console.figure(f"first-p{q * 100:.0f}")
        assert shown == pytest.approx(quantile(before, samples(busy_server, buckets), q), rel=SHOWN_DIGITS)
    decode = decode_seconds(busy_server) - decode_before
    assert decode > 0
    cells = console.texts("[data-stage=decode] td")
    assert number(cells[1]) == pytest.approx(decode / 6, rel=SHOWN_DIGITS)
    assert 0 < number(cells[0]) < 1
    rate = console.figure("request-rate")
    assert rate > 0 and console.figure("error-share") == 0
    tokens = busy_server.metrics()["autoglm_generation_tokens_total"] - totals_before["autoglm_generation_tokens_total"]
    # Both are of the same window: eight tokens for each request.
    assert console.figure("tokens-out /s") / rate == pytest.approx(tokens / 6, rel=0.03)


def test_requests_and_waterfall_agree_with_their_records(busy_server, open_console):
    busy_server.load(3)
    console = open_console(busy_server.url, "requests")
    console.page.wait_for_selector("text=load-2")
    records = {record["id"]: record for record in get(busy_server, "/v1/requests?limit=200")["data"]}
    for index in range(3):
        row = console.page.locator("tbody tr", has_text=f"load-{index}")
        assert number(row.locator(".total").inner_text()) == pytest.approx(records[f"load-{index}"]["total_ns"] / 1e9, rel=SHOWN_DIGITS)
        assert row.locator(".tokens").inner_text() == f"{records[f'load-{index}']['prompt_tokens']} → 8"
        assert row.locator(".bar > i").count() == len(records[f"load-{index}"]["stages_ns"])

    console.page.click("text=load-1")
    console.page.wait_for_selector("[data-view=request] .waterfall")
    record = get(busy_server, "/v1/requests/load-1/timing")
    lanes = console.page.locator(".waterfall .lane[data-stage]")
    assert [lanes.nth(i).get_attribute("data-stage") for i in range(lanes.count())] == [span["stage"] for span in record["spans"]]
    for stage, ns in record["stages_ns"].items():
        shown = console.text(f"table.stages tr[data-stage={stage}] td")
        assert number(shown) == pytest.approx(ns / 1e9, rel=SHOWN_DIGITS, abs=1e-9)
    assert console.figure("total") == pytest.approx(record["total_ns"] / 1e9, rel=SHOWN_DIGITS)
    assert "The stages add up to the total" in console.text("table.stages + .note")

    console.page.click(".facts a:has-text('show')")
    console.page.wait_for_selector("[data-view=trace] .lane")
    assert console.texts("[data-view=trace] .lane a") == ["load-1"]


def test_filters_stand_in_the_address_and_hold(busy_server, open_console):
    busy_server.load(2)
    busy_server.post("/v1/chat/completions", CHAT | {"max_tokens": -1})
    console = open_console(busy_server.url, "requests?show=failed")
    console.wait_for("document.querySelectorAll('.requests tbody tr').length === 1")
    assert console.text(".status").startswith("400")
    console.page.select_option("select[name=show]", "recent")
    console.page.wait_for_selector("text=load-1")
    console.page.fill("input[name=min_ms]", "9000000")
    console.page.press("input[name=min_ms]", "Enter")
    console.wait_for("document.querySelectorAll('.requests tbody tr').length === 0")
    assert console.page.url.endswith("#requests?min_ms=9000000")


def test_running_request_is_shown_with_the_stage_it_is_in(busy_server, open_console):
    console = open_console(busy_server.url, "requests?show=active")
    thread = threading.Thread(target=busy_server.load, args=(1,), kwargs={"max_tokens": 1500})
    thread.start()
    try:
        # The page looks once in a while; it is decoding for by far the longest time.
        console.wait_for("document.querySelector('.requests .status.is-active')?.innerText === 'decode'")
        assert console.texts(".requests .name") == ["load-0"]
        active = {record["id"]: record for record in get(busy_server, "/v1/requests?active=1")["data"]}
        assert active["load-0"]["state"] == "decode"
    finally:
        thread.join()
    console.wait_for("document.querySelectorAll('.requests tbody tr').length === 0")


def test_replicas_of_a_server_are_its_models(busy_server, open_console):
    console = open_console(busy_server.url, "replicas")
    model = get(busy_server, "/v1/models")["data"][0]
    row = console.page.locator(f"tr[data-model='{model['id']}']")
    row.wait_for()
    assert row.locator(".status").inner_text() == model["state"] == "loaded"
    assert number(row.locator("td").nth(7).inner_text()) == pytest.approx(model["memory_bytes"], rel=SHOWN_DIGITS)


def test_cache_view_agrees_with_the_server_or_says_that_it_tells_nothing(busy_server, open_console):
    busy_server.load(2)
    console = open_console(busy_server.url, "cache")
    status, _, body = busy_server.request("GET", "/v1/cache")
    if status == 404:
        console.wait_for_text("does not tell what its cache holds")
        return
    console.page.wait_for_selector(".tile")
    caches = json.loads(body)
    cache = caches if "model" in caches else caches["data"][0]
    assert console.page.locator(".tile").count() == min(len(cache["prefixes"]), 200)
    assert f"{cache['blocks_total']:,} in all" in console.text("[data-cache] h2")
    assert console.page.locator("[data-tier]").count() == len(cache["tiers"])


SLO = {"object": "slo.status", "gate": {"state": "closed", "reason": "chat-first: a page fires"}, "slos": [
    {"id": "chat-first", "service": "chat", "name": "first", "objective": "time to first token", "target": 0.99, "window": "30d", "threshold_seconds": 0.5,
     "runbook_url": "javascript:alert(3)", "total": 1000, "bad": 15, "error_ratio": 0.015, "budget_remaining": -0.5,
     "windows": {"1h": {"total": 100, "bad": 15, "error_ratio": 0.15, "burn_rate": 15.0}, "5m": {"total": 10, "bad": 0, "error_ratio": 0, "burn_rate": 0.0}},
     "alerts": [{"severity": "page", "state": "firing", "since": "2026-11-27T04:41:10.000Z"}]}]}


def test_objectives_are_shown_with_budget_burn_rates_alerts_and_gate(server, open_console):
    console = open_console(server.url)
    console.page.route("**/v1/slo", lambda route: route.fulfill(json=SLO))
    console.open("slo")
    console.page.wait_for_selector("[data-objective=first]")
    assert console.page.locator("[data-gate]").get_attribute("data-gate") == "closed"
    assert console.text("[data-figure=budget]") == "overspent by 50.0 %"
    assert [row.split()[0] for row in console.texts("tr[data-window]")] == ["5m", "1h"]
    assert number(console.text("tr[data-window='1h'] td")) == 15
    assert console.text(".objective .status").startswith("page: firing for ")
    assert console.page.locator(".objective a").count() == 0, "an address that is no page must not be a link"


def test_without_objectives_it_says_so(server, open_console):
    assert server.request("GET", "/v1/slo")[0] == 404
    open_console(server.url, "slo").wait_for_text("No objectives are configured")


@pytest.fixture
def gateway(binary, start_server, tmp_path):
    upstreams = [start_server(), start_server()]
    names = "".join(f"      - {{name: {name}, url: '{upstream.url}'}}\n" for name, upstream in zip("ab", upstreams))
    gateway = Gateway(binary, tmp_path, f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nkeys_database: off\nroutes:\n  - name: chat\n    upstreams:\n{names}    policy: prefix_aware\n")
    gateway.admin_url = f"http://{gateway.host}:{gateway.admin_port}"
    yield gateway
    gateway.stop()


def test_replicas_of_a_gateway_and_explanations_agree_with_its_status(gateway, open_console):
    console = open_console(gateway.admin_url, "replicas")
    console.page.wait_for_selector("tr[data-upstream=b]")
    for _ in range(4):
        assert gateway.post("/v1/chat/completions", CHAT | {"max_tokens": 4})[0] == 200
    console.wait_for("[...document.querySelectorAll('.upstreams tbody tr')].some(row => row.children[3].textContent.endsWith('%'))")
    console.wait_for("[...document.querySelectorAll('.upstreams td:nth-child(6)')].every(cell => cell.textContent === '0')")
    status = json.loads(gateway.admin("GET", "/gateway/status")[2])
    for upstream in status["routes"][0]["upstreams"]:
        row = console.page.locator(f".upstreams tr[data-upstream={upstream['name']}]")
        assert row.locator(".status").all_inner_texts() == [upstream["state"], upstream["breaker"]]
    shares = [number(console.text(f".upstreams tr[data-upstream={name}] td:nth-child(4)")) for name in "ab"]
    assert sum(shares) == pytest.approx(1, abs=0.01)

    prompt = "Tell me about the sea & its #1 storm, 100% of it."
    console.page.fill("textarea", prompt)
    console.page.click("text=Explain")
    console.page.wait_for_selector(".scores tr[data-upstream=b]")
    answer = json.loads(gateway.admin("GET", f"/gateway/explain?route=chat&prompt={quote(prompt)}")[2])
    for candidate in answer["candidates"]:
        cells = console.texts(f".scores tr[data-upstream={candidate['upstream']}] td.num")
        assert [number(cell) for cell in cells] == pytest.approx([one["score"] for one in candidate["scores"].values()] + [candidate["total"]], abs=0.01)


def with_hostile_texts(value):
    """The same, with markup in place of every text, names of stages included."""
    if isinstance(value, dict):
        return {(HOSTILE if key in ("queue", "decode") else key): with_hostile_texts(member) for key, member in value.items()}
    if isinstance(value, list):
        return [with_hostile_texts(member) for member in value]
    return HOSTILE if isinstance(value, str) else value


def test_names_that_are_markup_stay_text(binary, start_server, open_console):
    server = start_server("--served-model-name", HOSTILE[:60])
    headers = {"Content-Type": "application/json", "x-request-id": HOSTILE[:60] + "/?#%2e"}
    assert server.request("POST", "/v1/chat/completions", json.dumps(CHAT | {"model": HOSTILE[:60], "max_tokens": 2}), headers)[0] == 200
    hostile_slo = json.loads(json.dumps(SLO).replace("chat-first: a page fires", "<img src=y onerror=alert(5)>"))
    hostile_slo["slos"][0] |= {"name": HOSTILE, "description": HOSTILE, "unknown": HOSTILE, "window": HOSTILE}
    cache = {"model": HOSTILE, "block_tokens": 16, "blocks_total": 9, "blocks_used": 3, "evictable": 1, "tiers": [{"name": HOSTILE, "bytes": 1, "blocks": 1}],
             "prefixes": [{"tokens": 16, "blocks": 1, "users": 0, "last_used_s": HOSTILE}]}
    console = open_console(server.url, "requests")
    console.page.route("**/v1/slo", lambda route: route.fulfill(json=hostile_slo))
    console.page.route("**/v1/cache", lambda route: route.fulfill(json=cache))
    console.page.wait_for_selector(".requests tbody .id")
    assert console.text(".requests .name") == (HOSTILE[:60] + "/?#%2e")[:64]
    console.page.click(".requests tbody .id")
    console.page.wait_for_selector(".waterfall")
    assert HOSTILE[:20] in console.text(".head")

    record = get(server, f"/v1/requests/{quote(headers['x-request-id'], safe='')}/timing")
    lies = with_hostile_texts(record) | {"id": "liar", "state": "done", "attempts": [{"upstream": HOSTILE, "begin_us": 0, "end_us": 9, "failed": HOSTILE}]}
    console.page.route("**/v1/requests?**", lambda route: route.fulfill(json={"object": "list", "finished": 1, "active": 0, "data": [lies]}))
    console.page.route("**/v1/requests/liar/timing", lambda route: route.fulfill(json=lies))
    console.page.route("**/v1/traces/**", lambda route: route.fulfill(json={"trace_id": HOSTILE, "data": [lies]}))
    for view in (*VIEWS, "request/liar", f"trace/{HOSTILE}"):
        console.open(view)
        console.wait_for_text(HOSTILE[:20] if view != "overview" else "")
        console.page.wait_for_timeout(300)
        assert console.page.evaluate("document.querySelectorAll('main img, main script, main [onclick], main [onerror]').length") == 0


def test_server_that_is_gone_leaves_the_last_values_with_their_age(start_server, open_console):
    server = start_server()
    console = open_console(server.url)
    console.wait_for("document.getElementById('liveness').textContent === 'live' && document.querySelector(\"[data-figure='batch-running']\").textContent === '0'")
    server.stop()
    console.wait_for_text("This server does not answer", "#notice")
    assert " s old" in console.text("#notice")
    assert console.page.locator("body.stale").count() == 1
    assert console.figure("batch-running") == 0


def test_key_is_asked_for_and_kept_in_this_tab_only(autoglm, start_server, tmp_path, open_console):
    database = tmp_path / "keys.db"
    key = autoglm("keys", "create", "--name", "web", "--database", database).stdout.strip().splitlines()[-1].split()[-1]
    server = start_server("--keys-database", str(database))
    console = open_console(server.url, "requests")
    console.page.wait_for_selector("#login:visible")
    console.page.fill("#key", "wrong")
    console.page.press("#key", "Enter")
    console.wait_for_text("That key was refused", "#login-error")
    console.page.fill("#key", key)
    console.page.press("#key", "Enter")
    console.wait_for_text("finished since the start")
    assert not console.page.locator("#login").is_visible()
    assert console.page.evaluate("[localStorage.length, document.cookie, sessionStorage.length]") == [0, "", 1]
    assert not any(key in url for url in console.asked)


def test_pause_holds_the_figures(busy_server, open_console):
    console = open_console(busy_server.url)
    console.wait_for("document.getElementById('liveness').textContent === 'live'")
    console.page.click("#pause")
    console.wait_for("document.getElementById('liveness').textContent === 'paused'")
    console.page.wait_for_timeout(1500)
    num_asked = len(console.asked)
    console.page.wait_for_timeout(2500)
    assert len(console.asked) == num_asked


def test_keyboard_reaches_a_request_and_keeps_its_place(busy_server, open_console):
    busy_server.load(2)
    console = open_console(busy_server.url, "requests")
    console.page.wait_for_selector("text=load-1")
    console.page.focus("a.id:has-text('load-0')")
    busy_server.load(1)
    asked = len(console.asked)
    assert wait_until(lambda: console.page.wait_for_timeout(100) or sum("/v1/requests" in url for url in console.asked[asked:]) >= 2, 10)
    assert console.page.evaluate("document.activeElement.textContent") == "load-0"
    console.page.keyboard.press("Enter")
    console.page.wait_for_selector("[data-view=request]")
    console.page.evaluate("document.querySelector('nav a').focus()")
    for _ in VIEWS[1:]:
        console.page.keyboard.press("Tab")
    console.page.keyboard.press("Enter")
    console.page.wait_for_selector("[data-view=cache]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone(busy_server, open_console, scheme):
    busy_server.load(1)
    console = open_console(busy_server.url, width=390, height=844, color_scheme=scheme, is_mobile=True, has_touch=True)
    for view in (*VIEWS, "request/load-0"):
        console.open(view)
        console.page.wait_for_timeout(500)
        assert console.overflow() <= 0, view
