"""A real Jaeger of a test's own, where one has been built: AUTOGLM_JAEGER, or tests/jaeger in the cache folder. Six minutes of two cores build it:

    go mod init any && go get -tool github.com/jaegertracing/jaeger/cmd/all-in-one@v1.76.0
    CGO_ENABLED=0 go build -o ~/.cache/autoglm/tests/jaeger github.com/jaegertracing/jaeger/cmd/all-in-one
"""
import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import CACHE
from prometheus_process import Daemon
from serving import free_port, wait_until


def program():
    path = Path(os.environ.get("AUTOGLM_JAEGER") or CACHE / "tests/jaeger")
    if not path.exists():
        pytest.skip(f"there is no Jaeger at {path}")
    return path


class Jaeger(Daemon):
    """All in one process, spans in memory. `url` takes OTLP."""

    program = "jaeger"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, otlp = free_port(), free_port()
        self.url = f"http://127.0.0.1:{otlp}"
        self.log_path = self.folder / "jaeger.log"
        ports = {"query.http-server": self.port, "collector.otlp.http": otlp}
        ports |= {name: free_port() for name in ("query.grpc-server", "collector.otlp.grpc", "collector.grpc-server", "collector.http-server", "admin.http")}
        flags = [f"--{name}.host-port=127.0.0.1:{port}" for name, port in ports.items()]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program(), "--collector.otlp.enabled", *flags], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not wait_until(self._is_ready, 60):
            self.stop()
            raise RuntimeError(f"Jaeger did not start:\n{self.log_path.read_text()[-3000:]}")

    ready_path = "/api/services"

    def trace(self, trace_id):
        """Its spans, none while it is unknown."""
        status, text = self.get(f"/api/traces/{trace_id}")
        return json.loads(text)["data"][0]["spans"] if status == 200 else []

    def wait_for_trace(self, trace_id, num_spans, timeout_s=20):
        assert wait_until(lambda: len(self.trace(trace_id)) >= num_spans, timeout_s), self.trace(trace_id)
        return self.trace(trace_id)
