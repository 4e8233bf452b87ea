"""A collector of spans: what OpenTelemetry's or Zipkin's would be. Decodes strictly with OpenTelemetry's own classes, and can be in trouble."""
import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_process import LocalHttpd
from serving import wait_until

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}
MODES = ("well", "silent", "500", "400")
HEX = re.compile(r"[0-9a-f]+")


@dataclass
class Span:
    trace_id: str
    id: str
    parent: str  # "": none
    name: str
    kind: str
    begin_ns: int
    end_ns: int
    attributes: dict
    events: dict  # name: unix ns
    error: str    # "": none
    resource: dict = field(default_factory=dict)


class Collector(LocalHttpd):
    """Listens at /v1/traces, /v1/metrics and /api/v2/spans. `mode` may be changed at any time; `silent` takes requests and never answers."""

    def __init__(self, port=0):
        self.mode, self.spans, self.requests, self.problems = "well", [], [], []
        self.metrics = {}  # by name, as they came last
        self._lock, self._ends = threading.Lock(), threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.close_connection = not collector.answer(self, body)

            def log_message(self, *_):
                pass

        class Listener(ThreadingHTTPServer):
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *_):
                pass  # whoever asked has gone away

        super().__init__(Handler, port, Listener)
        self.url = f"http://{self.address}"

    def answer(self, handler, body):
        """Whether the connection can be used again."""
        with self._lock:
            self.requests.append((handler.path, handler.headers["Content-Type"], len(body)))
        if self.mode == "silent":
            self._ends.wait(300)
            return False
        status, reply = 200, b"{}" if handler.headers["Content-Type"] == "application/json" else b""
        if self.mode in ("500", "400"):
            status = int(self.mode)
        else:
            try:
                self._take(handler.path, handler.headers["Content-Type"], body)
            except Exception as error:  # noqa: BLE001: the test looks at it
                self.problems.append(f"{handler.path}: {error!r}")
                status = 400
        handler.send_response(status)
        handler.send_header("Content-Type", handler.headers["Content-Type"])
        handler.send_header("Content-Length", str(len(reply)))
        handler.end_headers()
        handler.wfile.write(reply)
        return True

    def _take(self, path, content_type, body):
        if path.endswith("/api/v2/spans"):
            assert content_type == "application/json"
            found = [of_zipkin(one) for one in json.loads(body)]
        elif path.endswith("/v1/metrics"):
            with self._lock:
                self.metrics |= metrics_of(body, content_type)
            return
        else:
            assert path.endswith("/v1/traces"), path
            assert content_type in ("application/x-protobuf", "application/json"), content_type
            found = of_otlp(body if content_type == "application/x-protobuf" else json_as_protobuf(json.loads(body)))
        with self._lock:
            self.spans += found

    def of_trace(self, trace_id):
        with self._lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def wait_for_trace(self, trace_id, num_roots=1, timeout_s=10):
        """Its spans, as soon as that many requests have told theirs."""
        of_requests = lambda: [s for s in self.of_trace(trace_id) if s.kind == "SERVER"]  # noqa: E731
        assert wait_until(lambda: len(of_requests()) >= num_roots, timeout_s), f"{len(of_requests())} of {num_roots} arrived; {self.problems}"
        time.sleep(0.05)  # what came in the same batch is being taken
        assert not self.problems, self.problems
        return self.of_trace(trace_id)

    def wait_for_request(self, record, timeout_s=10):
        """The spans of its trace, when those of this record are among them."""
        assert wait_until(lambda: any(span.id == record["span_id"] for span in self.of_trace(record["trace_id"])), timeout_s), self.problems
        time.sleep(0.05)
        assert not self.problems, self.problems
        return self.of_trace(record["trace_id"])

    def stop(self):
        self._ends.set()
        super().stop()


def is_hex(text, digits):
    return isinstance(text, str) and len(text) == digits and HEX.fullmatch(text) and set(text) != {"0"}


def json_as_protobuf(value):
    """OTLP's JSON is Protocol Buffers' except for its ids, which are hex; what is in no field of the standard is an error."""
    for resource in value["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name, digits in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
                    if name in span:
                        assert is_hex(span[name], digits), (name, span[name])
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
                assert isinstance(span["kind"], int) and isinstance(span["status"].get("code", 0), int), "OTLP has numbers for enums"
                for name in ("startTimeUnixNano", "endTimeUnixNano"):
                    assert isinstance(span[name], str), "64 bits are text"
    return json_format.Parse(json.dumps(value), ExportTraceServiceRequest(), ignore_unknown_fields=False).SerializeToString()


def attributes_of(pairs):
    keys = [pair.key for pair in pairs]
    assert len(set(keys)) == len(keys) and all(keys), f"an attribute is there twice: {keys}"
    kinds = [pair.value.WhichOneof("value") for pair in pairs]
    assert None not in kinds, "an attribute has no value"
    return {pair.key: getattr(pair.value, kind) for pair, kind in zip(pairs, kinds)}


def decoded(kind, body):
    request, known = kind.FromString(body), kind.FromString(body)
    known.DiscardUnknownFields()
    assert known.ByteSize() == request.ByteSize() == len(body), "there are bytes that the standard has no field for"
    return request


def metrics_of(body, content_type):
    """{name: metric} of OpenTelemetry's classes."""
    if content_type == "application/json":
        request = json_format.Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=False)
    else:
        request = decoded(ExportMetricsServiceRequest, body)
    return {metric.name: metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics}


def of_otlp(body):
    request = decoded(ExportTraceServiceRequest, body)
    found = []
    for resource in request.resource_spans:
        source = attributes_of(resource.resource.attributes)
        assert source["service.name"]
        for scope in resource.scope_spans:
            assert scope.scope.name == "autoglm" and scope.scope.version
            found += [of_otlp_span(span, source) for span in scope.spans]
    assert found, "a request without spans"
    return found


def of_otlp_span(span, source):
    assert len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8 and any(span.span_id)
    assert len(span.parent_span_id) in (0, 8) and (not span.parent_span_id or any(span.parent_span_id))
    assert span.name and span.kind in KINDS and span.start_time_unix_nano <= span.end_time_unix_nano
    assert span.status.code in (0, 2) and not span.links
    events = {event.name: event.time_unix_nano for event in span.events}
    assert len(events) == len(span.events)
    return Span(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, KINDS[span.kind], span.start_time_unix_nano,
                span.end_time_unix_nano, attributes_of(span.attributes), events, (span.status.message or "error") if span.status.code == 2 else "", source)


def of_zipkin(span):
    assert set(span) <= {"traceId", "id", "parentId", "name", "kind", "timestamp", "duration", "localEndpoint", "remoteEndpoint", "tags", "annotations"}
    assert is_hex(span["traceId"], 32) and is_hex(span["id"], 16) and ("parentId" not in span or is_hex(span["parentId"], 16))
    assert span.get("kind", "SERVER") in ("SERVER", "CLIENT") and span["duration"] >= 1 and isinstance(span["timestamp"], int)
    assert all(isinstance(value, str) for value in span.get("tags", {}).values()), "tags are texts"
    begin = span["timestamp"] * 1000
    events = {one["value"]: one["timestamp"] * 1000 for one in span.get("annotations", [])}
    return Span(span["traceId"], span["id"], span.get("parentId", ""), span["name"], span.get("kind", "INTERNAL"), begin, begin + span["duration"] * 1000,
                span.get("tags", {}), events, span.get("tags", {}).get("error", ""), {"service.name": span["localEndpoint"]["serviceName"]})
