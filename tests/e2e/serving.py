"""One running `autoglm serve`, as the tests see it: its address, its metrics, its log, its end."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import openai

LISTENING = re.compile(r"Listening on http://([\d.]+):(\d+)")
METRIC = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")


class Server:
    """Starts the binary, on a free port unless one is given, and waits until it listens."""

    def __init__(self, binary, model, log_path, *flags, port=0, start_timeout_s=60, env=None):
        self.log_path = Path(log_path)
        self._log = open(self.log_path, "wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen([str(binary), "serve", str(model), "--port", str(port), *flags], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self._log, env=env)
        killer = threading.Timer(start_timeout_s, self.process.kill)
        killer.start()
        self.stdout = ""
        for raw in self.process.stdout:
            self.stdout += raw.decode()
            match = LISTENING.search(self.stdout)
            if match:
                break
        killer.cancel()
        if not match:
            raise RuntimeError(f"did not start: {self.stdout}\n{self.log_path.read_text()}")
        self.host, self.port = match[1], int(match[2])
        self.url = f"http://{self.host}:{self.port}"
        # What else it prints must not block it.
        self._drain = threading.Thread(target=self._read_rest, daemon=True)
        self._drain.start()

    def _read_rest(self):
        for raw in self.process.stdout:
            self.stdout += raw.decode()

    @property
    def pid(self):
        return self.process.pid

    def client(self, **options):
        options = {"max_retries": 0, "timeout": 120} | options
        return openai.OpenAI(base_url=self.url + "/v1", api_key="none", **options)

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers with lower-case names, body bytes) of one plain HTTP exchange."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def post(self, path, value, **options):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.request("POST", path, body, {"Content-Type": "application/json"}, **options)

    def metrics(self):
        """{name: sum over its labels} of the samples on /metrics."""
        status, _, body = self.request("GET", "/metrics")
        assert status == 200
        found = {}
        for line in body.decode().splitlines():
            match = METRIC.match(line)
            if match and 'le="' not in (match[2] or ""):
                found[match[1]] = found.get(match[1], 0.0) + float(match[3])
        return found

    def wait_for_metric(self, name, value, timeout_s=10):
        assert wait_until(lambda: self.metrics()[name] == value, timeout_s), f"{name} is {self.metrics()[name]}, not {value}"

    def memory_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_events(self, event):
        """The log lines with this event name."""
        lines = (json.loads(line) for line in self.log_path.read_text().split("\n") if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]

    def _thread_states(self):
        """Where every thread stands: the evidence when a server hangs."""
        tasks = sorted(Path(f"/proc/{self.pid}/task").iterdir())
        return [" ".join((t / name).read_text().strip() for name in ("comm", "wchan", "syscall")) for t in tasks]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s=60):
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {timeout_s} s: {self._thread_states()}\n{self.log_path.read_text()[-1000:]}") from None
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._log.close()

    def stop(self):
        """Ends it as an operator would, and holds it to a clean end."""
        if self.process.poll() is None:
            self.terminate()
        code = self.wait()
        assert code == 0, f"exit code {code}:\n{self.log_path.read_text()[-3000:]}"
        checks = self.log_events("integrity_check")
        assert checks and checks[-1]["ok"] is True, f"integrity check at the end: {checks}"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, timeout_s):
    """Polls; True as soon as the condition holds."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
