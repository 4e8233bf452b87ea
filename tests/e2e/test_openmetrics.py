"""What /metrics says, read by Prometheus' own Python client, under load and with names that want to break it."""
import concurrent.futures
import json
import math
import os
import re
import time

import metric_tables
import pytest
from gateway_process import Gateway, need_tracing
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from recording_upstream import RecordingUpstream

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
HOSTILE = ('quote " backslash \\ brace } comma , equals =', "line\nbreak\\n", "# EOF", "ünïcödé \u2028 🐟", 'x"} 1\nautoglm_made_up_total 7')
HOSTILE_TENANTS = [b'a"b\\c', b"}{,=#", b"# EOF", "naïve".encode(), b"t" * 300, b"tab\there", b"line\nbreak", b"\xff\xfe no text"]
MAX_EXEMPLAR = 128  # characters of label names and values together


def scrape(get, accept):
    status, headers, body = get("/metrics", {"Accept": accept})
    assert status == 200
    return headers["content-type"], body.decode("utf-8")


def bounds(samples):
    """{labels without le: [(le, sample)] in order}"""
    series = {}
    for sample in samples:
        if sample.name.endswith("_bucket"):
            key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            series.setdefault(key, []).append((float(sample.labels["le"]), sample))
    return series


def check_openmetrics(text):
    """The families, and how many exemplars there are."""
    assert text.endswith("\n# EOF\n") and text.count("\n# EOF\n") == 1
    families = list(parse_openmetrics(text))
    assert len({family.name for family in families}) == len(families)
    num_exemplars = 0
    for family in families:
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family.name
        seen = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(set(seen)) == len(seen), f"a series of {family.name} is there twice"
        for series in bounds(family.samples).values():
            num_exemplars += check_buckets(family, series)
    return families, num_exemplars


def check_buckets(family, series):
    assert [bound for bound, _ in series] == sorted({bound for bound, _ in series}) and series[-1][0] == math.inf
    counts = [sample.value for _, sample in series]
    assert counts == sorted(counts), family.name
    num_exemplars = 0
    for place, (bound, sample) in enumerate(series):
        # "1.0", not "1": a bound has one spelling.
        assert sample.labels["le"] == "+Inf" or re.search(r"[.e]", sample.labels["le"]), sample
        exemplar = sample.exemplar
        if exemplar is None:
            continue
        num_exemplars += 1
        below = series[place - 1][0] if place else -math.inf
        assert below < exemplar.value <= bound, f"{family.name}: {exemplar.value} is not within {below} to {bound}"
        assert re.fullmatch("[0-9a-f]{32}", exemplar.labels["trace_id"]) and float(exemplar.timestamp) > 1.7e9
        assert sum(len(name) + len(value) for name, value in exemplar.labels.items()) <= MAX_EXEMPLAR
        assert sample.value > (series[place - 1][1].value if place else 0), "an exemplar of a bucket that nothing fell into"
    return num_exemplars


def series_of(families):
    """Of both formats, with bounds as numbers: le="1" is le="1.0"."""
    return {(sample.name, tuple(sorted((name, float(value) if name == "le" else value) for name, value in sample.labels.items())))
            for family in families for sample in family.samples}


def check_both(get, known):
    content_type, text = scrape(get, OPENMETRICS)
    assert content_type == OPENMETRICS
    families, num_exemplars = check_openmetrics(text)
    content_type, plain = scrape(get, "text/plain")
    assert content_type.startswith("text/plain; version=0.0.4") and "# {" not in plain and "# EOF\n" not in plain.splitlines()[-1:]
    both = list(parse_text(plain))
    missing = series_of(families) - series_of(both)
    assert not missing, f"only in OpenMetrics: {list(missing)[:5]}"
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert not known or {name for name in names if not name.startswith("vllm:")} <= known, names - known
    kinds = {family.name: family.type for family in both}
    assert all(kinds[family.name] == family.type for family in families)
    return families, num_exemplars


def check_counters_never_fall(before, after):
    known = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in before if family.type != "gauge" for sample in family.samples}
    for family in after:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert sample.value >= known.pop(key, 0), key
    assert not known, "a series has gone"


def getter(server):
    return lambda path, headers: server.request("GET", path, headers=headers)


def chat(server, i, model="default", **headers):
    body = {"model": model, "messages": [{"role": "user", "content": f"Say {i}"}], "max_tokens": 1 + i % 5, "stream": i % 2 == 0, "ignore_eos": True}
    return server.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json", **headers})[0]


@pytest.mark.parametrize("names", ["autoglm", "vllm"])
def test_parsers_accept_what_a_server_says_under_load(start_server, names):
    server = start_server("--metrics-names", names, "--otlp", "http://127.0.0.1:1", "--zipkin", "http://127.0.0.1:1")
    known = set(metric_tables.server())
    before, _ = check_both(getter(server), known)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(chat, server, i) for i in range(40)]
        while not all(one.done() for one in running):
            time.sleep(0.1)
            after, num_exemplars = check_both(getter(server), known)
            check_counters_never_fall(before, after)
            before = after
    assert {one.result() for one in running} == {200}
    after, num_exemplars = check_both(getter(server), known)
    assert num_exemplars >= 5
    check_counters_never_fall(before, after)
    e2e = next(family for family in after if family.name == "autoglm_e2e_request_latency_seconds")
    assert sum(sample.value for sample in e2e.samples if sample.name.endswith("_count")) == 40
    if names == "vllm":
        vllm = {family.name for family in after if family.name.startswith("vllm:")}
        assert {"vllm:time_to_first_token_seconds", "vllm:e2e_request_latency_seconds", "vllm:num_requests_running", "vllm:num_requests_waiting"} <= vllm


def test_an_exemplar_leads_to_the_record_of_its_request(start_server):
    server = start_server()
    chat(server, 3)
    families, _ = check_both(getter(server), None)
    traces = {sample.exemplar.labels["trace_id"] for family in families for sample in family.samples if sample.exemplar}
    assert len(traces) == 1
    status, _, body = server.request("GET", f"/v1/traces/{traces.pop()}")
    assert status == 200 and json.loads(body)["data"][0]["route"] == "/v1/chat/completions"


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("names", ["autoglm", "vllm"])
def test_no_name_of_a_model_breaks_out_of_its_label(start_server, name, names):
    try:
        server = start_server("--served-model-name", name, "--metrics-names", names)
    except RuntimeError as error:
        assert "served-model-name" in str(error) or "name" in str(error), "what it does not take it refuses with a reason"
        return
    assert chat(server, 1, model=name) == 200
    families, num_exemplars = check_both(getter(server), None)
    assert num_exemplars and "autoglm_made_up" not in {family.name for family in families}
    values = {sample.labels["model_name"] for family in families for sample in family.samples if "model_name" in sample.labels}
    assert values == {name}


def test_no_name_of_a_tenant_breaks_out_of_its_label(autoglm, tmp_path, start_server):
    database, accepted = tmp_path / "keys.db", {}
    for i, tenant in enumerate(HOSTILE_TENANTS):
        # As bytes: not all of them are text.
        made = autoglm("keys", "create", "--name", f"key-{i}", "--database", database, "--tenant", os.fsdecode(tenant))
        assert made.returncode == 0 or "tenant" in made.stderr, made.stderr
        if made.returncode == 0:
            accepted[tenant] = made.stdout.strip()
    server = start_server("--keys-database", str(database))
    for i, (tenant, key) in enumerate(accepted.items()):
        assert chat(server, i, Authorization=f"Bearer {key}") == 200, tenant
    families, _ = check_both(getter(server), set(metric_tables.server()))
    tenants = {sample.labels["tenant"] for family in families for sample in family.samples if "tenant" in sample.labels}
    assert len(accepted) >= 4 and {tenant.decode("utf-8", errors="replace") for tenant in accepted} <= tenants


def test_no_header_of_a_client_breaks_the_exposition(start_server):
    server = start_server()
    for i, text in enumerate(HOSTILE_TENANTS):
        chat(server, i, **{"x-autoglm-tenant": text.replace(b"\n", b" ")})
        chat(server, i, **{"x-slo-class": text.replace(b"\n", b" ")})
        chat(server, i, **{"x-request-id": text.replace(b"\n", b" "), "traceparent": text.replace(b"\n", b" ")})
        chat(server, i, model=text.decode("utf-8", errors="replace"))
        server.request("GET", "/v1/nothing/%22%0A%7D")
    check_both(getter(server), set(metric_tables.server()))
    assert server.request("GET", "/v1/requests?limit=1000")[0] == 200


def test_tenants_that_clients_make_up_do_not_make_series_without_end(start_server):
    server = start_server()
    for i in range(130):
        chat(server, 0, **{"x-autoglm-tenant": f"made-up-{i}"})
    families, _ = check_both(getter(server), None)
    for family in families:
        tenants = {sample.labels.get("tenant") for sample in family.samples} - {None}
        assert len(tenants) <= 102 and (len(tenants) < 100 or "other" in tenants), (family.name, len(tenants))


# A gateway

@pytest.fixture
def start_gateway(binary, tmp_path):
    need_tracing(binary, tmp_path)
    gateways = []

    def start(upstreams, route="main"):
        gateways.append(Gateway(binary, tmp_path, GATEWAY.format(route=json.dumps(route), upstreams=json.dumps(upstreams))))
        return gateways[-1]

    yield start
    for gateway in gateways:
        gateway.stop()


GATEWAY = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
probes: {{path: off, metrics_path: off, models_path: off}}
retries: {{max_attempts: 2}}
routes:
  - name: {route}
    upstreams: {upstreams}
"""


def test_parsers_accept_what_a_gateway_says_under_load(start_gateway):
    with RecordingUpstream(delay_s=0.01) as upstream:
        gateway = start_gateway([upstream.url, "http://127.0.0.1:1"])
        get = lambda path, headers: gateway.admin("GET", path, headers=headers)  # noqa: E731
        known = set(metric_tables.gateway())
        before, _ = check_both(get, known)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            running = [pool.submit(chat, gateway, i, model="small" if i % 7 else f"none {i}") for i in range(150)]
            while not all(one.done() for one in running):
                time.sleep(0.1)
                after, _ = check_both(get, known)
                check_counters_never_fall(before, after)
                before = after
        assert 200 in {one.result() for one in running}
        assert check_both(get, known)[1] >= 1


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_of_a_route_breaks_out_of_its_label(start_gateway, name):
    with RecordingUpstream() as upstream:
        try:
            gateway = start_gateway([upstream.url], route=name)
        except RuntimeError as error:
            assert "name" in str(error), "what it does not take it refuses with a reason"
            return
        assert chat(gateway, 1, model="small") == 200
        families, _ = check_both(lambda path, headers: gateway.admin("GET", path, headers=headers), None)
        assert {sample.labels["route"] for family in families for sample in family.samples if "route" in sample.labels} <= {name, ""}
