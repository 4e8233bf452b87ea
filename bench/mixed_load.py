#!/usr/bin/env python3
"""How soon does an urgent request begin to be answered while the engine is full of work that can wait?

    bench/mixed_load.py [--model MODEL.gguf] [--clients 16] [--urgent 60] [--rounds 3]

Urgent requests (priority -10, about 60 fresh tokens, 16 out) come one after the other with pauses: first alone, then while `clients`
others keep sending requests that can wait (priority 10, up to 1500 fresh tokens in, 128 out), then so with no priorities at all. Reported
are the times to the first token, their ratio, and what the others got through meanwhile.
"""
import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import add_common_arguments, autoglm, chat_body, check_files, machine, text_events, version_of
from token_gaps import WORDS, percentile


def words(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


class Load:
    """Clients that send one request after another until they are stopped."""

    def __init__(self, server, clients, priority):
        self.server, self.priority = server, priority
        self.stop, self.tokens, self.refused = threading.Event(), 0, 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        rng = random.Random(f"{self.priority} {seed} {time.time()}")  # fresh: nothing of it is cached
        while not self.stop.is_set():
            body = chat_body(words(rng, rng.choice((50, 200, 600, 1200))), 128, stream=False, priority=self.priority)
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=600)
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            if response.status == 200 and not self.stop.is_set():
                self.tokens += answer["usage"]["total_tokens"]
            elif response.status != 200:
                self.refused += 1
                time.sleep(1)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def first_tokens(server, count, priority, rng):
    """Milliseconds to the first token of `count` urgent requests."""
    times = []
    for _ in range(count):
        time.sleep(rng.uniform(0.1, 0.5))
        started = time.perf_counter()
        events = list(text_events(server, chat_body(words(rng, 40), 16, priority=priority)))
        times.append(1000 * (events[0] - started))
    return times


def measure(binary, model, log, a, rng):
    result = {}
    with autoglm(binary, model, log) as server:
        first_tokens(server, 5, -10, rng)
        result["alone"] = first_tokens(server, a.urgent, -10, rng)
        for name, urgent, others in (("with priorities", -10, 10), ("without", 0, 0)):
            load = Load(server, a.clients, others)
            time.sleep(5)
            before, tokens = time.perf_counter(), load.tokens
            result[name] = first_tokens(server, a.urgent if urgent else a.urgent // 3, urgent, rng)
            result[f"{name}: rate"] = (load.tokens - tokens) / (time.perf_counter() - before)
            load.end()
        result["interrupts"] = server.metric("autoglm_num_interrupts_total")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--urgent", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        rounds = []
        for number in range(a.rounds):
            rounds.append(measure(a.binary, a.model, Path(folder) / "server.log", a, rng))
            print(f"round {number + 1}", file=sys.stderr, flush=True)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.rounds} rounds of {a.urgent} urgent "
          f"requests beside {a.clients} clients\n")
    print("| urgent requests | time to first token, median ms | P95 ms | P95 to alone (by round) | others' tokens/s |\n| --- | --- | --- | --- | --- |")
    for name in ("alone", "with priorities", "without"):
        times = [t for r in rounds for t in r[name]]
        ratios = [percentile(r[name], 0.95) / percentile(r["alone"], 0.95) for r in rounds]
        rate = "" if name == "alone" else f"{statistics.median(r[f'{name}: rate'] for r in rounds):.0f}"
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"| {name} | {statistics.median(times):.1f} | {percentile(times, 0.95):.1f} | {spread} | {rate} |")
    print(f"\nSteps given up for an urgent request: {', '.join(str(int(r['interrupts'])) for r in rounds)}.")


if __name__ == "__main__":
    main()
