"""A log that cannot be written costs lines, which are counted, and never a request."""
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import time
from contextlib import closing

import pytest
from serving import Server, wait_until

DROPPED = "autoglm_log_lines_dropped_total"
TRACE_ID, SPAN_ID = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
MORE_THAN_IT_HOLDS = 9500  # lines: a pipe's 64 KiB and the queue's 8192


class Pipe:
    """A FIFO at `path` that a process of its own copies to a file, and can be frozen."""

    def __init__(self, path):
        self.path, self.copy = path, path.with_suffix(".copy")
        os.mkfifo(path)
        self._keeps_it_open = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # who writes finds a reader, and none reads an end
        self._process = None

    def read(self):
        if self._process is None:
            with open(self.copy, "ab") as copy:
                self._process = subprocess.Popen(["cat", str(self.path)], stdout=copy)
        self._process.send_signal(signal.SIGCONT)

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def lines(self):
        """Whole ones; the last may be on its way."""
        return [json.loads(line) for line in self.copy.read_text().split("\n")[:-1]]

    def close(self):
        if self._process:
            self._process.kill()
            self._process.wait()
        os.close(self._keeps_it_open)


@pytest.fixture
def pipe(tmp_path):
    pipe = Pipe(tmp_path / "log.fifo")
    yield pipe
    pipe.close()


@pytest.fixture
def start_logging_to(binary, model, tmp_path, pipe):
    """Servers whose log goes to the pipe, as a file or as standard error."""
    servers = []

    def start(kind):
        flags = ("--log-format", "json", *(("--log-file", str(pipe.path)) if kind == "file" else ()))
        servers.append(Server(binary, model, tmp_path / "stderr" if kind == "file" else pipe.path, *flags))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def refused_requests(server, count, name):
    """Seconds that each took; all of them are lines of the log."""
    found = []
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        for i in range(count):
            begun = time.perf_counter()
            connection.request("GET", "/v1/nothing", headers={"x-request-id": f"{name}-{i}"})
            response = connection.getresponse()
            response.read()
            found.append(time.perf_counter() - begun)
            assert response.status == 404
    return found


def chat(server, **options):
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "ignore_eos": True} | options
    begun = time.monotonic()
    status, headers, _ = server.post("/v1/chat/completions", body)
    assert status == 200
    return time.monotonic() - begun, headers


@pytest.mark.parametrize("kind", ["file", "stderr"])
def test_a_pipe_that_nobody_reads_delays_no_request(start_logging_to, start_server, pipe, kind):
    server, control = start_logging_to(kind), start_server("--log-format", "json")
    ours, theirs = [], []
    for turn in range(19):  # side by side, so that both have the same machine
        ours += refused_requests(server, MORE_THAN_IT_HOLDS // 19, turn)
        theirs += refused_requests(control, 100, turn)
    assert statistics.median(ours) < 1.5 * statistics.median(theirs) + 0.0003
    assert sorted(ours)[int(0.99 * len(ours))] < 3 * sorted(theirs)[int(0.99 * len(theirs))] + 0.02
    assert max(ours) < 1
    assert server.metrics()[DROPPED] > 0 and control.metrics()[DROPPED] == 0
    assert chat(server)[0] < 30
    begun = time.monotonic()
    server.terminate()
    assert server.process.wait(20) == 0
    assert time.monotonic() - begun < 5, "the end waits for the reader of the log"


def test_lines_are_counted_or_written_and_come_again_when_the_reader_does(start_logging_to, pipe):
    pipe.read()
    server = start_logging_to("file")
    refused_requests(server, 10, "before")
    assert wait_until(lambda: len([line for line in pipe.lines() if line.get("id", "").startswith("before-")]) == 10, 5)
    assert server.metrics()[DROPPED] == 0
    pipe.freeze()
    refused_requests(server, MORE_THAN_IT_HOLDS, "frozen")
    num_dropped = server.metrics()[DROPPED]
    assert num_dropped > 0
    pipe.read()
    written = lambda name: [line["id"] for line in pipe.lines() if line.get("id", "").startswith(name)]  # noqa: E731
    last = f"frozen-{MORE_THAN_IT_HOLDS - 1}"
    assert wait_until(lambda: last in written("frozen-"), 20), "what waited is written"
    refused_requests(server, 10, "after")
    assert wait_until(lambda: len(written("after-")) == 10, 10), "what comes after is written again"
    assert server.metrics()[DROPPED] == num_dropped, "nothing more is lost"
    frozen = written("frozen-")
    assert len(frozen) + num_dropped == MORE_THAN_IT_HOLDS, "each line is written or counted"
    assert len(set(frozen)) == len(frozen) and frozen[-1] == last, "the oldest ones go first"
    numbers = [int(line.rpartition("-")[2]) for line in frozen]
    assert numbers == sorted(numbers)


def test_every_line_of_a_request_names_its_trace(start_logging_to, pipe):
    pipe.read()
    server = start_logging_to("file")
    traces = {}
    for i, options in enumerate(({}, {"stream": True}, {"n": 2})):
        traces[chat(server, **options)[1]["x-trace-id"]] = 200
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    status, headers, _ = server.request("POST", "/v1/chat/completions", b"{", {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    assert status == 400 and headers["x-trace-id"] == trace_id
    traces[trace_id] = 400
    traces[server.request("GET", "/v1/nothing")[1]["x-trace-id"]] = 404
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps({"model": "default", "messages": [{"role": "user", "content": "Hi"}], "stream": True}))
        gone = connection.getresponse()
        traces[gone.getheader("x-trace-id")] = 499
        gone.read(10)
    of_requests = lambda: [line for line in pipe.lines() if line["event"] == "request"]  # noqa: E731
    assert wait_until(lambda: len(of_requests()) >= len(traces), 10), of_requests()
    for line in of_requests():
        assert TRACE_ID.fullmatch(line["trace_id"]) and SPAN_ID.fullmatch(line["span_id"]), line
    assert {line["trace_id"]: line["status"] for line in of_requests()} == traces
    for line in pipe.lines():
        assert "trace_id" in line or "id" not in line, f"a line of a request without its trace: {line}"
