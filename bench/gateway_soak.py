#!/usr/bin/env python3
"""Does the gateway stay what it was, at a high rate, with a new configuration every second?

    bench/gateway_soak.py [--minutes 15] [--connections 32] [--streams 100] [--out FILE.json]

Two upstreams that compute nothing (bench/load/mock_upstream.cc) behind `autoglm gateway` with an API key, limits, budgets, an audit log and
prefix-aware routing. Connections ask without a pause, others stream 50 tokens each; every second the file changes: another weight, and an
upstream more or less. Memory and file descriptors are looked at every five seconds. The exit code is 1 where a request failed, a token was
lost, a reload was refused or missed, or memory or descriptors grew: the median of the last third against the middle one, more than
--most-growth. The first third is for caches to fill.
"""
import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import add_common_arguments, check_files, machine, version_of
from fleet import Gateway
from load_tools import gatebench, mock_upstream, report_of

KEY = "sk-autoglm-" + "s" * 40
CONFIG = """
listen: 127.0.0.1:{{port}}
admin: 127.0.0.1:{{admin}}
keys_database: off
audit_log: {audit}
budgets: {{database: {budgets}}}
policies:
  all: {{tenant: one, requests_per_minute: 100000000, tokens_per_minute: 1000000000000, max_concurrent: 100000, budget: 900000000000}}
keys:
  - {{name: soak, sha256: {sha256}, policy: all}}
routes:
  - name: main
    policy: prefix_aware
    queue: {{max_requests: 10000}}
    upstreams:
"""


class Looks(threading.Thread):
    """At the process, every five seconds; and changes its file every second."""

    def __init__(self, audit, base, upstreams):
        super().__init__(daemon=True)
        self.audit, self.old, self.base, self.upstreams = audit, audit.with_suffix(".old"), base, upstreams
        self.over = threading.Event()
        self.memory, self.descriptors, self.num_changes, self.num_lines = [], [], 0, 0

    def config(self, number):
        shown = self.upstreams if number % 2 == 0 else self.upstreams[:-1]
        return self.base + "".join(f"      - {{url: \"{url}\", weight: {1 + (number + index) % 3}}}\n" for index, url in enumerate(shown))

    def run(self):
        begin = time.monotonic()
        while not self.over.wait(max(0, begin + self.num_changes + 1 - time.monotonic())):
            self.num_changes += 1
            new = self.gateway.config_path.with_suffix(".new")
            new.write_text(self.config(self.num_changes))
            new.rename(self.gateway.config_path)
            if self.num_changes % 5 == 0:
                self.memory.append(self.gateway.memory_bytes())
                self.descriptors.append(len(os.listdir(f"/proc/{self.gateway.process.pid}/fd")))
                self.rotate()

    def rotate(self):
        """The audit log, as logrotate would: its lines are counted and thrown away."""
        if self.old.exists():
            self.num_lines += lines_of(self.old)
        self.audit.rename(self.old)


def lines_of(path):
    return sum(1 for _ in open(path, "rb")) if path.exists() else 0


def growth(values):
    third = len(values) // 3
    before = statistics.median(values[third:2 * third])
    return (statistics.median(values[2 * third:]) - before) / before


def soak(a, work):
    # The third upstream comes and goes.
    mocks = [mock_upstream(work, index) for index in range(3)]
    base = CONFIG.format(audit=work / "audit.jsonl", budgets=work / "budgets.db", sha256=hashlib.sha256(KEY.encode()).hexdigest())
    urls = [mock.url for mock in mocks]
    looks = Looks(work / "audit.jsonl", base, urls)
    gateway = Gateway(a.binary, work, looks.config(0))
    # With the ports, as the gateway was started.
    looks.base = base.replace("{port}", str(gateway.port)).replace("{admin}", str(gateway.admin_port))
    looks.gateway = gateway
    try:
        looks.start()
        target = [("gateway", f"127.0.0.1:{gateway.port}", gateway.process.pid)]
        rounds = max(1, round(a.minutes))
        plain = gatebench(work, "unary", target, "plain", key=KEY, connections=a.connections, seconds=60 * a.minutes / rounds, rounds=rounds, body_bytes=2000, timeout_s=30)
        streams = gatebench(work, "stream", target, "streams", key=KEY, connections=a.streams, seconds=60 * a.minutes / rounds - 4, rounds=rounds, tokens=50, gap_ms=40,
                            timeout_s=30)
        reports = [report_of(plain), report_of(streams)]
        looks.over.set()
        looks.join()
        time.sleep(2)
        reloads = gateway.counted("autoglm_gw_config_reloads_total", "outcome")
        requests = gateway.counted("autoglm_gw_http_requests_total", "code")
        open_requests = gateway.metric_of_admin("autoglm_gw_open_requests")
        dropped = gateway.metric_of_admin("autoglm_gw_audit_lines_dropped_total")
        lines = looks.num_lines + lines_of(looks.old) + lines_of(looks.audit)
    finally:
        looks.over.set()
        gateway.stop()
        for mock in mocks:
            mock.stop()
    plain, streams = (report["targets"]["gateway"] for report in reports)
    return {"minutes": a.minutes, "requests_per_s": plain["requests_per_s"]["median"], "latency_ms_p99": plain["latency_ms_p99"], "tokens_per_s": streams["tokens_per_s"]["median"],
            "failed": plain["failed"]["max"] + streams["failed"]["max"], "tokens_lost": streams["tokens_lost"]["max"], "tokens_reordered": streams["tokens_reordered"]["max"],
            "answers": requests, "changes": looks.num_changes, "reloads": reloads, "open_at_the_end": open_requests, "audit_lines": lines, "audit_lines_dropped": dropped,
            "memory_mib": [value / (1 << 20) for value in looks.memory], "descriptors": looks.descriptors,
            "memory_growth": growth(looks.memory), "descriptor_growth": growth(looks.descriptors)}


def problems_of(a, r):
    problems = []
    if r["failed"] or set(r["answers"]) != {"200"}:
        problems.append(f"{r['failed']} requests failed in a round; answers by status: {r['answers']}")
    if r["tokens_lost"] or r["tokens_reordered"]:
        problems.append(f"{r['tokens_lost']} tokens were lost, {r['tokens_reordered']} came out of order")
    if r["reloads"].get("failed") or r["reloads"].get("ok", 0) < 0.9 * r["changes"]:
        problems.append(f"{r['changes']} changes, reloads: {r['reloads']}")
    if r["audit_lines"] + r["audit_lines_dropped"] != sum(r["answers"].values()):
        problems.append(f"{r['audit_lines']} audit lines and {r['audit_lines_dropped']:.0f} dropped for {sum(r['answers'].values())} answers")
    if r["open_at_the_end"]:
        problems.append(f"{r['open_at_the_end']} requests are still open")
    problems += [f"{what} grew by {100 * r[name]:.1f} %" for what, name in (("memory", "memory_growth"), ("descriptors", "descriptor_growth")) if r[name] > a.most_growth]
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--most-growth", type=float, default=0.05)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary)
    with tempfile.TemporaryDirectory() as folder:
        r = soak(a, Path(folder))
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {where['date']}, {version_of(a.binary)}\n")
    memory, descriptors = r["memory_mib"], r["descriptors"]
    print(f"{sum(r['answers'].values())} requests in {r['minutes']:g} minutes ({r['requests_per_s']:.0f}/s beside {r['tokens_per_s']:.0f} tokens/s), by status {r['answers']}; "
          f"{r['changes']} changes of the file, reloads {r['reloads']}\n"
          f"memory MiB: first {memory[0]:.1f}, least {min(memory):.1f}, most {max(memory):.1f}, last {memory[-1]:.1f}, last third against the middle {100 * r['memory_growth']:+.1f} %\n"
          f"descriptors: {min(descriptors)} to {max(descriptors)}, {100 * r['descriptor_growth']:+.1f} %; audit log: {r['audit_lines']} lines, {r['audit_lines_dropped']:.0f} dropped")
    problems = problems_of(a, r)
    print("\n" + ("\n".join(problems) or "All bounds hold."))
    if a.out:
        a.out.write_text(json.dumps({"machine": where, "version": version_of(a.binary), "result": r, "problems": problems}, indent=1))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
