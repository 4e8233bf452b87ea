"""What the benchmarks of the gateway share: replicas, the gateway in front of them, and clients that say what became of each request."""
import collections
import dataclasses
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Server, free_port

PLAIN, STREAM, EFFECT = "plain", "stream", "effect"
THINGS = ("rivers", "stones", "horses", "winter", "bread", "music", "ships", "gardens", "letters", "glass", "clouds", "mountains", "salt", "birds",
          "trains", "honey")
NUM_QUESTIONS = len(THINGS)


class Replica:
    """`autoglm serve` at one port, where it can be started again."""

    def __init__(self, binary, model, work, index, *flags, env=None):
        self.command = [binary, "serve", model, "--port", "{port}", "--threads", "1", "--keys-database", "off", "--log-format", "json", *flags]
        self.work, self.index, self.env, self.port = work, index, env, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.logs = []
        self.start()

    def start(self):
        self.logs.append(self.work / f"replica{self.index}-{len(self.logs)}.log")
        self.server = Server(self.command, "/ready", self.logs[-1], self.env, self.port)

    @property
    def pid(self):
        return self.server.process.pid

    def send(self, number):
        self.server.process.send_signal(number)

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()

    def stop(self):
        if self.server.process.poll() is None:
            self.send(signal.SIGCONT)
            self.server.stop()

    def post_ids(self, route):
        """How often each x-request-id was answered by this replica at a route, by its logs."""
        found = collections.Counter()
        for log in self.logs:
            for line in log.read_text().splitlines():
                if f'"route":"{route}"' in line:
                    found[json.loads(line)["id"]] += 1
        return found


class Gateway(Server):
    """`config` has {port} and {admin} where these go."""

    def __init__(self, binary, work, config, env=None):
        self.admin_port, port = free_port(), free_port()
        self.config_path = work / f"gateway-{port}.yaml"
        self.config_path.write_text(config.replace("{port}", str(port)).replace("{admin}", str(self.admin_port)))
        super().__init__([binary, "gateway", self.config_path, "--log-format", "json"], "/ready", work / f"gateway-{port}.log", env, port)

    def admin(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def upstreams(self):
        return {upstream["name"]: upstream for upstream in json.loads(self.admin("/gateway/status"))["routes"][0]["upstreams"]}

    def counted(self, name, label):
        """{label's value: sum} of a counter, without zeros."""
        found = collections.Counter()
        for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", self.admin("/metrics"), re.MULTILINE):
            match = re.search(rf'{label}="([^"]*)"', labels)
            found[match[1] if match else ""] += int(float(value))
        return {key: value for key, value in found.items() if value}

    def metric_of_admin(self, name):
        """Sum over its labels."""
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.admin("/metrics"), re.MULTILINE))

    def process_ids(self):
        """Of all processes that run this configuration: a successor is not our child."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (folder / "cmdline").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.config_path).encode() in arguments and b"gateway" in arguments and state != "Z":
                found.append(int(folder.name))
        return found

    def stop(self, timeout_s=60):
        for pid in self.process_ids():
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + timeout_s
        while self.process_ids() and time.monotonic() < end:
            self.process.poll()
            time.sleep(0.02)
        for pid in self.process_ids():
            os.kill(pid, signal.SIGKILL)
        return self.process.wait()


@dataclasses.dataclass
class Outcome:
    kind: str
    begun: float  # monotonic
    request_id: str
    ended: float = 0.0
    result: str = ""  # right, wrong, refused, error_event, cut, failed; of an effect: answered
    detail: str = ""
    upstream: str = ""
    attempts: int = 1
    tokens: int = 0

    @property
    def ms(self):
        return 1000 * (self.ended - self.begun)


def question(number, tokens, **options):
    content = f"Write one sentence about {THINGS[number]}."
    return {"model": "default", "messages": [{"role": "user", "content": content}], "max_tokens": tokens, "ignore_eos": True, **options}


class Client:
    """Asks and judges, given the right answers. `kept`: connections are kept, one a thread, as clients' libraries do."""

    def __init__(self, port, headers=None, plain_tokens=5, stream_tokens=40, kept=False):
        self.port, self.headers, self.kept = port, {"Content-Type": "application/json"} | (headers or {}), kept
        self.plain_tokens, self.stream_tokens = plain_tokens, stream_tokens
        self.answers = {}
        self.local = threading.local()
        self.num_reopened = 0  # kept connections that the server had closed meanwhile

    def learn(self, port):
        """The right answers, from a healthy server."""
        own, self.port = self.port, port
        for kind in (PLAIN, STREAM):
            for number in range(NUM_QUESTIONS):
                text, outcome = self.send(kind, number)
                known = self.answers.setdefault((kind, number), text)
                if outcome.result not in ("right", "wrong") or text != known:
                    raise RuntimeError(f"no answer to learn from: {outcome}")
        self.port = own

    def body(self, kind, number):
        if kind == PLAIN:
            return question(number, self.plain_tokens, temperature=0)
        if kind == STREAM:
            return question(number, self.stream_tokens, temperature=0.8, seed=number, stream=True)
        # A context is made: what would be there twice if it were sent twice. Its text is new, so that blocks are written.
        content = f"Note {uuid.uuid4()}: " + " ".join(THINGS)
        return {"model": "default", "messages": [{"role": "system", "content": content}], "ttl": 5, "pin": False}

    def send(self, kind, number):
        outcome = Outcome(kind, time.monotonic(), str(uuid.uuid4()))
        text = ""
        try:
            text = self.exchange(kind, number, outcome)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome.result = "cut" if kind == STREAM and outcome.upstream else "failed"
            outcome.detail = repr(error)
        outcome.ended = time.monotonic()
        return text, outcome

    def exchange(self, kind, number, outcome):
        path = "/v1/contexts" if kind == EFFECT else "/v1/chat/completions"
        body = json.dumps(self.body(kind, number))
        connection, response = self.begin(path, body, self.headers | {"x-request-id": outcome.request_id})
        try:
            headers = response.headers
            outcome.upstream, outcome.attempts = headers.get("x-gateway-upstream", ""), int(headers.get("x-gateway-attempts", 1))
            if response.status != 200:
                outcome.upstream = ""
                outcome.result, outcome.detail = "refused", f"{response.status} {response.read().decode(errors='replace')[:300]}"
                return ""
            if kind == STREAM:
                return self.read_stream(response, number, outcome)
            answer = json.loads(response.read())
            if kind == EFFECT:
                outcome.result = "answered"
                return ""
            text, outcome.tokens = answer["choices"][0]["message"]["content"], answer["usage"]["total_tokens"]
            outcome.result = "right" if text == self.answers.get((kind, number)) else "wrong"
            return text
        finally:
            if not self.kept or outcome.result in ("", "cut", "error_event"):
                connection.close()
                self.local.connection = None

    def begin(self, path, body, headers):
        connection = getattr(self.local, "connection", None)
        if connection is not None and connection.sock is not None:
            try:
                connection.request("POST", path, body, headers)
                return connection, connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # Closed while nothing was under way: every client opens another one then.
                self.num_reopened += 1
                connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, body, headers)
        if self.kept:
            self.local.connection = connection
        return connection, connection.getresponse()

    def read_stream(self, response, number, outcome):
        text, is_done = "", False
        for line in response:
            if line.startswith(b'data: {"error"'):
                outcome.result, outcome.detail = "error_event", line.decode(errors="replace").strip()
            elif line.startswith(b"data: [DONE]"):
                is_done = True
            elif line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices")
                text += (choices[0].get("delta", {}).get("content") or "") if choices else ""
        if outcome.result:
            return text
        outcome.result = "cut" if not is_done else "right" if text == self.answers.get((STREAM, number)) else "wrong"
        if outcome.result != "right":
            outcome.detail = text
        return text


class Load:
    """Requests that begin at a constant rate, whatever becomes of those before: who waits does not ask less often."""

    def __init__(self, client, rates, most=96):
        self.client, self.rates = client, rates
        self.outcomes, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.num_begun = 0
        self.pool = ThreadPoolExecutor(most)
        self.threads = [threading.Thread(target=self.begin, args=(kind, rate)) for kind, rate in rates.items() if rate > 0]
        for thread in self.threads:
            thread.start()

    def begin(self, kind, rate):
        number, at = 0, time.monotonic()
        while not self.over.wait(max(0, at - time.monotonic())):
            self.pool.submit(self.ask, kind, number % NUM_QUESTIONS)
            number, at = number + 1, at + 1 / rate

    def ask(self, kind, number):
        outcome = self.client.send(kind, number)[1]
        with self.lock:
            self.outcomes.append(outcome)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.pool.shutdown()
        return self.outcomes


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def latency(outcomes):
    times = [outcome.ms for outcome in outcomes]
    return {"n": len(times), "p50_ms": statistics.median(times) if times else float("nan"), "p99_ms": percentile(times, 0.99)}


def commit_of(root):
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
