"""The gateway in front of real replicas: what clients see when these die, are restarted, or are asked for too much."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_process import Gateway
from serving import Server, wait_until

QUESTION = {"model": "default", "messages": [{"role": "user", "content": "Tell me a long story about a river."}]}


def config_of(replicas, route="", top=""):
    upstreams = "\n".join(f"      - {{url: {replica.url}, engine: autoglm}}" for replica in replicas)
    return f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{top}routes:\n  - name: main\n    upstreams:\n{upstreams}\n{route}"


@pytest.fixture(scope="module")
def replicas(binary, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    servers = [Server(binary, model, folder / f"{i}.log", "--threads", "1") for i in range(2)]
    yield servers
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture
def gateway(binary, replicas, tmp_path):
    gateway = Gateway(binary, tmp_path, config_of(replicas))
    yield gateway
    gateway.stop()


def test_openai_client_works_through_the_gateway(gateway):
    client = gateway.client()
    answer = client.chat.completions.create(**QUESTION, max_tokens=8, temperature=0)
    assert answer.usage.completion_tokens == 8
    stream = client.chat.completions.create(**QUESTION, max_tokens=8, temperature=0, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == answer.choices[0].message.content


def test_both_replicas_are_used_and_the_status_says_why(gateway):
    for _ in range(6):
        assert gateway.post("/v1/chat/completions", QUESTION | {"max_tokens": 1})[0] == 200
    status, _, body = gateway.admin("GET", "/gateway/status")
    assert status == 200
    route = json.loads(body)["routes"][0]
    assert all(upstream["requests"] >= 1 and upstream["state"] == "available" for upstream in route["upstreams"]), body
    assert {"upstream", "scores", "total"} <= set(route["next_request"]["candidates"][0])


def test_refusals_are_told_apart_and_counted(gateway):
    assert gateway.post("/v1/chat/completions", "{")[0] == 400
    assert gateway.post("/v1/chat/completions", '{"model":"a","model":"b"}')[0] == 400
    assert gateway.request("GET", "/v1/%2e%2e/metrics")[0] == 400
    assert gateway.metric_lines('autoglm_gw_refused_total{reason="path"}') == ['autoglm_gw_refused_total{reason="path"} 1']


@pytest.mark.parametrize("smuggled", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "Content-Length: +5\r\n\r\nhello",
    "X: " + "y" * 70_000 + "\r\n\r\n",
    "X : y\r\nContent-Length: 0\r\n\r\n",
])
def test_messages_that_servers_frame_differently_get_nowhere(gateway, replicas, smuggled):
    before = sum(r.metrics()["autoglm_http_requests_total"] for r in replicas)
    with socket.create_connection((gateway.host, gateway.port), timeout=10) as connection:
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n{smuggled}".encode())
        answer = connection.recv(65536).decode()
    assert answer.split()[1] in ("400", "431", "501"), answer
    after = sum(r.metrics()["autoglm_http_requests_total"] for r in replicas)
    assert after - before <= 2 * len(replicas) + 10  # probes and these scrapes only


def test_limits_hold_however_many_ask_at_once(binary, replicas, tmp_path):
    key = "sk-autoglm-" + "k" * 40
    digest = subprocess.run(["sha256sum"], input=key.encode(), capture_output=True, check=True).stdout.decode().split()[0]
    top = f"policies:\n  few: {{requests_per_minute: 10}}\nkeys:\n  - {{name: one, sha256: {digest}, policy: few}}\n"
    gateway = Gateway(binary, tmp_path, config_of(replicas, top=top))
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    try:
        assert gateway.post("/v1/chat/completions", QUESTION)[0] == 401

        def ask(_):
            return gateway.request("POST", "/v1/chat/completions", json.dumps(QUESTION | {"max_tokens": 1}), headers)
        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(ask, range(64)))
        granted = [a for a in answers if a[0] == 200]
        refused = [a for a in answers if a[0] == 429]
        # A little is refilled while they are answered.
        assert 10 <= len(granted) <= 12 and len(granted) + len(refused) == 64
        assert all(int(headers["retry-after"]) >= 1 for _, headers, _ in refused)
    finally:
        gateway.stop()


def test_a_changed_file_takes_effect_and_a_broken_one_does_not(gateway, replicas):
    gateway.config_path.write_text(config_of(replicas[:1]))
    assert wait_until(lambda: len(gateway.log_events("config_reloaded")) == 1, 10)
    assert len(json.loads(gateway.admin("GET", "/gateway/status")[2])["routes"][0]["upstreams"]) == 1
    gateway.config_path.write_text("routes: 5\n")
    assert wait_until(lambda: gateway.log_events("config_rejected"), 10)
    assert "gateway.yaml:1" in gateway.log_events("config_rejected")[-1]["problem"]
    assert gateway.post("/v1/chat/completions", QUESTION | {"max_tokens": 1})[0] == 200


def test_check_config_names_file_and_line(binary, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text("listen: 127.0.0.1:1\nroutes:\n  - upstreams: [http://h:1]\n    policy: fastest\n")
    done = subprocess.run([binary, "gateway", path, "--check-config"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "gateway.yaml:4" in done.stderr and "round_robin" in done.stderr
    path.write_text("routes:\n  - upstreams: [http://127.0.0.1:8081]\n")
    assert subprocess.run([binary, "gateway", path, "--check-config"]).returncode == 0


def test_a_new_binary_takes_over_without_losing_a_request(gateway):
    failures, count, over = [], [0], threading.Event()

    def ask():
        while not over.is_set():
            try:
                status, _, body = gateway.request("POST", "/v1/chat/completions", json.dumps(QUESTION | {"max_tokens": 1}),
                                                  {"Content-Type": "application/json"})
                count[0] += 1
                if status != 200:
                    failures.append(body)
            except OSError as error:
                failures.append(error)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    gateway.process.send_signal(signal.SIGUSR2)
    assert gateway.wait() == 0  # the old one has handed over and ended
    time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join()
    successor = int(subprocess.run(["pgrep", "-nf", str(gateway.config_path)], capture_output=True, text=True).stdout)
    assert failures == [] and count[0] > 10
    os.kill(successor, signal.SIGTERM)
    assert wait_until(lambda: not os.path.exists(f"/proc/{successor}") or "Z" in open(f"/proc/{successor}/stat").read(), 20)
    gateway.stop = lambda: None




def test_kill_in_the_middle_of_a_stream_changes_nothing_in_it(binary, model, tmp_path):
    """Runs its own replicas, one of which dies."""
    servers = [Server(binary, model, tmp_path / f"replica{i}.log", "--threads", "1") for i in range(2)]
    gateway = Gateway(binary, tmp_path, config_of(servers))
    try:
        asked = QUESTION | {"max_tokens": 120, "temperature": 0.8, "seed": 11}
        whole = servers[0].client().chat.completions.create(**asked).choices[0].message.content
        stream = gateway.client().chat.completions.create(**asked, stream=True)
        text, ids = "", set()
        for number, chunk in enumerate(stream):
            ids.add(chunk.id)
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if number == 20:
                busy = max(servers, key=lambda s: s.metrics()["autoglm_num_requests_running"])
                busy.process.kill()
        assert text == whole
        assert len(ids) == 1
        assert gateway.metric_lines('autoglm_gw_continued_streams_total{outcome="continued"')
    finally:
        gateway.stop()
        for server in servers:
            server.process.kill()
            server.process.wait()


def test_kill_of_one_replica_loses_no_request(binary, model, tmp_path):
    servers = [Server(binary, model, tmp_path / f"replica{i}.log", "--threads", "1") for i in range(2)]
    gateway = Gateway(binary, tmp_path, config_of(servers))
    try:
        def ask(number):
            if number == 60:
                servers[1].process.kill()
            return gateway.post("/v1/chat/completions", QUESTION | {"max_tokens": 2})[0]
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(160)))
        assert statuses == [200] * 160
    finally:
        gateway.stop()
        for server in servers:
            server.process.kill()
            server.process.wait()
