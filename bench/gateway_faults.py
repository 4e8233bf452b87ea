#!/usr/bin/env python3
"""What do clients of a gateway notice of a replica in trouble, and how soon is it over?

    bench/gateway_faults.py [--rate 16] [--seconds 10] [--policy least_connections] [--only killed frozen ...] [--out FILE.json]

Three replicas (`autoglm serve --threads 1`) stand behind `autoglm gateway` with the settings below. Requests begin at a constant rate, whatever
becomes of those before: short answers that are not streamed, a few streams with a seed, and POSTs that make something (/v1/contexts). The right
answers were learned from a healthy replica, so a wrong one is seen. A fresh gateway for each fault, which comes after a while and goes again:

    nothing       no fault: what the machine's noise is
    killed        kill -9 of a replica; the end of the fault is when a new process at its port is ready
    frozen        SIGSTOP, then SIGCONT
    slow          a replica takes two seconds more for each request        }
    error 500     it answers 500 at once                                    } by a proxy in front of it, which lets
    reset         its connections are reset, before and within answers      } health probes pass: it looks well
    garbage       it answers what is no HTTP, no JSON, half a JSON          }
    disk full     audit log, budgets and a replica's KV tier lie on a small tmpfs that others fill (without the right to mount: writes
                  fail with ENOSPC, by a shim)

Then bursts: as many requests as a replica takes begin at the same time, spread over the three, and one is killed or frozen while it has
a third of them (with --burst 0 there are none).

Reported are, for each fault: answers that were not right; streams that were right, ended with an error event, were cut silently; latencies before,
during and after; and what was recovered from when:
    slow until    from the fault to the end of the last plain request that took longer than ten times P50 before it
    retried until the same for the last plain request that took more than one attempt, hedges included
    left out      from the fault to when the gateway's status said that the replica is not asked
    back          from the end of the fault to the end of the first plain request that it answered
Requests that make something are counted where they arrive, by x-request-id: none may arrive twice. The exit code is 1 where fewer than 99.9 %
of the plain requests were answered right, an answer was wrong, a stream was cut silently, something was done twice, or a fault went unnoticed;
or where of a burst, whose streams all could go on at another replica, anything was not answered right.
"""
import argparse
import collections
import contextlib
import errno
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import ROOT, add_common_arguments, check_files, machine, version_of
from fleet import EFFECT, NUM_QUESTIONS, PLAIN, STREAM, Client, Gateway, Load, Replica, commit_of, latency

sys.path.append(str(ROOT / "tests/e2e"))
from fault_proxy import FaultProxy  # noqa: E402
from faults import Faults, can_be_made  # noqa: E402

KEY = "a key for this benchmark alone"
# Answers take a tenth of a second here: three seconds without a byte are a fault. Where they take longer, so should the timeouts.
CONFIG = """
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
audit_log: DISK/audit.jsonl
budgets: {database: DISK/budgets.db}
policies: {bench: {tenant: bench, budget: 1000000000, budget_period: total}}
keys: [{name: bench, sha256: SHA256, policy: bench}]
timeouts: {connect: 1s, first_token: 3s, between_tokens: 3s}
retries: {max_attempts: 3}
hedging: {min_count: 20}                                      # after P95, for at most 5 % of requests
probes: {interval: 500ms, timeout: 1s}
health: {probes_to_fall: 2, probes_to_rise: 2, slow_start: 3s}
breaker: {failures_to_open: 3, open_for: 2s, open_for_max: 8s}
outlier: {interval: 2s, min_requests: 10, ejected_for: 4s}
routes:
  - name: main
    policy: POLICY
    upstreams:
      - {name: replica-0, url: "URL0", engine: autoglm}
      - {name: replica-1, url: "URL1", engine: autoglm}
      - {name: replica-2, url: "URL2", engine: autoglm}        # behind the proxy
"""
TMPFS_BYTES = 64 << 20
SLOWER_BY_S = 2.0
SLOW_TIMES = 10  # P50 before a fault
LEAST_SHARE_RIGHT = 0.999


class Fleet:
    """Three replicas, the third behind a proxy, and a small disk."""

    def __init__(self, a, work, stack):
        self.a, self.work, self.disk = a, work, work / "disk"
        self.disk.mkdir()
        self.is_mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(self.disk)], capture_output=True,
                                         check=False).returncode == 0
        if self.is_mounted:
            stack.callback(subprocess.run, ["umount", "-l", str(self.disk)], check=True)
        elif not can_be_made():
            sys.exit("neither a tmpfs can be mounted, nor the shim compiled that makes a disk full: gcc is missing")
        self.shim = None if self.is_mounted else Faults(work, self.disk)
        self.environment = self.shim.environment if self.shim else None
        self.replicas = []
        for index in range(3):
            flags = ("--kv-disk", self.disk / "kv", "--kv-disk-size", TMPFS_BYTES // 2) if index == 0 else ()
            self.replicas.append(Replica(a.binary, a.model, work, index, *flags, env=self.environment if index == 0 else None))
            stack.callback(self.replicas[-1].stop)
        self.proxy = FaultProxy(self.replicas[2].port)
        stack.callback(self.proxy.stop)

    def config(self):
        text = CONFIG.replace("DISK", str(self.disk)).replace("POLICY", self.a.policy)
        text = text.replace("SHA256", hashlib.sha256(KEY.encode()).hexdigest())
        for index, url in enumerate((self.replicas[0].url, self.replicas[1].url, self.proxy.url)):
            text = text.replace(f"URL{index}", url)
        return text

    def arrivals(self):
        """How often each context was asked for, wherever it arrived."""
        return self.replicas[0].post_ids("/v1/contexts") + self.replicas[1].post_ids("/v1/contexts") + self.proxy.posts


# --- the faults: each comes, yields, and goes


@contextlib.contextmanager
def nothing(fleet):
    yield


@contextlib.contextmanager
def killed(fleet):
    fleet.replicas[1].kill()
    yield
    fleet.replicas[1].start()


@contextlib.contextmanager
def frozen(fleet):
    fleet.replicas[1].send(signal.SIGSTOP)
    try:
        yield
    finally:
        fleet.replicas[1].send(signal.SIGCONT)


def behind_proxy(mode, delay_s=0.0):
    @contextlib.contextmanager
    def fault(fleet):
        fleet.proxy.set(mode, delay_s)
        yield
        fleet.proxy.set("pass")
    return fault


@contextlib.contextmanager
def disk_full(fleet):
    if fleet.shim:
        fleet.shim.write_error = errno.ENOSPC
        yield
        fleet.shim.write_error = 0
        return
    over = threading.Event()
    path = fleet.disk / "others"

    def take_all():
        with open(path, "ab", buffering=0) as others:
            while not over.wait(0.02):
                for size in (1 << 20, 4096, 1):
                    with contextlib.suppress(OSError):
                        while others.write(bytes(size)) == size:
                            pass
    thread = threading.Thread(target=take_all)
    thread.start()
    yield
    over.set()
    thread.join()
    path.unlink()


# Which replica it is about, and what must be seen of it.
FAULTS = {
    "nothing": (nothing, None),
    "killed": (killed, "replica-1"),
    "frozen": (frozen, "replica-1"),
    "slow": (behind_proxy("slow", SLOWER_BY_S), "replica-2"),
    "error 500": (behind_proxy("status_500"), "replica-2"),
    "reset": (behind_proxy("reset"), "replica-2"),
    "garbage": (behind_proxy("garbage"), "replica-2"),
    "disk full": (disk_full, None),
}


class StateWatch:
    """When the gateway's status said what of one upstream."""

    def __init__(self, gateway, name):
        self.gateway, self.name, self.changes, self.over = gateway, name, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.1):
            state = self.gateway.upstreams()[self.name]["state"] if self.name else "available"
            if not self.changes or self.changes[-1][1] != state:
                self.changes.append((time.monotonic(), state))

    def end(self):
        self.over.set()
        self.thread.join()
        return self.changes


def lines_of(path):
    return path.read_text().count("\n") if path.exists() else 0


def ledger_used(path):
    """Tokens that the budgets' database has."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return (database.execute("SELECT sum(used) FROM budgets").fetchone()[0] or 0) / 1e6


def run_fault(name, fleet, client):
    a, (fault, upstream) = fleet.a, FAULTS[name]
    with Gateway(a.binary, fleet.work, fleet.config(), fleet.environment) as gateway:
        audit = fleet.disk / "audit.jsonl"
        client.port, used_before, audit_before = gateway.port, ledger_used(fleet.disk / "budgets.db"), lines_of(audit)
        num_faults = fleet.proxy.num_faults
        load = Load(client, {PLAIN: a.rate, STREAM: a.rate / 10, EFFECT: a.rate / 10})
        time.sleep(a.warm_up)
        watch, begin = StateWatch(gateway, upstream), time.monotonic()
        time.sleep(a.seconds_around)
        come = time.monotonic()
        with fault(fleet):
            time.sleep(a.seconds)
            errors = fleet.replicas[0].server.metric("autoglm_kv_disk_errors_total") if name == "disk full" else 0
        gone = time.monotonic()
        time.sleep(a.seconds_around)
        outcomes, changes = load.end(), watch.end()
        counts = {"retries": gateway.counted("autoglm_gw_retries_total", "reason"),
                  "hedges": gateway.counted("autoglm_gw_hedges_total", "outcome"),
                  "streams": gateway.counted("autoglm_gw_continued_streams_total", "outcome"),
                  "answered": gateway.counted("autoglm_gw_upstream_requests_total", "upstream")}
        tokens = sum(gateway.counted("autoglm_gw_tokens_total", "type").values())
    found = judge(name, upstream, outcomes, changes, (begin, come, gone))
    found |= {"counts": counts, "states": [[round(at - come, 2), state] for at, state in changes]}
    arrivals = fleet.arrivals()
    found["effects"] |= {"arrived": sum(1 for o in outcomes if o.kind == EFFECT and arrivals[o.request_id]),
                         "twice": sum(1 for o in outcomes if o.kind == EFFECT and arrivals[o.request_id] > 1)}
    if name == "disk full":
        found["disk"] = {"requests": len(outcomes), "audit_lines": lines_of(audit) - audit_before, "tokens_counted": tokens,
                         "tokens_in_database": ledger_used(fleet.disk / "budgets.db") - used_before, "kv_errors": errors}
    found["problems"] = problems_of(name, found, fleet.proxy.num_faults - num_faults)
    return found


def judge(name, upstream, outcomes, changes, moments):
    begin, come, gone = moments
    plain = [o for o in outcomes if o.kind == PLAIN]
    streams = [o for o in outcomes if o.kind == STREAM]
    effects = [o for o in outcomes if o.kind == EFFECT]
    parts = {"before": [o for o in plain if begin <= o.begun < come], "during": [o for o in plain if come <= o.begun < gone],
             "after": [o for o in plain if gone <= o.begun]}
    latencies = {part: latency(some) for part, some in parts.items()}
    slow_ms = SLOW_TIMES * latencies["before"]["p50_ms"]

    def last(concerned):
        ends = [o.ended for o in plain if come <= o.ended and o.begun < gone and concerned(o)]
        return max(ends) - come if ends else None
    left_out = [at for at, state in changes if at > come and state != "available"]
    back = [o.ended for o in plain if o.begun > gone and o.upstream == upstream]
    right = sum(o.result == "right" for o in plain)
    return {"plain": {"n": len(plain), "right": right, "share_right": right / len(plain)} | dict(collections.Counter(o.result for o in plain)),
            "streams": {"n": len(streams)} | dict(collections.Counter(o.result for o in streams)),
            "effects": {"n": len(effects)} | dict(collections.Counter(o.result for o in effects)),
            "latency": latencies, "slow_above_ms": slow_ms, "slow_during": sum(o.ms > slow_ms for o in parts["during"]),
            "retried_during": sum(o.attempts > 1 for o in parts["during"]), "slowest_ms": max((o.ms for o in plain if o.begun >= begin)),
            "slow_until_s": last(lambda o: o.ms > slow_ms), "retried_until_s": last(lambda o: o.attempts > 1),
            "left_out_s": min(left_out) - come if left_out else None, "back_s": min(back) - gone if back and upstream else None,
            "fault_s": gone - come, "not_right": [[o.kind, o.result, o.detail[:200], round(o.begun - come, 2)] for o in outcomes
                                                  if o.result not in ("right", "answered")][:20]}


def problems_of(name, found, num_faults):
    problems = []
    if found["plain"]["share_right"] < LEAST_SHARE_RIGHT:
        problems.append(f"{found['plain']['n'] - found['plain']['right']} of {found['plain']['n']} plain requests were not answered right")
    wrong = found["plain"].get("wrong", 0) + found["streams"].get("wrong", 0)
    problems += [f"{wrong} answers were wrong"] if wrong else []
    problems += [f"{found['streams']['cut']} streams were cut silently"] if found["streams"].get("cut") else []
    problems += [f"{found['effects']['twice']} contexts were asked for twice"] if found["effects"]["twice"] else []
    if name in ("slow", "error 500", "reset", "garbage") and num_faults == 0:
        problems.append("the proxy had nothing to do")
    if name in ("killed", "frozen") and found["left_out_s"] is None:
        problems.append("the gateway did not notice")
    if name == "disk full":
        disk = found["disk"]
        problems += [] if disk["audit_lines"] < disk["requests"] else ["the disk was not full for the audit log"]
        problems += [] if disk["tokens_in_database"] == disk["tokens_counted"] else [f"budgets lost tokens: {disk}"]
    return problems


# --- bursts: fault and kind of request
BURSTS = {"killed, streams at once": ("killed", STREAM), "frozen, plain at once": ("frozen", PLAIN), "frozen, streams at once": ("frozen", STREAM)}


def run_burst(name, fleet, client):
    fault, kind = BURSTS[name]
    with Gateway(fleet.a.binary, fleet.work, fleet.config()) as gateway, ThreadPoolExecutor(fleet.a.burst) as pool:
        client.port = gateway.port
        with contextlib.ExitStack() as stack:
            if kind == PLAIN:  # short ones would be over
                stack.enter_context(FAULTS[fault][0](fleet))
            asked = [pool.submit(client.send, kind, number % NUM_QUESTIONS) for number in range(fleet.a.burst)]
            time.sleep(0.7)
            if kind == STREAM:
                stack.enter_context(FAULTS[fault][0](fleet))
            outcomes = [one.result()[1] for one in asked]
        retries = gateway.counted("autoglm_gw_retries_total", "reason")
        streams = gateway.counted("autoglm_gw_continued_streams_total", "outcome")
    results = collections.Counter(o.result for o in outcomes)
    num_hit = sum(retries.values()) + sum(streams.values())
    problems = [f"{len(outcomes) - results['right']} of {len(outcomes)} were not answered right"] if results["right"] < len(outcomes) else []
    problems += [] if num_hit else ["the replica had none of them"]
    return {"results": dict(results), "retries": retries, "streams": streams, "slowest_ms": max(o.ms for o in outcomes), "problems": problems,
            "not_right": [[o.kind, o.result, o.detail[:200], round(o.ms)] for o in outcomes if o.result != "right"]}


def show_bursts(results):
    print("\n| burst | right | error event | refused | cut, wrong or failed | slowest ms | retries | streams |\n|" + " --- |" * 8)
    for name, f in results.items():
        counts = collections.Counter(f["results"])
        others = counts["cut"] + counts["wrong"] + counts["failed"]
        told = [", ".join(f"{key} {n}" for key, n in f[which].items()) for which in ("retries", "streams")]
        print(f"| {name} | {counts['right']} | {counts['error_event']} | {counts['refused']} | {others} | {f['slowest_ms']:.0f} | {' | '.join(told)} |")


def seconds(value):
    return "" if value is None else f"{value:.1f}"


def table(results):
    print("| | plain: right | streams: right / error event / cut / continued | wrong | contexts: answered / arrived twice | P50 / P99 ms before | during "
          "| after | slowest ms | slow until s | retried until s | left out s | back s | retries | hedges won |\n|" + " --- |" * 15)
    for name, f in results.items():
        plain, streams, effects, counts = f["plain"], f["streams"], f["effects"], f["counts"]
        columns = [name, f"{plain['right']} / {plain['n']}",
                   f"{streams.get('right', 0)} / {streams.get('error_event', 0)} / {streams.get('cut', 0)} / {counts['streams'].get('continued', 0)}",
                   plain.get("wrong", 0) + streams.get("wrong", 0), f"{effects.get('answered', 0)} of {effects['n']} / {effects['twice']}",
                   *(f"{part['p50_ms']:.0f} / {part['p99_ms']:.0f}" for part in f["latency"].values()), f"{f['slowest_ms']:.0f}",
                   *(seconds(f[key]) for key in ("slow_until_s", "retried_until_s", "left_out_s", "back_s")),
                   ", ".join(f"{reason} {n}" for reason, n in counts["retries"].items()), counts["hedges"].get("won", 0)]
        print("| " + " | ".join(map(str, columns)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rate", type=float, default=16, help="plain requests a second; streams and contexts are a tenth of it each")
    parser.add_argument("--policy", default="least_connections", help="of the gateway")
    parser.add_argument("--seconds", type=float, default=10, help="of each fault")
    parser.add_argument("--seconds-around", type=float, default=6, help="before and after it")
    parser.add_argument("--burst", type=int, default=24, help="requests at once")
    parser.add_argument("--warm-up", type=float, default=2)
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS), help="of the faults; none: only bursts")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    results, results_of_bursts = {}, {}
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        fleet = Fleet(a, Path(work), stack)
        client = Client(0, {"Authorization": f"Bearer {KEY}"}, stream_tokens=60)
        client.learn(fleet.replicas[0].port)
        for name in a.only:
            results[name] = run_fault(name, fleet, client)
            print(name, *results[name]["problems"], *results[name]["not_right"][:4], sep="\n  ", file=sys.stderr, flush=True)
        for name in BURSTS if a.burst else ():
            results_of_bursts[name] = run_burst(name, fleet, client)
            print(name, *results_of_bursts[name]["problems"], *results_of_bursts[name]["not_right"][:2], sep="\n  ", file=sys.stderr, flush=True)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.policy}, {a.rate:g} plain requests/s, "
          f"faults of {a.seconds:g} s, load {os.getloadavg()[1]:.1f}\n")
    table(results)
    if a.burst:
        show_bursts(results_of_bursts)
    problems = [f"{name}: {problem}" for name, result in (results | results_of_bursts).items() for problem in result["problems"]]
    print(f"\n{'; '.join(problems) or 'All bounds hold.'}")
    if a.out:
        a.out.write_text(json.dumps({"machine": facts, "version": version_of(a.binary), "scripts": commit_of(ROOT), "config": CONFIG,
                                     "arguments": {"rate": a.rate, "seconds": a.seconds, "policy": a.policy}, "faults": results, "bursts": results_of_bursts, "problems": problems}, indent=1))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
