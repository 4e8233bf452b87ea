#!/usr/bin/env python3
"""Are requests lost while the replicas behind a gateway, and the gateway itself, are restarted one after the other?

    bench/gateway_restart.py [--rounds 2] [--rate 16] [--out FILE.json]

Three replicas (`autoglm serve --threads 1`) behind `autoglm gateway`. Requests begin at a constant rate: short answers that are not streamed, and
streams with a seed that take longer; their right answers are known. First without restarts, then meanwhile

    replicas      each gets SIGTERM, drains, ends, and a new process starts at its port, one after the other, all of them `rounds` times
    gateway       SIGUSR2: a successor takes over the listening sockets, and the old process ends, four times a round
    both          the two at the same time

each with a connection for each request, and with connections that are kept. A kept connection that is closed while nothing is under way
is opened anew by the client, as all clients do; how often is reported. The exit code is 1 where a request failed or was answered wrong.
"""
import argparse
import collections
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import ROOT, add_common_arguments, check_files, machine, version_of
from fleet import PLAIN, STREAM, Client, Gateway, Load, Replica, commit_of, latency

CONFIG = """
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
timeouts: {connect: 1s, first_token: 10s, between_tokens: 10s}
probes: {interval: 500ms, timeout: 1s}
health: {probes_to_fall: 2, probes_to_rise: 1, slow_start: 1s}
breaker: {failures_to_open: 3, open_for: 1s}
routes:
  - name: main
    policy: least_connections
    upstreams:
"""
TAKEOVERS_PER_ROUND = 4


def nothing(gateway, replicas, rounds):
    time.sleep(4 * rounds)
    return {}


def restart_replicas(gateway, replicas, rounds):
    ends = []
    for replica in replicas * rounds:
        begin = time.monotonic()
        replica.stop()
        ends.append(time.monotonic() - begin)
        replica.start()
        wait_for(lambda: all(upstream["state"] == "available" for upstream in gateway.upstreams().values()), "the replica is not asked again")
    return {"replica_restarts": len(ends), "drained_s": max(ends)}


def restart_gateway(gateway, replicas, rounds):
    took = []
    for _ in range(rounds * TAKEOVERS_PER_ROUND):
        old, = gateway.process_ids()
        begin = time.monotonic()
        os.kill(old, signal.SIGUSR2)
        # The old one ends when its last answer is over.
        wait_for(lambda old=old: gateway.process.poll() is not None or old != gateway.process.pid, "the gateway does not end")
        wait_for(lambda old=old: gateway.process_ids() not in ([], [old]) and old not in gateway.process_ids(), "nobody has taken over")
        took.append(time.monotonic() - begin)
        time.sleep(0.5)
    return {"takeovers": len(took), "takeover_s": max(took)}


def restart_both(gateway, replicas, rounds):
    found = {}
    thread = threading.Thread(target=lambda: found.update(restart_gateway(gateway, replicas, rounds)))
    thread.start()
    found |= restart_replicas(gateway, replicas, rounds)
    thread.join()
    return found


CASES = {"nothing": nothing, "replicas": restart_replicas, "gateway": restart_gateway, "both": restart_both}


def wait_for(condition, problem, timeout_s=40):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, KeyError, ValueError):
            if condition():
                return
        time.sleep(0.02)
    raise RuntimeError(problem)


def run_case(name, a, work, replicas, client, kept):
    upstreams = "".join(f"      - {{url: \"{replica.url}\", engine: autoglm}}\n" for replica in replicas)
    with Gateway(a.binary, work, CONFIG + upstreams) as gateway:
        client.port, client.kept, client.num_reopened = gateway.port, kept, 0
        load = Load(client, {PLAIN: a.rate, STREAM: a.rate / 8})
        time.sleep(1)
        try:
            facts = CASES[name](gateway, replicas, a.rounds)
        finally:
            time.sleep(1)
            outcomes = load.end()
        if name != "both" and name != "gateway":
            facts["retries"] = sum(gateway.counted("autoglm_gw_retries_total", "reason").values())
    plain, streams = ([o for o in outcomes if o.kind == kind] for kind in (PLAIN, STREAM))
    wrong = [o for o in outcomes if o.result != "right"]
    return {"plain": dict(collections.Counter(o.result for o in plain)), "streams": dict(collections.Counter(o.result for o in streams)),
            "latency": latency(plain), "reopened": client.num_reopened, "facts": facts,
            "not_right": [[o.kind, o.result, o.detail[:300]] for o in wrong[:20]], "failed": len(wrong)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rate", type=float, default=16, help="plain requests a second; streams are an eighth of it")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    results = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        replicas = []
        for index in range(3):
            replicas.append(Replica(a.binary, a.model, work, index))
            stack.callback(replicas[-1].stop)
        client = Client(0, stream_tokens=60)
        client.learn(replicas[0].port)
        for name in CASES:
            for kept in (False, True):
                label = f"{name}, {'kept connections' if kept else 'a connection each'}"
                results[label] = run_case(name, a, work, replicas, client, kept)
                print(label, *results[label]["not_right"], sep="\n  ", file=sys.stderr, flush=True)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.rate:g} plain requests/s, "
          f"load {os.getloadavg()[1]:.1f}\n")
    print("| restarted | how often | plain: right / other | streams: right / other | P50 / P99 ms | opened anew |\n|" + " --- |" * 6)
    for label, f in results.items():
        often = f"{f['facts'].get('replica_restarts', 0)} replicas, {f['facts'].get('takeovers', 0)} gateways"
        counts = [f"{f[kind].get('right', 0)} / {sum(f[kind].values()) - f[kind].get('right', 0)}" for kind in ("plain", "streams")]
        print(f"| {label} | {often} | {' | '.join(counts)} | {f['latency']['p50_ms']:.0f} / {f['latency']['p99_ms']:.0f} | {f['reopened']} |")
    failed = sum(f["failed"] for f in results.values())
    print(f"\n{failed} requests failed." if failed else "\nNo request was lost.")
    if a.out:
        a.out.write_text(json.dumps({"machine": facts, "version": version_of(a.binary), "scripts": commit_of(ROOT), "config": CONFIG, "cases": results},
                                    indent=1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
