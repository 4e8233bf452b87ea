"""A real Zipkin of a test's own, from Maven's central repository; Maven keeps it for the next run."""
import functools
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from prometheus_process import Daemon, need
from serving import free_port, wait_until

VERSION = "3.5.1"
SHA256 = "7ac633a6832647e71e50012a5e3e91fbc7054414955261724526030faf271d8d"
JAR = Path.home() / f".m2/repository/io/zipkin/zipkin-server/{VERSION}/zipkin-server-{VERSION}-exec.jar"
GET = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get"


@functools.cache
def fetch():
    """Why it cannot be had; empty: it is there."""
    if JAR.exists():
        return ""
    command = [need("mvn"), "-q", "-B", GET, f"-Dartifact=io.zipkin:zipkin-server:{VERSION}:jar:exec", "-Dtransitive=false"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        return "no answer within 240 s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-300:] or f"status {done.returncode}"


def jar():
    """A machine that does not reach the repository has no Zipkin; what it would be told is read strictly elsewhere, too."""
    java = need("java")
    if reason := fetch():
        pytest.skip(f"Zipkin cannot be fetched from Maven's central repository: {reason}")
    assert hashlib.sha256(JAR.read_bytes()).hexdigest() == SHA256, f"{JAR} is not what it should be: remove it"
    return java, JAR


class Zipkin(Daemon):
    """Keeps spans in memory."""

    program = "zipkin"

    def __init__(self, folder):
        java, path = jar()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = self.folder / "zipkin.log"
        command = [java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-jar", str(path), f"--server.port={self.port}", "--armeria.ports[0].ip=127.0.0.1",
                   f"--armeria.ports[0].port={self.port}", "--armeria.ports[0].protocols=http"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not wait_until(self._is_ready, 90):
            self.stop()
            raise RuntimeError(f"Zipkin did not start:\n{self.log_path.read_text()[-3000:]}")

    ready_path = "/health"

    def trace(self, trace_id):
        """Its spans, none while it is unknown."""
        status, text = self.get(f"/api/v2/trace/{trace_id}")
        return json.loads(text) if status == 200 else []

    def wait_for_trace(self, trace_id, num_spans, timeout_s=20):
        assert wait_until(lambda: len(self.trace(trace_id)) >= num_spans, timeout_s), self.trace(trace_id)
        return self.trace(trace_id)
