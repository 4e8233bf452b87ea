#!/usr/bin/env python3
"""Does the time to the first token tell one tenant what another has sent?

    bench/timing_isolation.py [--model MODEL.gguf] [--probes 200]

Two tenants with keys of their own. Before each probe tenant `one` sends either the very prompt that tenant `two` will send, or another of the
same length; the order is random. Reported is how well the time of `two`'s probe separates the two cases: the area under the ROC curve (0.5: not at all,
1: always) and the Kolmogorov-Smirnov distance against what chance gives. As a control `one` probes itself: there the cache must show.
"""
import argparse
import http.client
import json
import math
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import Server, add_common_arguments, check_files, machine, version_of
from token_gaps import WORDS


def ask(server, key, prompt):
    """Milliseconds to the answer of one token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    body = json.dumps({"model": "default", "prompt": prompt, "max_tokens": 1, "temperature": 0})
    started = time.perf_counter()
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    elapsed = time.perf_counter() - started
    connection.close()
    return 1000 * elapsed


def probe(server, rng, sender, prober, count):
    times = {True: [], False: []}
    for _ in range(count):
        prompt = " ".join(rng.choice(WORDS) for _ in range(200))
        known = rng.random() < 0.5
        ask(server, sender, prompt if known else " ".join(rng.choice(WORDS) for _ in range(200)))
        times[known].append(ask(server, prober, prompt))
    return times


def area(known, fresh):
    wins = sum((k < f) + 0.5 * (k == f) for k in known for f in fresh)
    return wins / (len(known) * len(fresh))


def distance(known, fresh):
    steps = sorted(known + fresh)
    return max(abs(sum(k <= s for k in known) / len(known) - sum(f <= s for f in fresh) / len(fresh)) for s in steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--probes", type=int, default=200)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "state" / "keys.db"
        keys = [subprocess.run([a.binary, "keys", "create", "--name", name, "--tenant", name, "--database", database], check=True,
                               capture_output=True, text=True).stdout.strip() for name in ("one", "two")]
        command = [a.binary, "serve", a.model, "--port", "{port}", "--keys-database", database]
        with Server(command, "/ready", Path(folder) / "server.log") as server:
            probe(server, rng, keys[0], keys[1], 5)
            results = {"another tenant's prompt": probe(server, rng, keys[0], keys[1], a.probes),
                       "the tenant's own prompt (control)": probe(server, rng, keys[0], keys[0], a.probes // 4)}
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.probes} probes\n")
    print("| the probe finds | sent before, median ms | not sent, median ms | area under ROC | KS distance | chance (5 %) |\n| --- | --- | --- | --- | --- | --- |")
    for name, times in results.items():
        known, fresh = times[True], times[False]
        chance = 1.36 * math.sqrt((len(known) + len(fresh)) / (len(known) * len(fresh)))
        print(f"| {name} | {statistics.median(known):.1f} | {statistics.median(fresh):.1f} | {area(known, fresh):.2f} | "
              f"{distance(known, fresh):.2f} | {chance:.2f} |")


if __name__ == "__main__":
    main()
