"""One trace from the client through the gateway's attempts to the server that answered."""
import concurrent.futures
import json
import re
import time

import pytest
from fault_proxy import FaultProxy
from gateway_process import Gateway, need_tracing
from recording_upstream import RecordingUpstream
from serving import Server
from span_collector import Collector
from test_tracing import MS, US, chat, fresh_ids
from zipkin_process import Zipkin

CONFIG = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
probes: {{path: off, metrics_path: off, models_path: off}}
breaker: {{failures_to_open: 1000}}
retries: {{budget: {{share: 1, min: 100}}, first_delay: 10ms}}
tracing: {tracing}
routes:
  - name: main
    policy: round_robin
    upstreams:
"""
STAGES = {"receive_head", "receive_body", "auth", "parse", "handle", "rate_limit", "line", "route", "connect", "send", "wait", "stream", "retry_wait", "fault", "deliver",
          "unexplained"}


class FailingUpstream(RecordingUpstream):
    """Answers 503, or closes when it has the request."""
    dies = False

    def _answer(self, connection, request):
        with self._lock:
            self._running -= 1
        if self.dies:
            raise ConnectionAbortedError
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module", autouse=True)
def needs_tracing(binary, tmp_path_factory):
    need_tracing(binary, tmp_path_factory.mktemp("check"))


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def replicas(binary, model, collector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    servers = [Server(binary, model, folder / f"{i}.log", "--threads", "1", "--otlp", collector.url, "--service-name", f"replica-{i}") for i in range(2)]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def start_gateway(binary, tmp_path):
    gateways = []

    def start(tracing, *upstreams, top=""):
        lines = "".join(f"      - '{one.url}'\n" for one in upstreams)
        gateways.append(Gateway(binary, tmp_path, top + CONFIG.format(tracing=tracing) + lines))
        return gateways[-1]

    yield start
    for gateway in gateways:
        gateway.stop()


@pytest.fixture
def failing():
    with FailingUpstream() as upstream:
        yield upstream


def ask(gateway, headers=(), path="/v1/chat/completions", **options):
    return gateway.request("POST", path, json.dumps(chat(**options)), {"Content-Type": "application/json"} | dict(headers))


def admin_json(gateway, path):
    status, _, body = gateway.admin("GET", path)
    return json.loads(body) if status == 200 else None


def record_of(gateway, request_id):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        record = admin_json(gateway, f"/v1/requests/{request_id}/timing")
        if record and record["state"] == "done":
            return record
        time.sleep(0.02)
    raise AssertionError(f"no finished record of {request_id}: {record}")


def assert_adds_up(record):
    assert abs(sum(record["stages_ns"].values()) - record["total_ns"]) <= US and min(record["stages_ns"].values()) >= 0
    assert set(record["stages_ns"]) <= STAGES
    assert record["stages_ns"].get("unexplained", 0) < 0.05 * record["total_ns"] + 200 * US


def one_tried_twice(gateway, failing, **options):
    """(headers of the answer, record, what the failing upstream got) of a request whose first attempt failed."""
    for i in range(20):
        failing.take()
        request_id = f"twice-{time.time_ns()}"
        status, headers, _ = ask(gateway, {"x-request-id": request_id} | options.get("headers", {}), stream=options.get("stream", False))
        assert status == 200
        record = record_of(gateway, request_id)
        if record.get("attempts_made") == 2:
            arrived, = failing.take()
            return headers, record, arrived
    raise AssertionError("no request had to be tried twice")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_one_trace_with_a_span_for_each_attempt(start_gateway, replicas, failing, collector, dies, stream):
    failing.dies = dies
    gateway = start_gateway(f"{{otlp: '{collector.url}', service_name: door}}", failing, replicas[0])
    parent = fresh_ids()[1]
    headers, record, arrived = one_tried_twice(gateway, failing, stream=stream, headers={"traceparent": f"00-{fresh_ids()[0]}-{parent}-01", "tracestate": "a=b"})
    assert_adds_up(record)
    assert record["parent_span_id"] == parent and record["trace_id"] == headers["x-trace-id"] and record["span_id"] == headers["x-span-id"]
    first, second = record["attempts"]
    assert first["failed"] and not first.get("answer") and second["answer"] and second["retry"] and not second.get("failed")
    assert first.get("status") == (None if dies else 503) and second["status"] == 200
    assert first["begin_us"] <= first["end_us"] <= second["begin_us"] <= second["first_byte_us"] <= second["end_us"] <= record["total_ns"] / 1000 + 1

    spans = collector.wait_for_trace(record["trace_id"], num_roots=2)
    door = [span for span in spans if span.resource["service.name"] == "door"]
    behind = [span for span in spans if span.resource["service.name"] == "replica-0"]
    root, = [span for span in door if span.kind == "SERVER"]
    assert root.parent == parent and root.id == record["span_id"] and not root.error
    one, two = sorted((span for span in door if span.kind == "CLIENT"), key=lambda span: span.begin_ns)
    assert one.parent == two.parent == root.id and one.error and not two.error
    assert one.attributes["error.type"] == first["failed"] and two.attributes["autoglm.retry"] and two.attributes["autoglm.answer"]
    # The failing upstream was told the first attempt's span, the replica the second's.
    assert arrived.values("traceparent") == [f"00-{record['trace_id']}-{one.id}-01"] and arrived.values("tracestate") == ["a=b"]
    assert arrived.values("x-trace-id") == [record["trace_id"]] and arrived.values("x-span-id") == [one.id] and not arrived.values("b3")
    upper, = [span for span in behind if span.kind == "SERVER"]
    assert upper.parent == two.id and {span.parent for span in behind if span is not upper} == {upper.id}
    assert two.begin_ns <= upper.begin_ns + MS and upper.end_ns <= two.end_ns + 100 * MS
    pieces = [span for span in door if span.kind == "INTERNAL"]
    assert {span.name for span in pieces} <= STAGES
    for span in pieces:
        assert span.parent in (root.id, one.id, two.id)
        assert root.begin_ns - US <= span.begin_ns and span.end_ns <= root.end_ns + 2 * US
        assert (span.name in ("connect", "send", "wait", "stream")) == (span.parent != root.id), span
    assert len(spans) == len({span.id for span in spans}) == len(door) + len(behind)


@pytest.mark.parametrize("has_collector", [True, False])
def test_further_attempts_are_to_be_kept_where_traces_go_anywhere(start_gateway, failing, collector, has_collector):
    failing.dies = False
    with FailingUpstream() as other:
        gateway = start_gateway(f"{{otlp: '{collector.url}'}}" if has_collector else "{sample: 1}", failing, other)
        failing.take()
        assert ask(gateway)[0] == 503
        flags = sorted(arrived.values("traceparent")[0][-2:] for arrived in failing.take() + other.take())
    assert len(flags) > 1 and flags == ["00"] + [("01" if has_collector else "00")] * (len(flags) - 1)


def test_clients_that_speak_b3_are_answered_in_it(start_gateway, replicas, failing, collector):
    gateway = start_gateway(f"{{otlp: '{collector.url}', otlp_encoding: json}}", failing, replicas[0])
    _, record, arrived = one_tried_twice(gateway, failing, headers={"b3": "{}-{}-1".format(*fresh_ids())})
    spans = collector.wait_for_trace(record["trace_id"], num_roots=2)
    one = min((span for span in spans if span.kind == "CLIENT"), key=lambda span: span.begin_ns)
    assert arrived.values("b3") == [f"{record['trace_id']}-{one.id}-1"]


def test_without_a_trace_the_gateway_begins_one(start_gateway, replicas, collector):
    gateway = start_gateway(f"{{otlp: '{collector.url}'}}", *replicas)
    _, headers, _ = ask(gateway)
    spans = collector.wait_for_trace(headers["x-trace-id"], num_roots=2)
    assert [span.kind for span in spans if not span.parent] == ["SERVER"]
    known = {span.id for span in spans}
    assert all(span.parent in known for span in spans if span.parent)


HEDGING = "hedging: {least_delay: 20ms, min_count: 10, max_share: 1, max_burst: 100, quantile: 0.5}\n"


def test_with_two_attempts_at_once_each_has_what_is_its_own(start_gateway, replicas, collector):
    proxies = [FaultProxy(replica.port) for replica in replicas]
    try:
        gateway = start_gateway(f"{{otlp: '{collector.url}'}}", *proxies, top=HEDGING)
        for _ in range(24):
            ask(gateway, max_tokens=1)
        for proxy in proxies:
            proxy.set("slow", 0.5)
        for i in range(4):
            ask(gateway, {"x-request-id": f"hedged-{i}"}, stream=True, max_tokens=20)
            record = record_of(gateway, f"hedged-{i}")
            assert_adds_up(record)
            assert len(record["attempts"]) == 2 and record["attempts"][1]["hedge"], record["attempts"]
            answer, = [attempt for attempt in record["attempts"] if attempt.get("answer")]
            took_us = answer["end_us"] - answer["first_byte_us"]
            assert abs(record["stages_ns"]["stream"] / US - took_us) < 1000 + 0.05 * took_us, "what came is no waiting"
            spans = collector.wait_for_request(record)
            attempts = {span.id: span for span in spans if span.kind == "CLIENT"}
            assert len(attempts) == 2
            stream, = [span for span in spans if span.name == "stream"]
            assert attempts[stream.parent].attributes.get("autoglm.answer"), "the stream is part of the attempt that it came from"
            connect, = [span for span in spans if span.name == "connect"]
            assert not attempts[connect.parent].attributes.get("autoglm.hedge")
    finally:
        for proxy in proxies:
            proxy.stop()


def test_headers_of_a_client_are_not_passed_on_beside_ours(start_gateway, failing, collector):
    """A second traceparent, or an x-span-id of the client's, would hang the upstream's spans elsewhere."""
    gateway = start_gateway(f"{{otlp: '{collector.url}'}}", failing)
    trace_id, parent = fresh_ids()
    ask(gateway, {"traceparent": f"00-{trace_id}-{parent}-01", "x-span-id": parent, "x-trace-id": fresh_ids()[0], "x-b3-spanid": parent, "x-b3-traceid": trace_id})
    for arrived in failing.take():
        given, = arrived.values("traceparent")
        assert re.fullmatch(rf"00-{trace_id}-[0-9a-f]{{16}}-01", given) and parent not in given
        assert arrived.values("x-trace-id") == [trace_id] and arrived.values("x-span-id") == [given.split("-")[2]]
        assert not set(arrived.values("x-b3-spanid")) & {parent}


def test_every_record_of_a_gateway_under_load_adds_up(start_gateway, replicas, failing, collector):
    gateway = start_gateway(f"{{otlp: '{collector.url}', sample: 0}}", failing, *replicas)

    def one(i):
        request_id = f"load-{i}"
        options = ({}, {"stream": True}, {"model": "none"}, {"max_tokens": -1}, {"stream": True, "max_tokens": 3})[i % 5]
        begun = time.monotonic_ns()
        status, *_ = ask(gateway, {"x-request-id": request_id}, **{"max_tokens": 2} | options)
        taken = time.monotonic_ns() - begun
        record = record_of(gateway, request_id)
        assert_adds_up(record)
        assert record["status"] == status and record["total_ns"] < taken + 100 * MS
        return taken - record["total_ns"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        differences = sorted(pool.map(one, range(120)))
    assert differences[60] < 20 * MS
    listed = admin_json(gateway, "/v1/requests?limit=1000")["data"]
    assert len([record for record in listed if record["id"].startswith("load-")]) == 120
    refused = admin_json(gateway, "/v1/requests?limit=1000&status=404")["data"]
    assert all(record["status"] == 404 for record in refused)


def test_server_timing_tells_the_gateway_s_part(start_gateway, replicas, collector):
    gateway = start_gateway(f"{{otlp: '{collector.url}'}}", *replicas)
    _, headers, _ = ask(gateway, {"x-autoglm-timing": "1"})
    told = [one for one in re.findall(r"([\w.-]+);dur=([\d.]+)", headers["server-timing"])]
    assert {"connect", "wait"} & {name for name, _ in told} or any(name.endswith(("wait", "connect")) for name, _ in told), told


def test_zipkin_sees_who_calls_whom(start_gateway, replicas, failing, tmp_path_factory, binary, model):
    with Zipkin(tmp_path_factory.mktemp("zipkin")) as zipkin:
        server = Server(binary, model, tmp_path_factory.mktemp("zip") / "log", "--zipkin", zipkin.url, "--service-name", "behind")
        gateway = start_gateway(f"{{zipkin: '{zipkin.url}', service_name: door}}", failing, server)
        _, record, _ = one_tried_twice(gateway, failing)
        spans = zipkin.wait_for_trace(record["trace_id"], 20)
        server.stop()
        by_id = {span["id"]: span for span in spans}
        upper, = [span for span in spans if span["localEndpoint"]["serviceName"] == "behind" and span.get("kind") == "SERVER"]
        attempt = by_id[upper["parentId"]]
        assert attempt["kind"] == "CLIENT" and attempt["localEndpoint"]["serviceName"] == "door" and by_id[attempt["parentId"]]["kind"] == "SERVER"
        links = json.loads(zipkin.get("/api/v2/dependencies", endTs=int(time.time() * 1000) + 10_000, lookback=3_600_000)[1])
        assert any((link["parent"], link["child"]) == ("door", "behind") for link in links), links
