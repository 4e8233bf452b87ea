#!/usr/bin/env python3
"""Is every nanosecond of every request told, and is it the time that the client saw?

    bench/request_stages.py [--requests 10000] [--clients 12] [--seed 1] [--minutes 60] [--out stages.json]

Clients of all kinds at once: plain and streamed answers, shared prompts, two choices, stop strings, deadlines, requests that fail, clients that
leave, slow readers, and long answers that take each other's memory. Then each request's record is asked for and held to: its stages add up
to its total, none is negative, its pieces lie within it, it says what the client got, and the client's total less the server's is what
sending and receiving takes. Reported: what no stage explains, and that difference, at the client and at the client's kernel.
"""
import argparse
import collections
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import add_common_arguments, autoglm, check_files, machine, version_of
from servebench import WORDS
from stamped_http import Connection, begin_stamping

CHAT = "/v1/chat/completions"
SHARED = "You are the harbour master of a small town and answer in few words. " * 6
FLAGS = ("--kv-memory", "16M", "--context", "512", "--max-running", "8", "--max-queue-seconds", "0", "--log-format", "json")
TOLERANCE_NS = 1000
FIRST_TEXT = b'"delta":{"content":"'
# kind: share of the requests
SHARES = {"plain": 18, "streamed": 18, "shared prompt": 12, "two choices": 6, "stop string": 5, "deadline": 5, "left": 9, "left at once": 3,
          "bad request": 5, "unknown model": 3, "too long": 3, "other routes": 6, "slow reader": 2, "slow list": 1, "crowd": 4}
SLOW = ("slow reader", "slow list")
EXPECTED = {"plain": {200}, "streamed": {200}, "shared prompt": {200}, "two choices": {200}, "stop string": {200}, "deadline": {200, 503, 504},
            "bad request": {400}, "unknown model": {404}, "too long": {400}, "other routes": {200, 404, 405}, "slow reader": {200}, "slow list": {200}, "crowd": {200}}


def words(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def chat(content, max_tokens, system=None, **options):
    messages = ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": content}]
    return json.dumps({"model": "default", "messages": messages, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True} | options).encode()


def request_of(kind, rng):
    """(method, path, body, headers)"""
    tokens, stream = rng.randrange(1, 7), {"stream": True, "stream_options": {"include_usage": True}}
    question = words(rng, rng.randrange(2, 20))
    headers = {}
    if kind == "other routes":
        method, path = rng.choice((("GET", "/health"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/nothing"), ("DELETE", CHAT)))
        return method, path, None, headers
    if kind == "slow list":
        return "GET", "/v1/requests?limit=1000", None, headers
    if kind == "deadline":
        headers["x-request-timeout"] = f"{rng.choice((0.05, 0.2, 0.5, 2)):g}"
        body = chat(question, 12, **rng.choice((stream, {})))
    elif kind == "two choices":
        body = chat(question, tokens, n=2, **rng.choice((stream, {})))
    elif kind == "shared prompt":
        body = chat(question, tokens, system=SHARED, **rng.choice((stream, {})))
    elif kind == "stop string":
        body = chat(question, 8, stop=[" ", "e"])
    elif kind == "bad request":
        body = rng.choice((b"{", b"", b'{"model":"default"}', chat(question, 0), chat(question, 3, temperature="hot"), b"\xff" * 300))
    elif kind == "unknown model":
        body = chat(question, 3, model="none")
    elif kind == "too long":
        body = chat(words(rng, 1000), 3)
    elif kind == "crowd":
        body = chat(words(rng, 20), 60, priority=1, **rng.choice((stream, {})))
    elif kind.startswith("left"):
        body = chat(question, 60, **rng.choice((stream, {})))
    elif kind == "slow reader":
        body = chat(question, 12, n=4, **stream)
    else:
        body = chat(question, tokens, priority=rng.choice((0, 0, 0, -1)), **(stream if kind == "streamed" else {}))
    return "POST", CHAT, body, headers


class Checked:
    """What is known of one request at the end."""

    def __init__(self, kind, request_id, answer, record):
        self.kind, self.id, self.answer, self.record = kind, request_id, answer, record
        self.stages = record["stages_ns"]
        self.unexplained = self.stages.get("unexplained", 0) / max(1, record["total_ns"])

    @property
    def difference_ms(self):
        return (self.answer.total_ns - self.record["total_ns"]) / 1e6

    @property
    def kernel_difference_ms(self):
        return self.before_ms + self.after_ms

    @property
    def before_ms(self):
        """From when the first byte left the client's kernel to when the server had read it."""
        return (self.record["begun_unix_ns"] - self.answer.sent_unix_ns) / 1e6

    @property
    def after_ms(self):
        """From when the server's record ends to when the client's kernel had the last byte: negative where it had it before the server knew."""
        return (self.answer.kernel_unix_ns - self.record["begun_unix_ns"] - self.record["total_ns"]) / 1e6

    def problems(self):
        record, total = self.record, self.record["total_ns"]
        if record["state"] != "done":
            yield f"is still in {record['state']}"
        if abs(sum(self.stages.values()) - total) > TOLERANCE_NS:
            yield f"stages add up to {sum(self.stages.values())}, total is {total}"
        if min(self.stages.values(), default=0) < 0 or total <= 0:
            yield f"negative: {self.stages}, total {total}"
        if not 0 <= record.get("first_token_ns", 0) <= total:
            yield f"first token at {record['first_token_ns']} of {total}"
        for span in record["spans"]:
            # A microsecond for rounding.
            if span["begin_us"] + span["length_us"] > total / 1000 + 1:
                yield f"{span} ends after the request, {total / 1000} us"
        if bool(record.get("preemptions")) != bool(self.stages.get("preempted")):
            yield f"{record.get('preemptions', 0)} preemptions, {self.stages.get('preempted', 0)} ns of them"
        yield from self._answer_problems()

    def _answer_problems(self):
        record, answer = self.record, self.answer
        if answer is None:
            return
        if answer.status != record["status"] and not (answer.status == 200 and self.kind == "deadline"):  # a stream that ended with an error
            yield f"status {record['status']}, the client got {answer.status}"
        if record.get("client_gone"):
            yield "says that the client has gone, which it has not"
        if answer.status == 200 and self.kind not in ("other routes", "slow list", "deadline"):
            usage = usage_of(answer)
            told = (record["prompt_tokens"], record["completion_tokens"], record.get("cached_tokens", 0))
            got = (usage["prompt_tokens"], usage["completion_tokens"], usage.get("prompt_tokens_details", {}).get("cached_tokens", 0))
            if told != got:
                yield f"prompt, completion, cached tokens {told}, the client was told {got}"
            if not self.stages.get("prefill"):
                yield f"no prefill in {self.stages}"


def usage_of(answer):
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return json.loads(answer.body)["usage"]
    events = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line.startswith(b"data: {")]
    return next(event["usage"] for event in reversed(events) if event.get("usage"))


class Clients:
    def __init__(self, port, num_requests, seed, minutes):
        self.port, self.num_requests, self.seed = port, num_requests, seed
        self.deadline = time.monotonic() + 60 * minutes
        self.turn, self.lock = 0, threading.Lock()
        self.checked, self.missing, self.failed = [], [], []

    def next_turn(self):
        with self.lock:
            if self.turn == self.num_requests or time.monotonic() > self.deadline:
                return None
            self.turn += 1
            return self.turn

    def run(self):
        kept = None
        while (turn := self.next_turn()) is not None:
            rng = random.Random(self.seed * 1_000_003 + turn)
            kind = rng.choices(list(SHARES), SHARES.values())[0]
            try:
                kept = self.one(kind, f"stages-{turn}", rng, kept)
            except Exception as error:  # noqa: BLE001: what goes wrong is reported
                self.failed.append(f"stages-{turn} {kind}: {error!r}")
                kept = None
            if turn % 1000 == 0:
                print(f"{turn} requests", file=sys.stderr, flush=True)

    def one(self, kind, request_id, rng, kept):
        """Returns the connection if it can be used again."""
        method, path, body, headers = request_of(kind, rng)
        headers["x-request-id"] = request_id
        if kind in SLOW:
            kept, pause_s = Connection(self.port, receive_buffer=2048), 0.003
        else:
            kept, pause_s = kept if kept and rng.random() < 0.7 else Connection(self.port), 0.0
        answer = None
        if kind.startswith("left"):
            kept.send(method, path, body, headers)
            time.sleep(0 if kind == "left at once" else rng.random() ** 2)
            kept.close()
        else:
            answer = kept.ask(method, path, body, headers, pause_s=pause_s, mark=FIRST_TEXT)
            if answer.status not in EXPECTED[kind]:
                self.failed.append(f"{request_id} {kind}: {answer.status} {answer.body[:200]}")
        record = self.record_of(request_id)
        if record is None:
            self.missing.append((kind, request_id))
        else:
            self.checked.append(Checked(kind, request_id, answer, record))
        is_open = answer is not None and answer.headers.get("connection") != "close"
        return kept if is_open and kind not in SLOW else None

    def record_of(self, request_id):
        """When it is done; a server notices a little later that a client has left."""
        asking, record = Connection(self.port), None
        begun = time.monotonic()
        while time.monotonic() < begun + 20:
            answer = asking.ask("GET", f"/v1/requests/{request_id}/timing")
            record = json.loads(answer.body) if answer.status == 200 else None
            if record and record["state"] == "done" or answer.status == 404 and time.monotonic() > begun + 2:
                break  # or it never arrived whole
            time.sleep(0.01)
        asking.close()
        return record


def check_list(port, problems):
    """Those that asked for records have records too."""
    connection = Connection(port)
    listed = json.loads(connection.ask("GET", "/v1/requests?limit=1000").body)["data"]
    for record in listed:
        if abs(sum(record["stages_ns"].values()) - record["total_ns"]) > TOLERANCE_NS:
            problems.append(f"{record['id']} {record['route']}: stages add up to {sum(record['stages_ns'].values())}, total is {record['total_ns']}")
    return len(listed)


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return {"mean": statistics.fmean(ordered), "min": ordered[0], "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": ordered[-1], "n": len(ordered)}


def report(clients, num_listed, problems):
    by_kind = collections.defaultdict(list)
    for one in clients.checked:
        by_kind[one.kind].append(one)
    # A slow reader's last bytes lie in the kernel for as long as it likes.
    whole = [one for one in clients.checked if one.answer is not None and one.kind not in SLOW]
    first_text = [(one.answer.mark_ns - one.record["first_token_ns"]) / 1e6 for one in whole if one.answer.mark_ns and one.record.get("first_token_ns")]
    stage_ns = collections.Counter()
    for one in clients.checked:
        stage_ns.update(one.stages)
    return {
        "requests": clients.turn, "records": len(clients.checked), "records_of_those_that_asked": num_listed,
        "without_record": collections.Counter(kind for kind, _ in clients.missing),
        "largest_error_of_sum_ns": max(abs(sum(one.stages.values()) - one.record["total_ns"]) for one in clients.checked),
        "preemptions": sum(one.record.get("preemptions", 0) for one in clients.checked),
        "client_gone": sum(bool(one.record.get("client_gone")) for one in clients.checked),
        "write_blocked": sum(one.record.get("write_blocked_ns", 0) > 0 for one in clients.checked),
        "statuses": collections.Counter(str(one.record["status"]) for one in clients.checked),
        "unexplained_share": percentiles([one.unexplained for one in clients.checked]),
        "unexplained_ms": percentiles([one.stages.get("unexplained", 0) / 1e6 for one in clients.checked]),
        "client_less_server_ms": percentiles([one.difference_ms for one in whole]),
        "client_kernel_less_server_ms": percentiles([one.kernel_difference_ms for one in whole]),
        "before_server_ms": percentiles([one.before_ms for one in whole]), "after_server_ms": percentiles([one.after_ms for one in whole]),
        "kernel_difference_below_1_ms": statistics.fmean(abs(one.kernel_difference_ms) < 1 for one in whole),
        "difference_below_1_ms": statistics.fmean(abs(one.difference_ms) < 1 for one in whole),
        "client_first_text_less_server_first_token_ms": percentiles(first_text) if first_text else None,
        "stage_shares": {stage: ns / sum(stage_ns.values()) for stage, ns in stage_ns.most_common()},
        "kinds": {kind: {"records": len(some), "unexplained_share": percentiles([one.unexplained for one in some]),
                         "unexplained_us": percentiles([one.stages.get("unexplained", 0) / 1e3 for one in some]),
                         "total_ms": percentiles([one.record["total_ns"] / 1e6 for one in some]),
                         "client_kernel_less_server_ms": percentiles([one.kernel_difference_ms for one in some]) if some[0].answer else None}
                  for kind, some in sorted(by_kind.items())},
        "problems": problems, "failed": clients.failed,
        "largest_unexplained": [one.record for one in sorted(clients.checked, key=lambda one: -one.stages.get("unexplained", 0))[:3]],
        "outliers": [{"id": one.id, "kind": one.kind, "client_ms": one.answer.total_ns / 1e6, "before_ms": one.before_ms, "after_ms": one.after_ms,
                      "record": one.record} for one in sorted(whole, key=lambda one: -abs(one.kernel_difference_ms))[:5]],
    }


def print_table(found):
    ms = lambda p: f"{p['min']:.3f} | {p['p50']:.3f} | {p['p99']:.3f} | {p['max']:.3f}" if p else "| | | "  # noqa: E731
    share = lambda p: f"{p['mean']:.3%} | {p['p50']:.3%} | {p['p99']:.3%} | {p['max']:.3%}"  # noqa: E731
    print("| kind | records | total p50 ms | unexplained mean | p50 | p99 | largest | client less server min ms | p50 | p99 | largest |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, one in found["kinds"].items():
        difference = None if kind in SLOW else one["client_kernel_less_server_ms"]
        print(f"| {kind} | {one['records']} | {one['total_ms']['p50']:.1f} | {share(one['unexplained_share'])} | {ms(difference)} |")
    print(f"| all | {found['records']} | | {share(found['unexplained_share'])} | {ms(found['client_kernel_less_server_ms'])} |\n")
    for name in ("largest_error_of_sum_ns", "preemptions", "client_gone", "write_blocked", "statuses", "without_record", "difference_below_1_ms",
                 "kernel_difference_below_1_ms", "client_less_server_ms", "before_server_ms", "after_server_ms", "client_first_text_less_server_first_token_ms", "unexplained_ms"):
        print(f"{name}: {dict(found[name]) if isinstance(found[name], dict) else found[name]}")
    print("stages:", ", ".join(f"{stage} {of:.2%}" for stage, of in found["stage_shares"].items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="after which no more requests are begun")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, kernel {facts['kernel']}, {a.model.name}, {version_of(a.binary)}, seed {a.seed}\n", flush=True)
    problems, begun = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = autoglm(a.binary, a.model, Path(folder) / "log", *FLAGS)
        stamping = begin_stamping()
        try:
            clients = Clients(server.port, a.requests, a.seed, a.minutes)
            threads = [threading.Thread(target=clients.run) for _ in range(a.clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            num_listed = check_list(server.port, problems)
        finally:
            stamping.close()
            code = server.stop()
        problems += [f"{one.id} ({one.kind}): {problem}" for one in clients.checked for problem in one.problems()]
        # Whoever leaves before the request is read has none.
        problems += [f"{request_id} ({kind}): no record" for kind, request_id in clients.missing if kind != "left at once"]
        problems += clients.failed + ([f"exit code {code}"] if code else [])
    found = {"machine": facts, "binary": version_of(a.binary), "seconds": time.monotonic() - begun} | report(clients, num_listed, problems)
    print_table(found)
    if a.out:
        a.out.write_text(json.dumps(found, indent=1))
    for problem in problems[:20]:
        print("WRONG", problem)
    print(f"{found['requests']} requests in {found['seconds']:.0f} s, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
