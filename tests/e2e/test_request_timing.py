"""Where a request's time went: its record, the header, the last chunk of a stream, and who may see it."""
import concurrent.futures
import http.client
import json
import re
import subprocess
import sys
import time
from contextlib import closing

import pytest
from conftest import ROOT

STAGES = ["receive_head", "receive_body", "auth", "rate_limit", "parse", "handle", "model_load", "template", "tokenize", "admission", "kv_restore", "queue",
          "preempted", "prefill", "prefill_stall", "decode", "decode_stall", "deliver", "unexplained"]
MEGABYTE = 1 << 20


def body_of(**options):
    return {"model": "default", "messages": [{"role": "user", "content": "Name three colours."}], "max_tokens": 6, "temperature": 0, "ignore_eos": True} | options


def chat(server, headers=None, **options):
    return server.request("POST", "/v1/chat/completions", json.dumps(body_of(**options)), {"Content-Type": "application/json"} | (headers or {}))


def get(server, path, **headers):
    status, _, body = server.request("GET", path, headers=headers)
    return status, json.loads(body)


def record_of(server, request_id, **headers):
    """When it is done."""
    deadline = time.monotonic() + 10
    while True:
        status, record = get(server, f"/v1/requests/{request_id}/timing", **headers)
        if status == 200 and record["state"] == "done":
            return record
        assert time.monotonic() < deadline, f"no finished record of {request_id}: {status} {record}"
        time.sleep(0.02)


def assert_adds_up(record):
    assert sum(record["stages_ns"].values()) == record["total_ns"] > 0
    assert min(record["stages_ns"].values()) >= 0 and set(record["stages_ns"]) <= set(STAGES)


def test_every_nanosecond_of_requests_of_all_kinds_is_told(binary, model, tmp_path):
    """bench/request_stages.py does it with ten thousand."""
    out = tmp_path / "stages.json"
    done = subprocess.run([sys.executable, str(ROOT / "bench/request_stages.py"), "--binary", str(binary), "--model", str(model), "--requests", "300",
                           "--out", str(out)], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    found = json.loads(out.read_text())
    assert found["records"] >= 285 and len(found["kinds"]) >= 13 and found["largest_error_of_sum_ns"] == 0
    assert found["client_gone"] >= 10 and found["preemptions"] >= 1
    # Of requests that take longer than a moment; what answers in a fraction of a millisecond is a tenth of bookkeeping.
    for kind in ("plain", "streamed", "shared prompt", "two choices", "crowd"):
        assert found["kinds"][kind]["unexplained_share"]["p50"] < 0.01, kind
    assert found["unexplained_ms"]["p50"] < 0.1
    assert -1 < found["client_kernel_less_server_ms"]["p50"] < 2, "half of the clients see what the server says, and the way there and back"


# Where it is told

def test_server_timing_names_the_stages_where_it_is_asked_for(server):
    for asked, is_told in (("1", True), ("true", True), ("0", False), ("false", False), (None, False)):
        _, headers, _ = chat(server, {"x-autoglm-timing": asked, "x-request-id": f"timed-{asked}"} if asked else {})
        assert ("server-timing" in headers) == is_told, asked
        if is_told:
            told = dict(re.fullmatch(r"([a-z_]+);dur=(\d+\.\d{3})", part).groups() for part in headers["server-timing"].split(", "))
            record = record_of(server, f"timed-{asked}")
            assert float(told.pop("total")) <= record["total_ns"] / 1e6 + 0.001
            for stage, ms in told.items():
                if stage not in ("deliver", "unexplained"):  # which go on
                    assert float(ms) == pytest.approx(record["stages_ns"][stage] / 1e6, abs=0.0011), stage


def test_errors_tell_their_timing_too(server):
    status, headers, _ = chat(server, {"x-autoglm-timing": "1"}, max_tokens=-1)
    assert status == 400 and re.search(r"\bparse;dur=", headers["server-timing"]) and "total;dur=" in headers["server-timing"]


def test_the_openai_client_reads_a_stream_s_last_chunk(server):
    asked = body_of(stream=True, stream_options={"include_usage": True}) | {"ignore_eos": None}
    asked.pop("ignore_eos")
    raw = server.client().chat.completions.with_raw_response.create(**asked, extra_body={"ignore_eos": True},
                                                                    extra_headers={"x-autoglm-timing": "1", "x-request-id": "last-chunk"})
    chunks = list(raw.parse())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text and any(chunk.usage for chunk in chunks)
    timing = chunks[-1].model_extra["timing"]
    assert chunks[-1].choices == [] and not any("timing" in (chunk.model_extra or {}) for chunk in chunks[:-1])
    assert sum(ms for stage, ms in timing.items() if stage != "total") == pytest.approx(timing["total"], abs=0.001)
    record = record_of(server, "last-chunk")
    assert timing["total"] <= record["total_ns"] / 1e6 and timing["decode"] == pytest.approx(record["stages_ns"]["decode"] / 1e6, abs=0.001)
    # The header tells what was known when the stream began.
    assert "prefill;dur=" in raw.headers["server-timing"]


def test_streams_that_nobody_asked_about_have_no_such_chunk(server):
    chunks = list(server.client().chat.completions.create(model="default", messages=[{"role": "user", "content": "Hi"}], max_tokens=3, stream=True))
    assert all("timing" not in (chunk.model_extra or {}) and chunk.choices for chunk in chunks)


def test_completions_and_embeddings_like_routes_have_records(server):
    _, headers, _ = server.request("POST", "/v1/completions", json.dumps({"model": "default", "prompt": "Once", "max_tokens": 2}),
                                   {"Content-Type": "application/json", "x-request-id": "completion"})
    record = record_of(server, "completion")
    assert_adds_up(record)
    assert record["route"] == "/v1/completions" and record["completion_tokens"] == 2 and record["trace_id"] == headers["x-trace-id"]


# Lists

@pytest.mark.parametrize("path", ["/health", "/metrics", "/v1/models", "/nothing"])
def test_requests_of_all_routes_have_records(start_server, path):
    server = start_server()
    server.request("GET", path, headers={"x-request-id": "any-route"})
    assert_adds_up(record_of(server, "any-route"))


def test_lists_are_filtered(start_server):
    server = start_server("--served-model-name", "first", "--served-model-name", "second")
    for i in range(3):
        chat(server, {"x-request-id": f"short-{i}"}, max_tokens=1)
    chat(server, {"x-request-id": "long"}, max_tokens=60)
    chat(server, {"x-request-id": "bad"}, max_tokens=-1)
    chat(server, {"x-request-id": "late", "x-request-timeout": "0.2"}, max_tokens=2000)
    server.request("GET", "/v1/models", headers={"x-request-id": "models"})
    record_of(server, "models")

    def ids(query):
        status, found = get(server, f"/v1/requests?{query}")
        assert status == 200 and found["object"] == "list"
        for record in found["data"]:
            assert_adds_up(record)
        return [record["id"] for record in found["data"] if "-" not in record["id"] or record["id"].startswith("short")]

    chats = "route=/v1/chat/completions"
    assert ids("limit=1000&" + chats) == ["late", "bad", "long", "short-2", "short-1", "short-0"], "the newest first"
    assert ids("status=400&" + chats) == ["bad"] and ids("kept=1&" + chats)[0] == "late"
    assert "models" in ids("route=/v1/models") and ids("tenant=nobody") == [] and ids("model=nothing") == []
    assert ids("model=first&limit=1000") == ["late", "long", "short-2", "short-1", "short-0"]
    long_ms = record_of(server, "long")["total_ns"] // 1_000_000
    slow = ids(f"min_ms={long_ms}&{chats}")
    assert "long" in slow and "bad" not in slow and "long" not in ids(f"min_ms={long_ms + 1}&{chats}")
    assert len(ids("limit=2&" + chats)) == 2 and ids("limit=0") == []
    assert ids("model=first%22&limit=5") == [] and ids("&&limit=1000&route=%2Fv1%2Fmodels") == ["models"]
    for bad in ("limit=-1", "limit=1001", "limit=x", "min_ms=1.5", "status=1000", "colour=red", "limit=99999999999999999999", "limit="):
        status, found = get(server, f"/v1/requests?{bad}")
        assert status == 400 and found["error"]["param"] in bad, bad


def test_what_is_running_is_listed_with_its_stage(server):
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body_of(stream=True, max_tokens=1500)), {"x-request-id": "running"})
        connection.getresponse().read(100)
        _, active = get(server, "/v1/requests?active=1&route=/v1/chat/completions")
        one, = [record for record in active["data"] if record["id"] == "running"]
        assert one["state"] in STAGES and active["active"] >= 1
        assert_adds_up(one)
        time.sleep(0.5)
        status, record = get(server, "/v1/requests/running/timing")
        assert record["state"] in ("decode", "decode_stall") and record["stages_ns"].get("deliver", 0) < 0.1 * record["stages_ns"]["decode"], "it is being computed"
        assert status == 200 and record["state"] != "done" and record["total_ns"] > one["total_ns"]
        assert_adds_up(record)
        assert "running" not in [one["id"] for one in get(server, "/v1/requests?limit=1000")[1]["data"]]
    # And then its client goes away.
    record = record_of(server, "running")
    assert_adds_up(record)
    assert record["client_gone"] and record["status"] == 499 and record["finish"] == "cancelled" and 0 < record["completion_tokens"] < 1500


def test_what_is_not_known_is_404(server):
    for path in ("/v1/requests/none/timing", "/v1/requests/%00/timing", "/v1/requests//timing", "/v1/requests/x", "/v1/traces/" + "0" * 32, "/v1/traces/" + "a" * 32,
                 "/v1/traces/", "/v1/traces/nothing", "/v1/requests/" + "y" * 3000 + "/timing"):
        status, found = get(server, path)
        assert status == 404 and found["error"]["message"], path
    assert server.request("POST", "/v1/requests")[0] == 405


# Traces

def hexes(trace="4bf92f3577b34da6a3ce929d0e0e4736", parent="00f067aa0ba902b7"):
    return trace, parent


@pytest.mark.parametrize("headers", [
    {"traceparent": "00-{trace}-{parent}-01"}, {"traceparent": "00-{trace}-{parent}-00", "tracestate": "vendor=1"}, {"traceparent": "cc-{trace}-{parent}-01-what"},
    {"b3": "{trace}-{parent}"}, {"b3": "{trace}-{parent}-1"}, {"b3": "{trace}-{parent}-d-{parent}"}, {"x-b3-traceid": "{trace}", "x-b3-spanid": "{parent}", "x-b3-sampled": "1"},
    {"x-trace-id": "{trace}", "x-span-id": "{parent}"}])
def test_a_trace_that_comes_with_a_request_goes_on(server, headers):
    trace, parent = hexes()
    headers = {name: value.format(trace=trace, parent=parent) for name, value in headers.items()}
    status, answered, _ = chat(server, headers | {"x-request-id": "in-a-trace"})
    assert status == 200 and answered["x-trace-id"] == trace and re.fullmatch("[0-9a-f]{16}", answered["x-span-id"]) and answered["x-span-id"] != parent
    record = record_of(server, "in-a-trace")
    assert (record["trace_id"], record["parent_span_id"], record["span_id"]) == (trace, parent, answered["x-span-id"])
    found = get(server, f"/v1/traces/{trace}")[1]
    assert found["trace_id"] == trace and answered["x-span-id"] in [one["span_id"] for one in found["data"]]


@pytest.mark.parametrize("headers", [
    {"traceparent": "00-{zeros}-{parent}-01"}, {"traceparent": "00-{trace}-0000000000000000-01"}, {"traceparent": "ff-{trace}-{parent}-01"},
    {"traceparent": "00-{TRACE}-{parent}-01"}, {"traceparent": "00-{trace}-{parent}-01-more"}, {"traceparent": "00-{trace}-{parent}"}, {"traceparent": "x"},
    {"b3": "0"}, {"b3": "{zeros}-{parent}-1"}, {"x-trace-id": "{zeros}"}, {"x-trace-id": "short"}, {}])
def test_what_is_no_trace_begins_a_new_one(server, headers):
    trace, parent = hexes()
    filled = {name: value.format(trace=trace, TRACE=trace.upper(), parent=parent, zeros="0" * 32) for name, value in headers.items()}
    status, answered, _ = chat(server, filled | {"x-request-id": "no-trace"}, max_tokens=1)
    assert status == 200 and re.fullmatch("[0-9a-f]{32}", answered["x-trace-id"]) and answered["x-trace-id"] not in (trace, "0" * 32)
    assert "parent_span_id" not in record_of(server, "no-trace")


def test_zipkin_s_short_ids_are_filled_up(server):
    _, answered, _ = chat(server, {"x-b3-traceid": "a3ce929d0e0e4736", "x-b3-spanid": "00f067aa0ba902b7"}, max_tokens=1)
    assert answered["x-trace-id"] == "0" * 16 + "a3ce929d0e0e4736"


# Who may see what

def test_tenants_see_their_own_requests_only(autoglm, tmp_path, start_server):
    database = tmp_path / "keys.db"

    def create(name, *flags):
        made = autoglm("keys", "create", "--name", name, "--database", database, *flags)
        assert made.returncode == 0, made.stderr
        return {"Authorization": f"Bearer {made.stdout.strip()}"}

    red, red_too, blue = create("red", "--tenant", "red"), create("other red", "--tenant", "red"), create("blue", "--tenant", "blue")
    door = create("door", "--tenant", "door", "--acts-for-tenants")
    server = start_server("--keys-database", str(database))
    traces = {}
    for name, key in (("of-red", red), ("of-blue", blue)):
        traces[name] = chat(server, key | {"x-request-id": name}, max_tokens=1)[1]["x-trace-id"]
    for key, mine, others in ((red, "of-red", "of-blue"), (red_too, "of-red", "of-blue"), (blue, "of-blue", "of-red")):
        assert record_of(server, mine, **key)["id"] == mine
        assert get(server, f"/v1/requests/{others}/timing", **key)[0] == 404
        assert get(server, f"/v1/traces/{traces[mine]}", **key)[0] == 200 and get(server, f"/v1/traces/{traces[others]}", **key)[0] == 404
        for query in ("limit=1000", "limit=1000&kept=1", "limit=1000&active=1", "limit=1000&tenant=blue", "limit=1000&tenant=red"):
            listed = get(server, f"/v1/requests?{query}", **key)[1]["data"]
            assert others not in [one["id"] for one in listed] and {one["tenant"] for one in listed} <= {mine[3:]}
    listed = get(server, "/v1/requests?limit=1000", **door)[1]["data"]
    assert {"of-red", "of-blue"} <= {one["id"] for one in listed}, "a gateway's key sees all"
    assert record_of(server, "of-red", **door)["tenant"] == "red"
    for path in ("/v1/requests", "/v1/requests/of-red/timing", f"/v1/traces/{traces['of-red']}"):
        assert server.request("GET", path)[0] == 401


def test_two_tenants_requests_of_one_id_are_each_seen_by_their_own(autoglm, tmp_path, start_server):
    """An id is the client's choice: that of somebody else must hide nothing."""
    database = tmp_path / "keys.db"
    keys = [{"Authorization": "Bearer " + autoglm("keys", "create", "--name", name, "--tenant", name, "--database", database).stdout.strip()} for name in ("red", "blue")]
    server = start_server("--keys-database", str(database))
    for tokens, key in enumerate(keys, 1):
        chat(server, key | {"x-request-id": "same"}, max_tokens=tokens)
    for tokens, key in enumerate(keys, 1):
        assert record_of(server, "same", **key)["completion_tokens"] == tokens


# Bounds

def test_few_records_are_a_small_memory(start_server):
    server = start_server("--request-records", "64")

    def requests(number):
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
            for i in range(1500):
                connection.request("GET", "/v1/models", headers={"x-request-id": f"many-{number}-{i}"})
                assert connection.getresponse().read()

    def all_at_once():
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(requests, range(4)))

    all_at_once()
    before = server.memory_bytes()
    all_at_once()
    assert server.memory_bytes() - before < 2 * MEGABYTE
    found = get(server, "/v1/requests?limit=1000")[1]
    assert len(found["data"]) <= 64 and found["finished"] >= 12_000
    assert get(server, "/v1/requests/many-0-0/timing")[0] == 404 and server.metrics().get("autoglm_request_records_missed_total", 0) <= 12_000
