#!/usr/bin/env python3
"""What does the gateway add to a request, beside plain proxies and another gateway?

    bench/gateway_overhead.py [--rounds 5] [--only unary,streams,many] [--sglang-router PATH] [--out FILE.json]

Two upstreams that compute nothing and keep time (bench/load/mock_upstream.cc); clients that measure (bench/load/gatebench.cc): targets in turn,
round after round, the first without a gateway. `autoglm gateway` with an API key, limits by request and token, concurrency and prefix-aware
routing; nginx and haproxy, where they are installed, and sglang-router plain (it drops the headers that tell the mocks how to stream: for unary
only). unary: 1, 16 and 64 connections, and 16 with bodies of 30 KB;
streams: 200 and 1000; many: 5000 streams, which want 10,000 descriptors a process. The exit code is 1 where a request failed or a token was
lost behind `autoglm gateway` and not without it.
"""
import argparse
import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Server, add_common_arguments, check_files, free_port, machine, short, version_of
from fleet import Gateway
from load_tools import gatebench, mock_upstream, report_of

KEY = "sk-autoglm-" + "o" * 40
CONFIG = """
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
threads: 2
keys_database: off
policies:
  all: {tenant: one, requests_per_minute: 100000000, tokens_per_minute: 1000000000000, max_concurrent: 100000}
keys:
  - {name: bench, sha256: SHA256, policy: all}
routes:
  - name: main
    policy: prefix_aware
    queue: {max_requests: 10000}
    upstreams:
"""
NGINX = """worker_processes 2;
worker_rlimit_nofile 20000;
daemon off;
pid WORK/nginx.pid;
error_log WORK/nginx.log error;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path WORK/body; proxy_temp_path WORK/proxy; fastcgi_temp_path WORK/f; uwsgi_temp_path WORK/u; scgi_temp_path WORK/s;
  keepalive_requests 1000000;
  client_max_body_size 64m;
  client_body_buffer_size 256k;
  upstream replicas { server A; server B; keepalive 1024; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:PORT backlog=4096;
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
"""
HAPROXY = """global
  nbthread 2
  maxconn 9000
defaults
  mode http
  maxconn 9000
  timeout connect 2s
  timeout client 600s
  timeout server 600s
  option http-no-delay
  http-reuse always
frontend in
  bind 127.0.0.1:PORT
  default_backend replicas
backend replicas
  balance roundrobin
  server a A maxconn 9000
  server b B maxconn 9000
"""
UNARY = [("1 connection", {"connections": 1}), ("16", {"connections": 16}), ("64", {"connections": 64}), ("16, bodies of 30 KB", {"connections": 16, "body_bytes": 30000})]
STREAMS = [("200", {"connections": 200, "tokens": 50, "gap_ms": 20, "seconds": 3}), ("1000", {"connections": 1000, "tokens": 50, "gap_ms": 100, "seconds": 6, "timeout_s": 30})]
MANY = [("5000", {"connections": 5000, "tokens": 15, "gap_ms": 500, "seconds": 16, "timeout_s": 60})]


def plain_proxy(name, text, mocks, work, stack):
    port = free_port()
    path = work / f"{name}.conf"
    for key, value in (("PORT", port), ("WORK", work), ("server A;", f"server 127.0.0.1:{mocks[0].port};"), ("server B;", f"server 127.0.0.1:{mocks[1].port};"),
                       ("server a A", f"server a 127.0.0.1:{mocks[0].port}"), ("server b B", f"server b 127.0.0.1:{mocks[1].port}")):
        text = text.replace(key, str(value))
    path.write_text(text)
    command = {"nginx": ["nginx", "-e", work / "start.log", "-c", path], "haproxy": ["haproxy", "-f", path]}[name]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=open(work / f"{name}.err", "wb"))
    stack.callback(lambda: (process.terminate(), process.wait()))
    time.sleep(1)
    return name, f"127.0.0.1:{port}", process.pid


def targets_of(a, work, stack):
    mocks = [stack.enter_context(mock_upstream(work, index)) for index in range(2)]
    targets = [("direct", "+".join(f"127.0.0.1:{mock.port}" for mock in mocks), None)]
    for name, text in (("nginx", NGINX), ("haproxy", HAPROXY)):
        if shutil.which(name):
            targets.append(plain_proxy(name, text, mocks, work, stack))
    if a.sglang_router:
        router = stack.enter_context(Server([a.sglang_router, "launch", "--worker-urls", *[mock.url for mock in mocks], "--host", "127.0.0.1", "--port", "{port}", "--policy", "round_robin",
                                             "--prometheus-port", free_port(), "--log-level", "warn"], "/health", work / "router.log"))
        targets.append(("sglang-router", f"127.0.0.1:{router.port}", router.process.pid))
    config = CONFIG.replace("SHA256", hashlib.sha256(KEY.encode()).hexdigest()) + "".join(f"      - {mock.url}\n" for mock in mocks)
    gateway = Gateway(a.binary, work, config)
    stack.callback(gateway.stop)
    return targets + [("autoglm", f"127.0.0.1:{gateway.port}", gateway.process.pid)]


def run(a, work):
    results = {}
    with contextlib.ExitStack() as stack:
        targets = targets_of(a, work, stack)
        for kind, name, cases in (("unary", "unary", UNARY), ("streams", "stream", STREAMS), ("many", "stream", MANY)):
            if kind not in a.only.split(","):
                continue
            for label, options in cases:
                rounds = a.rounds if kind == "unary" else max(1, a.rounds // 2)
                options = {"seconds": 1.5, "rounds": rounds, "key": KEY} | options
                results[f"{kind} {label}"] = report_of(gatebench(work, name, targets, **options))["targets"]
                print(f"{kind} {label}", file=sys.stderr, flush=True)
    return results


UNARY_FIELDS = ("requests_per_s", "latency_ms_p50", "latency_ms_p99", "cpu_s_per_1000", "rss_mib")
STREAM_FIELDS = ("ttft_ms_p50", "transit_ms_p50", "transit_ms_p99", "gap_ms_p99", "cpu_us_per_token", "rss_mib", "tokens_lost", "tokens_reordered")


def cell(figure, field):
    if not figure or figure["median"] is None:
        return ""
    added = f" (+{short(figure['added'])})" if figure.get("added") and "_ms_" in field else ""
    return short(figure["median"]) + added


def show(results):
    for case, targets in results.items():
        fields = UNARY_FIELDS if case.startswith("unary") else STREAM_FIELDS
        print(f"\n{case}\n\n| target | " + " | ".join(fields) + " | failed |\n|" + " --- |" * (len(fields) + 2))
        for name, figures in targets.items():
            print(f"| {name} | " + " | ".join(cell(figures.get(field), field) for field in fields) + f" | {figures['failed']['max']:.0f} |")


def problems_of(results):
    problems = []
    for case, targets in results.items():
        for field in ("failed", "tokens_lost", "tokens_reordered"):
            ours, direct = (targets[name].get(field, {"max": 0})["max"] for name in ("autoglm", "direct"))
            if ours > direct:
                problems.append(f"{case}: {field} {ours:.0f}, without a gateway {direct:.0f}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="unary,streams,many")
    parser.add_argument("--sglang-router")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary)
    with tempfile.TemporaryDirectory() as folder:
        results = run(a, Path(folder))
    where = machine()
    print(f"{where['cpu']}, {where['cores']} cores, {where['date']}, {version_of(a.binary)}; medians of rounds, and the median of what is added to no gateway")
    show(results)
    problems = problems_of(results)
    print("\n" + ("\n".join(problems) or "No request failed, no token was lost."))
    if a.out:
        a.out.write_text(json.dumps({"machine": where, "version": version_of(a.binary), "results": results, "problems": problems}, indent=1))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
