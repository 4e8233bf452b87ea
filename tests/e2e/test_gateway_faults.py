"""The gateway in front of a replica in trouble: clients get the right answer all the same. bench/gateway_faults.py measures the same for longer."""
import collections
import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_proxy import FaultProxy
from gateway_process import Gateway
from serving import Server, wait_until

PROMPT = {"model": "default", "messages": [{"role": "user", "content": "Tell me a long story about a river."}], "temperature": 0}
SHORT = PROMPT | {"max_tokens": 4}
# A replica is left out soon and asked again soon; no timeout is near what a busy machine takes.
CONFIG = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
timeouts: {{connect: 2s, first_token: {first_token}, between_tokens: 4s}}
probes: {{interval: 200ms, timeout: 2s}}
health: {{probes_to_fall: 2, probes_to_rise: 1, slow_start: 0}}
breaker: {{failures_to_open: 3, open_for: 1s}}
routes:
  - name: main
    policy: {policy}
    upstreams:
"""


def start_replica(binary, model, folder, name, port=0):
    return Server(binary, model, folder / f"{name}.log", "--threads", "1", port=port)


def end(server):
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGCONT)
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="module")
def replicas(binary, model, tmp_path_factory):
    servers = [start_replica(binary, model, tmp_path_factory.mktemp("replicas"), str(i)) for i in range(2)]
    yield servers
    for server in servers:
        end(server)


@pytest.fixture
def proxy(replicas):
    """In front of the second replica."""
    proxy = FaultProxy(replicas[1].port)
    yield proxy
    proxy.stop()


@pytest.fixture
def start_gateway(binary, tmp_path):
    gateways = []

    def start(*urls, policy="round_robin", first_token="30s"):
        config = CONFIG.format(policy=policy, first_token=first_token)
        config += "".join(f"      - {{name: replica-{i}, url: {url}, engine: autoglm}}\n" for i, url in enumerate(urls))
        gateways.append(Gateway(binary, tmp_path, config))
        return gateways[-1]

    yield start
    for gateway in gateways:
        if gateway.process.poll() is None:
            gateway.stop()


def text_of(server, asked=SHORT):
    status, _, body = server.post("/v1/chat/completions", asked)
    assert status == 200, body
    return json.loads(body)["choices"][0]["message"]["content"]


def stream_of(server, asked):
    """The text of a stream that must end as a whole one does."""
    status, _, body = server.post("/v1/chat/completions", asked | {"stream": True})
    lines = body.decode().splitlines()
    assert status == 200 and "data: [DONE]" in lines, lines[-6:]
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert not any("error" in event for event in events), lines[-6:]
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


def state_of(gateway, name):
    upstreams = json.loads(gateway.admin("GET", "/gateway/status")[2])["routes"][0]["upstreams"]
    return next(upstream["state"] for upstream in upstreams if upstream["name"] == name)


def requests_of(gateway, name):
    upstreams = json.loads(gateway.admin("GET", "/gateway/status")[2])["routes"][0]["upstreams"]
    return next(upstream["requests"] for upstream in upstreams if upstream["name"] == name)


class Load:
    """Clients that ask one after the other, plain and streamed, until it ends; every answer must be the right one."""

    def __init__(self, gateway, right, num_clients=4):
        self.gateway, self.right, self.over = gateway, right, threading.Event()
        self.count, self.failures = collections.Counter(), []
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 1,)) for i in range(num_clients)]
        for thread in self.threads:
            thread.start()

    def run(self, is_streamed):
        while not self.over.is_set():
            try:
                text = (stream_of if is_streamed else text_of)(self.gateway, SHORT)
                self.count[is_streamed] += 1
                if text != self.right:
                    self.failures.append(f"wrong: {text!r}")
            except Exception as error:  # whatever a client sees is a finding
                self.failures.append(repr(error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_a_frozen_replica_is_left_out_and_its_requests_are_answered_by_others(replicas, start_gateway):
    right = text_of(replicas[0])
    gateway = start_gateway(*(replica.url for replica in replicas), first_token="4s")
    replicas[1].process.send_signal(signal.SIGSTOP)
    try:
        # Three at a time: as many retries as always have a place in the budget.
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda _: text_of(gateway), range(6))) == [right] * 6
        assert wait_until(lambda: state_of(gateway, "replica-1") != "available", 10)
        before = requests_of(gateway, "replica-1")
        assert [text_of(gateway) for _ in range(6)] == [right] * 6
        assert requests_of(gateway, "replica-1") == before
    finally:
        replicas[1].process.send_signal(signal.SIGCONT)
    assert wait_until(lambda: state_of(gateway, "replica-1") == "available", 10)
    assert [text_of(gateway) for _ in range(4)] == [right] * 4
    assert requests_of(gateway, "replica-1") > before


def test_a_stream_of_a_replica_that_freezes_goes_on_elsewhere(replicas, start_gateway):
    asked = PROMPT | {"max_tokens": 120, "temperature": 0.8, "seed": 3}
    right = text_of(replicas[0], asked)
    gateway = start_gateway(*(replica.url for replica in replicas))
    text, frozen = "", None
    try:
        for number, chunk in enumerate(gateway.client().chat.completions.create(**asked, stream=True)):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            if number == 5:
                frozen = max(replicas, key=lambda replica: replica.metrics()["autoglm_num_requests_running"])
                frozen.process.send_signal(signal.SIGSTOP)
    finally:
        for replica in replicas:
            replica.process.send_signal(signal.SIGCONT)
    assert text == right
    assert gateway.metric_lines('autoglm_gw_continued_streams_total{outcome="continued"')


def test_all_streams_of_a_replica_that_dies_go_on_elsewhere(binary, model, replicas, tmp_path, start_gateway):
    """More of them than the retry budget has places: nothing is done twice."""
    asked = PROMPT | {"max_tokens": 100, "temperature": 0.8, "seed": 5}
    right = text_of(replicas[0], asked)
    dying = start_replica(binary, model, tmp_path, "dying")
    try:
        gateway = start_gateway(replicas[0].url, dying.url)
        with ThreadPoolExecutor(16) as pool:
            streams = [pool.submit(stream_of, gateway, asked) for _ in range(16)]
            assert wait_until(lambda: dying.metrics()["autoglm_num_requests_running"] == 8, 20)
            dying.process.kill()
            assert [stream.result() for stream in streams] == [right] * 16
    finally:
        end(dying)


def test_all_requests_of_a_replica_that_froze_are_answered_by_others(replicas, start_gateway):
    """More of them than the retry budget has places; by then its probes have failed, so it does no work for them."""
    right = text_of(replicas[0])
    gateway = start_gateway(*(replica.url for replica in replicas), first_token="7s")
    replicas[1].process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(12) as pool:
            assert list(pool.map(lambda _: text_of(gateway), range(12))) == [right] * 12
    finally:
        replicas[1].process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("mode", ["status_500", "garbage", "reset"])
def test_answers_are_right_while_a_replica_answers_what_is_none(replicas, proxy, start_gateway, mode):
    """Its probes succeed meanwhile."""
    right = text_of(replicas[0])
    gateway = start_gateway(replicas[0].url, proxy.url)
    assert [text_of(gateway) for _ in range(4)] == [right] * 4
    proxy.set(mode)
    assert [text_of(gateway) for _ in range(16)] == [right] * 16
    assert proxy.num_faults >= 3  # as many as open the breaker
    assert state_of(gateway, "replica-1") != "available" or proxy.num_faults > 3  # or it is tried again by now
    proxy.set("pass")
    num_faults = proxy.num_faults
    assert wait_until(lambda: state_of(gateway, "replica-1") == "available", 10)
    before = requests_of(gateway, "replica-1")
    assert wait_until(lambda: text_of(gateway) == right and requests_of(gateway, "replica-1") >= before + 3, 10)
    assert proxy.num_faults == num_faults


@pytest.mark.parametrize("mode", ["status_500", "garbage", "reset"])
def test_what_does_more_than_generate_is_never_sent_twice(replicas, proxy, start_gateway, mode):
    gateway = start_gateway(replicas[0].url, proxy.url)
    before = len(json.loads(replicas[0].request("GET", "/v1/contexts")[2])["data"])
    proxy.set(mode)
    answered = 0
    for number in range(8):
        body = json.dumps({"messages": [{"role": "system", "content": f"Note {mode} {number}."}], "ttl": 600, "pin": False})
        status = gateway.request("POST", "/v1/contexts", body, {"Content-Type": "application/json", "x-request-id": f"{mode}-{number}"})[0]
        answered += status == 200
    assert proxy.num_faults >= 3
    assert max(proxy.posts.values()) == 1
    # Of those that the proxy saw none came to the other replica as well.
    made = len(json.loads(replicas[0].request("GET", "/v1/contexts")[2])["data"]) - before
    assert made + len(proxy.posts) == 8
    assert made <= answered


def test_a_slow_replica_delays_nobody_longer_than_the_first_token_may_take(replicas, proxy, start_gateway):
    right = text_of(replicas[0])
    gateway = start_gateway(replicas[0].url, proxy.url, first_token="3s")
    proxy.set("slow", 20)
    begin = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: text_of(gateway), range(4))) == [right] * 4
    assert time.monotonic() - begin < 15
    assert proxy.num_faults >= 1
    assert gateway.metric_lines('autoglm_gw_retries_total{reason="first_byte_timeout"')


def test_rolling_restart_of_all_replicas_loses_no_request(binary, model, tmp_path, start_gateway):
    servers = [start_replica(binary, model, tmp_path, f"first-{i}") for i in range(2)]
    try:
        right = text_of(servers[0])
        gateway = start_gateway(*(server.url for server in servers), policy="least_connections")
        with Load(gateway, right) as load:
            for i, old in enumerate(list(servers)):
                time.sleep(0.5)
                old.stop()  # SIGTERM: it drains
                servers[i] = start_replica(binary, model, tmp_path, f"second-{i}", old.port)
                assert wait_until(lambda i=i: state_of(gateway, f"replica-{i}") == "available", 15)
            time.sleep(0.5)
        assert load.failures == []
        assert min(load.count[False], load.count[True]) > 5
    finally:
        for server in servers:
            end(server)


def test_gateways_take_over_from_each_other_without_losing_a_request(replicas, start_gateway):
    right = text_of(replicas[0])
    gateway = start_gateway(*(replica.url for replica in replicas))
    pids = [gateway.pid]
    with Load(gateway, right) as load:
        for _ in range(3):
            time.sleep(0.5)
            os.kill(pids[-1], signal.SIGUSR2)
            assert wait_until(lambda: successors_of(gateway, pids) and not is_running(pids[-1]), 20)
            pids.append(successors_of(gateway, pids)[0])
        time.sleep(0.5)
    assert load.failures == []
    assert min(load.count[False], load.count[True]) > 5
    os.kill(pids[-1], signal.SIGTERM)
    assert wait_until(lambda: not is_running(pids[-1]), 20)
    assert gateway.wait() == 0


def successors_of(gateway, pids):
    found = subprocess.run(["pgrep", "-f", f"gateway {gateway.config_path}"], capture_output=True, text=True).stdout.split()
    return [int(pid) for pid in found if int(pid) not in pids and is_running(int(pid))]


def is_running(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
