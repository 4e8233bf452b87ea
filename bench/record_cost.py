#!/usr/bin/env python3
"""What records of requests cost: a build without them against one with them, in turn on one machine.

Both servers are up the whole time; one works while the other sleeps. Clients ask one after the other for short answers to a short
prompt, so that requests end as often as they can: a record costs most there. Tokens a second by round, and the ratio of each pair."""
import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

from common import add_common_arguments, autoglm, machine, version_of

CHAT = json.dumps({"messages": [{"role": "user", "content": "Say something short."}], "max_tokens": 16, "temperature": 0, "ignore_eos": True})


def work(server, num_clients, seconds):
    """(tokens, requests) a second, and CPU seconds a request."""
    import http.client

    stop, counts = time.monotonic() + seconds, [0] * num_clients

    def ask(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while time.monotonic() < stop:
            connection.request("POST", "/v1/chat/completions", CHAT, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            counts[number] += 1
        connection.close()

    cpu, begun = server.cpu_seconds(), time.monotonic()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    return sum(counts) / took, (server.cpu_seconds() - cpu) / max(1, sum(counts))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("--before", type=Path, required=True, help="a build without records")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: autoglm(binary, options.model, Path(folder) / f"{name}.log") for name, binary in (("before", options.before), ("after", options.binary))}
        try:
            for server in servers.values():
                work(server, options.clients, 3)
            ratios, cpu_ratios, rates = [], [], {"before": [], "after": []}
            for number in range(options.rounds):
                found = {}
                for name in ("before", "after") if number % 2 == 0 else ("after", "before"):
                    found[name] = work(servers[name], options.clients, options.seconds)
                    rates[name].append(found[name][0])
                ratios.append(found["after"][0] / found["before"][0])
                cpu_ratios.append(found["after"][1] / found["before"][1])
                print(f"round {number + 1}: {found['before'][0]:.1f} {found['after'][0]:.1f} requests/s, ratio {ratios[-1]:.4f}, CPU {cpu_ratios[-1]:.4f}", flush=True)
        finally:
            for server in servers.values():
                server.stop()
    quartiles = statistics.quantiles(ratios, n=4)
    result = {"machine": machine(), "version": version_of(options.binary), "requests_per_s": {name: statistics.median(found) for name, found in rates.items()},
              "throughput_ratio": {"median": statistics.median(ratios), "quartiles": [quartiles[0], quartiles[2]]},
              "cpu_ratio": {"median": statistics.median(cpu_ratios)}}
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
