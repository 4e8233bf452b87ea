"""One running `autoglm gateway`, as the tests see it."""
import http.client
import re
import signal
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import openai
import pytest
from serving import Server

READY = re.compile(r"Gateway ready at http://([\d.]+):(\d+)/v1")
ADMIN = re.compile(r"Status, metrics: http://([\d.]+):(\d+)/")


def need_tracing(binary, folder):
    """Tests of what came with the gateway's tracing cannot be run with one that is older."""
    path = Path(folder) / "with_tracing.yaml"
    path.write_text("tracing: {sample: 1}\nroutes: [{name: main, upstreams: ['http://127.0.0.1:1']}]\n")
    done = subprocess.run([str(binary), "gateway", str(path), "--check-config"], capture_output=True, text=True)
    if done.returncode != 0 and "tracing" in done.stderr + done.stdout:
        pytest.skip("this gateway knows no 'tracing'")


class Gateway(Server):
    """Starts the gateway with a configuration text and waits until it serves."""

    def __init__(self, binary, folder, config, *flags):
        self.folder = Path(folder)
        self.config_path = self.folder / "gateway.yaml"
        self.config_path.write_text(config)
        self.log_path = self.folder / "gateway.log"
        self._log = open(self.log_path, "wb")
        command = [str(binary), "gateway", str(self.config_path), "--log-format", "json", *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log)
        killer = threading.Timer(30, self.process.kill)
        killer.start()
        self.stdout = ""
        while not ADMIN.search(self.stdout):
            raw = self.process.stdout.readline()
            if not raw:
                raise RuntimeError(f"did not start: {self.stdout}\n{self.log_path.read_text()}")
            self.stdout += raw.decode()
        killer.cancel()
        match, admin = READY.search(self.stdout), ADMIN.search(self.stdout)
        self.host, self.port = match[1], int(match[2])
        self.admin_port = int(admin[2])
        self.url = f"http://{self.host}:{self.port}"
        threading.Thread(target=self._read_rest, daemon=True).start()

    def client(self, **options):
        options = {"max_retries": 0, "timeout": 60, "api_key": "none"} | options
        return openai.OpenAI(base_url=self.url + "/v1", **options)

    def admin(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, self.admin_port, timeout=60)
        with closing(connection):
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()

    def metric_lines(self, name, headers=None):
        status, _, body = self.admin("GET", "/metrics", headers=headers)
        assert status == 200
        return [line for line in body.decode().splitlines() if line.startswith(name)]

    def num_refused(self, reason=None):
        """How many requests it has refused so far, for one reason or for any."""
        name = "autoglm_gw_refused_total{" + (f'reason="{reason}"}}' if reason else "")
        return sum(float(line.rpartition(" ")[2]) for line in self.metric_lines(name))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.wait() == 0, self.log_path.read_text()[-3000:]
