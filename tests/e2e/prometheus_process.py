"""Prometheus, Alertmanager and node-exporter of a test's own, on free ports of loopback, and what feeds them and hears from them."""
import http.client
import json
import shutil
import subprocess
import threading
import urllib.parse
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from serving import free_port, wait_until


def need(program):
    """Its path; without it the test cannot be run here (tools/packages.sh has the package)."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"there is no {program}")
    return path


class Daemon:
    """A process that serves HTTP on a port of ours. The services that Debian's packages may start on their own ports are left alone."""

    program = ready_path = ""

    def __init__(self, folder, flags=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log_path = self.folder / f"{self.program}.log"
        command = [need(self.program), f"--web.listen-address={self.address}", *flags]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not wait_until(self._is_ready, 30):
            self.stop()
            raise RuntimeError(f"{self.program} did not start:\n{self.log_path.read_text()[-3000:]}")

    def _is_ready(self):
        if self.process.poll() is not None:
            return False
        try:
            return self.get(self.ready_path)[0] == 200
        except OSError:
            return False

    def get(self, path, **parameters):
        """(status, text) of a GET."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path + ("?" + query if query else ""))
            response = connection.getresponse()
            return response.status, response.read().decode()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Prometheus(Daemon):
    program, ready_path = "prometheus", "/-/ready"

    def __init__(self, folder, config_path, data_path=None):
        super().__init__(folder, [f"--config.file={config_path}", f"--storage.tsdb.path={data_path or Path(folder) / 'data'}",
                                  "--storage.tsdb.retention.time=50y", "--enable-feature=exemplar-storage"])

    def api(self, path, **parameters):
        """The data of an answer; what it refuses is an assertion with its words."""
        _, text = self.get("/api/v1/" + path, **parameters)
        answer = json.loads(text)
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def query(self, expr, time=None):
        """[(labels, value)] of an instant query."""
        found = self.api("query", query=expr, **({} if time is None else {"time": time}))
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in found["result"]]

    def query_range(self, expr, start, end, step):
        """[(labels, {time: value})]."""
        found = self.api("query_range", query=expr, start=start, end=end, step=step)
        return [(series["metric"], {float(t): float(value) for t, value in series["values"]}) for series in found["result"]]

    def label_values(self, label, selector=None, start=None, end=None):
        parameters = {key: value for key, value in (("match[]", selector), ("start", start), ("end", end)) if value is not None}
        return self.api(f"label/{label}/values", **parameters)

    def alerts(self):
        return self.api("alerts")["alerts"]


class Alertmanager(Daemon):
    program, ready_path = "prometheus-alertmanager", "/-/ready"

    def __init__(self, folder, config_path):
        super().__init__(folder, [f"--config.file={config_path}", f"--storage.path={Path(folder) / 'data'}", "--cluster.listen-address="])


class NodeExporter(Daemon):
    program, ready_path = "prometheus-node-exporter", "/metrics"


class LocalHttpd:
    """A small HTTP server in a thread; port 0: any free one."""

    def __init__(self, handler, port=0, listener=ThreadingHTTPServer):
        self._httpd = listener(("127.0.0.1", port), handler)
        self._httpd.daemon_threads = True
        self.port = self._httpd.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self):
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Exporter(LocalHttpd):
    """Serves what `text()` returns as OpenMetrics: a process whose numbers the test makes up."""

    def __init__(self, text):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(Handler)


class WebhookReceiver(LocalHttpd):
    """What an incident tool would be: keeps every message that Alertmanager sends, and may refuse some."""

    def __init__(self):
        self.messages = []
        self.refuse_next = 0  # messages that are answered 503, as by a tool that is being restarted
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = 200
                if receiver.refuse_next > 0:
                    receiver.refuse_next -= 1
                    status = 503
                else:
                    receiver.messages.append(message)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(Handler)
        self.url = f"http://{self.address}/alerts"

    def alerts(self, status, **labels):
        """Those that arrived with this status and these labels."""
        return [alert for message in list(self.messages) for alert in message["alerts"]
                if alert["status"] == status and labels.items() <= alert["labels"].items()]
