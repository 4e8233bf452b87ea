"""Spans of requests, as collectors get them: whole, right, and at no cost to whoever asks."""
import http.client
import json
import os
import random
import statistics
import time
from contextlib import closing

import pytest
from jaeger_process import Jaeger
from serving import wait_until
from span_collector import Collector, attributes_of
from zipkin_process import Zipkin

HELLO = [{"role": "user", "content": "Name three colours of the sea."}]
US, MS = 1000, 1_000_000


def chat(**options):
    return {"model": "default", "messages": HELLO, "max_tokens": 8, "temperature": 0, "ignore_eos": True} | options


def fresh_ids():
    return f"{random.getrandbits(128) | 1:032x}", f"{random.getrandbits(64) | 1:016x}"


def ask(server, headers=(), **options):
    """(status, headers, body, unix ns before, unix ns after)"""
    before = time.time_ns()
    answer = server.request("POST", "/v1/chat/completions", json.dumps(chat(**options)), {"Content-Type": "application/json"} | dict(headers))
    return *answer, before, time.time_ns()


def record_of(server, request_id):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status, _, body = server.request("GET", f"/v1/requests/{request_id}/timing")
        if status == 200 and json.loads(body)["state"] == "done":
            return json.loads(body)
        time.sleep(0.02)
    raise AssertionError(f"no finished record of {request_id}: {status} {body}")


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


def flags_of(collector, sent_as):
    return ("--zipkin", collector.url) if sent_as == "zipkin" else ("--otlp", collector.url, "--otlp-encoding", sent_as)


def assert_whole(spans, record, before, after, precision_ns):
    """One tree that begins with the request, and in it all that its record tells."""
    root, = [span for span in spans if span.kind == "SERVER"]
    assert root.id == record["span_id"] and root.trace_id == record["trace_id"] and root.parent == record.get("parent_span_id", "")
    assert len({span.id for span in spans}) == len(spans) and {span.trace_id for span in spans} == {root.trace_id}
    # It may see that the last byte has left when the client has had it for a while.
    assert before - precision_ns <= root.begin_ns <= root.end_ns <= after + 100 * MS
    assert abs(root.begin_ns - record["begun_unix_ns"]) <= precision_ns and abs(root.end_ns - root.begin_ns - record["total_ns"]) <= precision_ns
    pieces = [span for span in spans if span is not root]
    for span in pieces:
        assert span.parent == root.id and span.kind == "INTERNAL", span
        assert root.begin_ns - precision_ns <= span.begin_ns <= span.end_ns <= root.end_ns + 2 * precision_ns, (span, root)
    # A stage below some microseconds may have no piece of its own.
    told = {stage: sum(span.end_ns - span.begin_ns for span in pieces if span.name == stage) for stage in record["stages_ns"]}
    for stage, ns in record["stages_ns"].items():
        is_decode = stage in ("decode", "decode_stall")  # steps that follow each other are one piece, with what lies between them
        assert is_decode or abs(told[stage] - ns) <= 20 * US + 0.01 * ns, f"{stage}: spans say {told[stage]}, the record {ns}"
    decode = sum(record["stages_ns"].get(stage, 0) for stage in ("decode", "decode_stall"))
    assert abs(told.get("decode", 0) + told.get("decode_stall", 0) - decode) <= 50 * US + 0.05 * decode
    assert {span.name for span in pieces} <= set(record["stages_ns"])
    return root


@pytest.mark.parametrize("sent_as", ["protobuf", "json", "zipkin"])
def test_spans_of_a_request_arrive_whole(start_server, collector, sent_as):
    server = start_server(*flags_of(collector, sent_as), "--service-name", "harbour")
    precision_ns = 2 * US if sent_as == "zipkin" else US
    for stream in (False, True):
        trace_id, parent = fresh_ids()
        status, headers, _, before, after = ask(server, {"traceparent": f"00-{trace_id}-{parent}-01", "x-request-id": f"one-{stream}"}, stream=stream, top_p=0.5,
                                                temperature=0.25)
        assert status == 200 and headers["x-trace-id"] == trace_id
        record = record_of(server, f"one-{stream}")
        spans = collector.wait_for_trace(trace_id)
        root = assert_whole(spans, record, before, after, precision_ns)
        assert root.parent == parent and root.id == headers["x-span-id"] and not root.error
        assert root.name == f"chat {record['model']}" and root.resource["service.name"] == "harbour"
        assert root.events["first_token"] - root.begin_ns == pytest.approx(record["first_token_ns"], abs=precision_ns)
        assert_attributes(root.attributes, record, str if sent_as == "zipkin" else lambda value: value)
    exported = server.metrics()["autoglm_trace_spans_exported_total"]
    assert exported >= len(collector.spans) > 0 and server.metrics()["autoglm_trace_spans_dropped_total"] == 0


def assert_attributes(attributes, record, text):
    expected = {"gen_ai.request.id": record["id"], "gen_ai.request.model": record["model"], "gen_ai.operation.name": "chat", "gen_ai.request.max_tokens": 8,
                "gen_ai.request.n": 1, "gen_ai.usage.prompt_tokens": record["prompt_tokens"], "gen_ai.usage.completion_tokens": 8,
                "gen_ai.usage.input_tokens": record["prompt_tokens"], "gen_ai.usage.output_tokens": 8, "gen_ai.response.finish_reasons": "length",
                "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200, "autoglm.tenant": "default",
                "gen_ai.request.temperature": 0.25, "gen_ai.request.top_p": 0.5}
    wrong = {key: attributes.get(key) for key, value in expected.items() if attributes.get(key) != text(value)}
    assert not wrong, f"{wrong}, not {expected}"
    seconds = {"e2e": record["total_ns"], "time_to_first_token": record["first_token_ns"], "time_in_queue": record["stages_ns"]["queue"],
               "time_in_model_prefill": sum(record["stages_ns"].get(s, 0) for s in ("prefill", "prefill_stall")),
               "time_in_model_decode": sum(record["stages_ns"].get(s, 0) for s in ("decode", "decode_stall"))}
    for name, ns in seconds.items():
        assert float(attributes[f"gen_ai.latency.{name}"]) == pytest.approx(ns / 1e9, rel=1e-9), name
    assert not any(HELLO[0]["content"][:10] in str(value) for value in attributes.values()), "a prompt is in no span"


def test_two_collectors_get_the_same_spans(start_server, collector):
    with Collector() as other:
        server = start_server("--otlp", collector.url, "--zipkin", other.url + "/below/")
        headers = ask(server)[1]
        one, two = (some.wait_for_trace(headers["x-trace-id"]) for some in (collector, other))
        assert {(s.id, s.parent, s.name) for s in one} == {(s.id, s.parent, s.name) for s in two}
        assert {path for path, *_ in other.requests} == {"/below/api/v2/spans"}


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_metrics_arrive_beside_spans(start_server, collector, encoding):
    server = start_server("--otlp", collector.url, "--otlp-encoding", encoding, "--otlp-metrics-ms", "300")
    for _ in range(3):
        ask(server)

    def first_tokens():
        return sum(point.count for name, metric in list(collector.metrics.items()) if "time_to_first_token" in name for point in metric.histogram.data_points)

    assert wait_until(lambda: first_tokens() == 3, 20), (first_tokens(), sorted(collector.metrics))
    assert not collector.problems
    for name, metric in collector.metrics.items():
        kind = metric.WhichOneof("data")
        assert metric.description and metric.unit and kind in ("gauge", "sum", "histogram"), name
        points = getattr(metric, kind).data_points
        keys = [tuple(sorted(attributes_of(point.attributes).items())) for point in points]
        assert points and len(set(keys)) == len(keys), f"a series of {name} is there twice"
        if kind != "gauge":
            assert getattr(metric, kind).aggregation_temporality == 2 and all(0 < point.start_time_unix_nano <= point.time_unix_nano for point in points), name
        if kind == "sum":
            assert metric.sum.is_monotonic, name
        for point in points if kind == "histogram" else ():
            assert list(point.explicit_bounds) == sorted(set(point.explicit_bounds)) and len(point.bucket_counts) == len(point.explicit_bounds) + 1, name
            assert sum(point.bucket_counts) == point.count, name


def test_texts_are_in_spans_when_asked_for(start_server, collector):
    server = start_server("--otlp", collector.url, "--trace-texts", "messages")
    options = {"temperature": 0, "max_tokens": 12, "n": 2, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Gr\u00fc\u00dfe \u2603?"}]}
    for stream in (False, True):
        _, headers, body, *_ = ask(server, stream=stream, **options)
        spans = collector.wait_for_trace(headers["x-trace-id"])
        root, = [span for span in spans if span.kind == "SERVER"]
        assert json.loads(root.attributes["gen_ai.input.messages"]) == [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}, {"role": "user", "parts": [{"type": "text", "content": "Gr\u00fc\u00dfe \u2603?"}]}]
        answered = json.loads(root.attributes["gen_ai.output.messages"])
        if not stream:
            said = [(choice["message"]["content"], choice["finish_reason"]) for choice in json.loads(body)["choices"]]
        assert [(message["parts"][0]["content"], message["finish_reason"]) for message in answered] == said
        assert not any("messages" in key for span in spans if span is not root for key in span.attributes)


def test_texts_need_somewhere_to_go(autoglm, model):
    ended = autoglm("serve", model, "--port", "0", "--trace-texts", "messages")
    assert ended.returncode == 1 and "say where they go, with otlp or zipkin" in ended.stderr


def test_errors_are_told_with_their_status(start_server, collector):
    server = start_server("--otlp", collector.url)
    status, headers, *_ = ask(server, {"x-request-timeout": "0.3"}, max_tokens=2000)
    assert status in (503, 504)
    root = collector.wait_for_trace(headers["x-trace-id"])[0]
    assert root.error and root.attributes["http.response.status_code"] == status and root.attributes["error.type"] == str(status)
    status, headers, *_ = ask(server, max_tokens=-3)
    root = collector.wait_for_trace(headers["x-trace-id"])[0]
    assert status == 400 and root.attributes["error.type"] == "400" and not root.error, "what a client did wrong is no error of the server"


@pytest.mark.parametrize("sent_as", ["protobuf", "json", "zipkin"])
def test_names_that_are_no_text_spoil_no_batch(autoglm, tmp_path, start_server, collector, sent_as):
    key = autoglm("keys", "create", "--name", "odd", "--tenant", os.fsdecode(b'\xff\xfe "quoted" \\'), "--database", tmp_path / "keys.db").stdout.strip()
    server = start_server(*flags_of(collector, sent_as), "--keys-database", str(tmp_path / "keys.db"), "--service-name", 'a "harbour" \\ ü')
    _, headers, *_ = ask(server, {"Authorization": f"Bearer {key}"})
    root, *_ = collector.wait_for_trace(headers["x-trace-id"])
    assert root.attributes["autoglm.tenant"] == '\ufffd\ufffd "quoted" \\' and root.resource["service.name"] == 'a "harbour" \\ ü'


# Which traces are kept

def leave(server, request_id):
    """A client that goes away in the middle of a stream."""
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(chat(stream=True, max_tokens=1000)), {"x-request-id": request_id})
        connection.getresponse().read(100)


def test_without_a_share_only_what_speaks_for_itself_is_kept(start_server, collector):
    server = start_server("--otlp", collector.url, "--trace-sample", "0", "--trace-slow-ms", "800")
    ask(server, max_tokens=1)  # the first one warms up
    kept, left = set(), set()
    left.add(ask(server, max_tokens=1)[1]["x-trace-id"])
    left.add(ask(server, max_tokens=-1)[1]["x-trace-id"])  # 400
    trace_id, parent = fresh_ids()
    left.add(trace_id)
    ask(server, {"traceparent": f"00-{trace_id}-{parent}-00"}, max_tokens=1)
    for name, value in (("traceparent", "00-{}-{}-01"), ("b3", "{}-{}-1")):
        trace_id, parent = fresh_ids()
        kept.add(trace_id)
        ask(server, {name: value.format(trace_id, parent)}, max_tokens=1)
    trace_id, parent = fresh_ids()
    kept.add(trace_id)
    ask(server, {"x-b3-traceid": trace_id, "x-b3-spanid": parent, "x-b3-sampled": "1"}, max_tokens=1)
    _, headers, *_ = ask(server, {"x-request-timeout": "0.3"}, max_tokens=2000)  # failed
    kept.add(headers["x-trace-id"])
    leave(server, "left")
    kept.add(record_of(server, "left")["trace_id"])
    _, headers, _, before, after = ask(server, max_tokens=1000, ignore_eos=True)  # slow
    assert after - before > 800 * MS
    kept.add(headers["x-trace-id"])
    for trace_id in kept:
        collector.wait_for_trace(trace_id)
    time.sleep(1)
    assert {span.trace_id for span in collector.spans} == kept
    assert not {span.trace_id for span in collector.spans} & left


def test_the_share_goes_by_the_trace_so_that_all_processes_keep_the_same(start_server, collector):
    server = start_server("--otlp", collector.url, "--trace-sample", "0.25")
    traces = {share: f"{random.getrandbits(64) | 1:016x}{random.getrandbits(8):02x}{int(share * (1 << 56)):014x}" for share in (0.01, 0.24, 0.26, 0.99)}
    for trace_id in traces.values():
        assert ask(server, {"x-trace-id": trace_id}, max_tokens=1)[1]["x-trace-id"] == trace_id
    collector.wait_for_trace(traces[0.24])
    collector.wait_for_trace(traces[0.01])
    time.sleep(1)
    assert {span.trace_id for span in collector.spans} & set(traces.values()) == {traces[0.01], traces[0.24]}


# A collector in trouble

def latencies(server, count):
    """Of small requests on one connection, in seconds."""
    found = []
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        for _ in range(count):
            begun = time.perf_counter()
            connection.request("GET", "/v1/models")
            response = connection.getresponse()
            response.read()
            found.append(time.perf_counter() - begun)
            assert response.status == 200
    return found


@pytest.mark.parametrize("trouble", ["down", "silent", "500", "400"])
def test_a_collector_in_trouble_costs_spans_and_nothing_else(start_server, trouble):
    collector = Collector()
    control, server = start_server(), start_server("--otlp", collector.url)
    collector.mode = trouble if trouble != "down" else "well"
    port = collector.port
    if trouble == "down":
        collector.stop()
    # Side by side, so that both have the same machine.
    ours, theirs = [], []
    for _ in range(12):
        ours += latencies(server, 400)
        theirs += latencies(control, 400)
    assert statistics.median(ours) < 1.5 * statistics.median(theirs) + 0.0003, "requests take longer"
    assert sorted(ours)[-48] < 3 * sorted(theirs)[-48] + 0.02, "some requests take longer"
    answer = ask(server, max_tokens=20)
    assert answer[0] == 200 and (answer[4] - answer[3]) / 1e9 < 30
    # More spans than the queue holds: those that have no room go at once, without waiting for the collector.
    deadline = time.monotonic() + 30
    while server.metrics().get("autoglm_trace_spans_dropped_total", 0) == 0 and time.monotonic() < deadline:
        latencies(server, 200)
    assert server.metrics()["autoglm_trace_spans_dropped_total"] > 0
    if trouble != "silent":
        assert wait_until(lambda: server.log_events("trace_export_failed"), 5)
    if trouble == "400":
        assert_recovers(server, collector)
    elif trouble == "down":
        with Collector(port) as collector:
            assert_recovers(server, collector)
    else:
        collector.stop()
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 5, "the end waits for the collector"


def assert_recovers(server, collector):
    failures = server.log_events("trace_export_failed")
    assert len(failures) == 1, "it is said once"
    collector.mode = "well"
    deadline = time.monotonic() + 20
    while not server.log_events("trace_export_recovered") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(server.log_events("trace_export_recovered")) == 1
    collector.wait_for_trace(ask(server, max_tokens=1)[1]["x-trace-id"], timeout_s=30)
    collector.stop()


# Real collectors

@pytest.fixture(scope="module")
def zipkin(tmp_path_factory):
    with Zipkin(tmp_path_factory.mktemp("zipkin")) as zipkin:
        yield zipkin


def test_zipkin_shows_the_tree_of_a_request(start_server, zipkin):
    server = start_server("--zipkin", zipkin.url, "--service-name", "harbour")
    trace_id, parent = fresh_ids()
    ask(server, {"b3": f"{trace_id}-{parent}-1", "x-request-id": "zip"}, stream=True)
    record = record_of(server, "zip")
    spans = zipkin.wait_for_trace(trace_id, len([s for s in record["spans"]]) + 1)
    root, = [span for span in spans if span.get("kind") == "SERVER"]
    assert root["id"] == record["span_id"] and root["parentId"] == parent and root["duration"] == pytest.approx(record["total_ns"] / 1000, abs=1.5)
    assert {span["parentId"] for span in spans if span is not root} == {root["id"]}
    assert {"queue", "prefill", "decode", "deliver"} <= {span["name"] for span in spans}
    assert root["annotations"][0]["value"] == "first_token" and root["localEndpoint"] == {"serviceName": "harbour", "port": server.port}
    assert "harbour" in json.loads(zipkin.get("/api/v2/services")[1])
    found = json.loads(zipkin.get("/api/v2/traces", serviceName="harbour", annotationQuery="gen_ai.request.id=zip")[1])
    assert [trace[0]["traceId"] for trace in found] == [trace_id]
    shown, = [span for span in spans if span["name"] == "prefill"]
    assert shown["tags"]["autoglm.tokens"] == str(record["prompt_tokens"] - record.get("cached_tokens", 0))


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory):
    with Jaeger(tmp_path_factory.mktemp("jaeger")) as jaeger:
        yield jaeger


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_jaeger_shows_the_tree_of_a_request(start_server, jaeger, encoding):
    server = start_server("--otlp", jaeger.url, "--otlp-encoding", encoding, "--service-name", "harbour")
    trace_id, parent = fresh_ids()
    ask(server, {"traceparent": f"00-{trace_id}-{parent}-01", "x-request-id": "jaeger"}, stream=True)
    record = record_of(server, "jaeger")
    spans = jaeger.wait_for_trace(trace_id, len(record["spans"]) + 1)
    parents = {span["spanID"]: [reference["spanID"] for reference in span["references"]] for span in spans}
    root, = [span for span in spans if parents[span["spanID"]] == [parent]]
    assert root["spanID"] == record["span_id"] and root["operationName"] == f"chat {record['model']}"
    assert root["duration"] == pytest.approx(record["total_ns"] / 1000, abs=1.5) and root["startTime"] == record["begun_unix_ns"] // 1000
    assert all(parents[span["spanID"]] == [root["spanID"]] for span in spans if span is not root)
    assert {"queue", "prefill", "decode", "deliver"} <= {span["operationName"] for span in spans}
    tags = {tag["key"]: tag["value"] for tag in root["tags"]}
    assert tags["span.kind"] == "server" and tags["gen_ai.usage.completion_tokens"] == 8 and tags["http.response.status_code"] == 200
    first_token, = root["logs"]
    assert abs(first_token["timestamp"] - root["startTime"] - record["first_token_ns"] / 1000) < 2
    # Nothing but that the caller's span is not there.
    assert not any(set(span.get("warnings") or []) - {f"invalid parent span IDs={parent}; skipping clock skew adjustment"} for span in spans)
    assert "harbour" in json.loads(jaeger.get("/api/services")[1])["data"]
