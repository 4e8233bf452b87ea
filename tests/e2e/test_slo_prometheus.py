"""`autoglm slo` beside a real Prometheus that has our rules and scrapes what a server exports."""
import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

SLO = {"slo": [{"service": "api", "name": "good", "objective": "availability", "target": 99, "unit": "percent", "path": "/v1/good"},
               {"service": "api", "name": "bad", "objective": "95th_percentile_latency", "target": 1, "unit": "seconds"},
               {"service": "api", "name": "silent", "objective": "availability", "target": 99, "unit": "percent", "path": "/v1/none"}]}


class Metrics(http.server.BaseHTTPRequestHandler):
    """Ten requests a second since the test began: those for /v1/good succeed, generations take longer than a second."""
    started = time.time()

    def do_GET(self):
        num = int((time.time() - self.started) * 10)
        name = "autoglm_e2e_request_latency_seconds"
        body = (f'autoglm_http_requests_total{{path="/v1/good",code="200"}} {num}\n'
                f'{name}_bucket{{model_name="m",le="1.0"}} 0\n{name}_bucket{{model_name="m",le="+Inf"}} {num}\n'
                f'{name}_count{{model_name="m"}} {num}\n')
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def slo_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slo") / "slo.json"
    path.write_text(json.dumps(SLO))
    return path


@pytest.fixture(scope="module")
def prometheus(binary, slo_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prometheus")
    exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    subprocess.run([binary, "slo", "rules", slo_file, "-o", folder], check=True)
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(folder / "slo.rules.yml")],
        "scrape_configs": [{"job_name": "autoglm", "static_configs": [{"targets": [f"127.0.0.1:{exporter.server_port}"]}]}]}))
    port = free_port()
    process = subprocess.Popen(["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address=127.0.0.1:{port}",
                                f"--storage.tsdb.path={folder / 'data'}"], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    yield url
    process.terminate()
    process.wait(timeout=30)
    exporter.shutdown()


def status(autoglm, prometheus, slo_file):
    done = autoglm("slo", "status", "--prometheus", prometheus, slo_file, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {"slos": []}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.5)


def test_budgets_and_the_gate_come_from_prometheus(autoglm, prometheus, slo_file):
    def is_paging():
        found = {slo["name"]: slo for slo in status(autoglm, prometheus, slo_file)["slos"]}
        return "good" in found and found["good"].get("total", 0) > 0 and {"severity": "page", "state": "firing"} in found["bad"].get("alerts", [])

    wait_for(is_paging)
    found = {slo["name"]: slo for slo in status(autoglm, prometheus, slo_file)["slos"]}
    assert found["good"]["budget_remaining"] == 1
    assert found["bad"]["budget_remaining"] == pytest.approx(-19)
    assert found["bad"]["bad"] == found["bad"]["total"] > 0
    assert "no record" in found["silent"]["unknown"]

    def gate(name):
        return autoglm("slo", "gate", "--prometheus", prometheus, slo_file, "--objective", name).returncode

    assert [gate(name) for name in ("good", "bad", "silent", "nobody")] == [0, 1, 3, 3]
    closed = autoglm("slo", "gate", "--prometheus", prometheus, slo_file)
    assert closed.returncode == 1
    assert closed.stdout.startswith("closed: api-bad: ") and closed.stdout.count("\n") == 1


def test_lint_reads_the_exporter(autoglm, prometheus, slo_file):
    """The boundary is written 1.0 and found; another is not."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/targets", timeout=5) as answer:
        target = json.load(answer)["data"]["activeTargets"][0]["scrapeUrl"]
    assert autoglm("slo", "lint", slo_file, "--metrics", target).returncode == 0
    other = slo_file.with_name("other.json")
    other.write_text(json.dumps({"slo": {"service": "api", "objective": "95th_percentile_latency", "target": 2, "unit": "seconds"}}))
    lint = autoglm("slo", "lint", other, "--metrics", target)
    assert lint.returncode == 1 and 'no bucket le="2"' in lint.stdout


def test_a_prometheus_that_is_gone_opens_nothing(autoglm, slo_file):
    gone = autoglm("slo", "gate", "--prometheus", f"http://127.0.0.1:{free_port()}", slo_file)
    assert gone.returncode == 3 and gone.stdout.startswith("unknown: ")
