#!/usr/bin/env python3
"""Which of the gateway's policies for what: latency over servers that differ, and prefix cache hits over conversations.

    bench/gateway_policies.py [--only speed prefix] [--rounds 2] [--sglang-router PATH] [--out FILE.json]

speed: three replicas (`autoglm serve --threads 1`) and a gateway for each policy in front of them, all asked in turn, `rounds` times: short answers
at a constant rate, and streams beside them that last (long connections). First the replicas are alike; then a proxy in front of one of them
lets each request wait (--slower-by), as one far away or short of processors does. Reported are mean and P95 of the short answers, and the
ratio of each round's mean to round robin's in the same round.

prefix: four replicas whose memory for keys and values holds about eight of 32 conversations, which have several turns each; each turn sends the whole
conversation so far. The order of conversations is another one in each turn: in a fixed one round robin would send each of them to the same replica,
as their number is divided by four. Reported are the hit rate (cached tokens of prompt tokens, as the answers' usage says) and the most
possible one (each turn finds all of the one before), the mean latency, and how the most asked replica compares with the mean. Each round has
new conversations, for each policy its own of the same lengths.
--sglang-router adds that router with its cache_aware policy and its defaults.

The exit code is 1 where an answer failed, no policy had half of round robin's mean over unlike replicas (--least-gain), or prefix_aware
had not three times its hit rate (--least-hits) or more than 1.3 times the mean load on one replica.
"""
import argparse
import contextlib
import http.client
import json
import os
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import ROOT, Server, add_common_arguments, check_files, free_port, machine, spread, version_of
from fleet import PLAIN, STREAM, Client, Gateway, Load, Replica, commit_of, percentile
from token_gaps import WORDS

sys.path.append(str(ROOT / "tests/e2e"))
from fault_proxy import FaultProxy  # noqa: E402

EXACT = "prefix_aware, by KV events"
SPEED_POLICIES = ("round_robin", "least_connections", "power_of_two", "response_time")
PREFIX_POLICIES = ("round_robin", "prefix_aware", EXACT)
CONFIG = """
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
probes: {interval: 2s, timeout: 2s}
routes:
  - name: main
    policy: POLICY
    upstreams:
"""
MOST_LOAD = 1.3


def config_of(policy, servers):
    return CONFIG.replace("POLICY", policy) + "".join(f"      - {{url: \"{server.url}\", engine: autoglm}}\n" for server in servers)


def exact_config_of(model, servers, endpoints):
    """Of prefixes that are known by the replicas' own word."""
    route = CONFIG.replace("POLICY", f"prefix_aware\n    tokenizer: {model}")
    return route + "".join(f"      - {{url: \"{server.url}\", engine: autoglm, kv_events: \"{events}\", kv_events_replay: \"{replay}\"}}\n"
                           for server, (events, replay) in zip(servers, endpoints))


def start_replicas(a, work, stack, *flags_of_each):
    replicas = []
    for index, flags in enumerate(flags_of_each):
        replicas.append(Replica(a.binary, a.model, work, index, *flags))
        stack.callback(replicas[-1].stop)
    return replicas


# --- speed


def speed_round(gateway, client, a):
    client.port = gateway.port
    before = {name: upstream["requests"] for name, upstream in gateway.upstreams().items()}
    load = Load(client, {PLAIN: a.rate, STREAM: a.rate / 10})
    time.sleep(a.seconds)
    outcomes = load.end()
    plain = [o.ms for o in outcomes if o.kind == PLAIN]
    return {"mean_ms": statistics.fmean(plain), "p95_ms": percentile(plain, 0.95), "n": len(plain), "wrong": sum(o.result != "right" for o in outcomes),
            "requests": [upstream["requests"] - before[name] for name, upstream in gateway.upstreams().items()]}


def run_speed(a, work):
    results = {"alike": {policy: [] for policy in SPEED_POLICIES}, "unlike": {policy: [] for policy in SPEED_POLICIES}}
    with contextlib.ExitStack() as stack:
        replicas = start_replicas(a, work, stack, (), (), ())
        proxy = FaultProxy(replicas[2].port)
        stack.callback(proxy.stop)
        servers = (*replicas[:2], proxy)
        gateways = {policy: stack.enter_context(Gateway(a.binary, work, config_of(policy, servers))) for policy in SPEED_POLICIES}
        client = Client(0, stream_tokens=60)
        for replica in replicas:
            client.learn(replica.port)  # and each has seen every prompt
        for case, rounds in results.items():
            proxy.set("slow" if case == "unlike" else "pass", a.slower_by)
            for _ in range(a.rounds):
                for policy in SPEED_POLICIES:
                    rounds[policy].append(speed_round(gateways[policy], client, a))
                print(case, *(f"{policy} {rounds[policy][-1]['mean_ms']:.0f}" for policy in SPEED_POLICIES), file=sys.stderr, flush=True)
    return results


def ratios(rounds, policy):
    return [mine["mean_ms"] / plain["mean_ms"] for mine, plain in zip(rounds[policy], rounds["round_robin"])]


def show_speed(results):
    print("| replicas | policy | mean ms | P95 ms | mean to round robin's: median (least to most) | requests a replica |\n|" + " --- |" * 6)
    for case, rounds in results.items():
        for policy, some in rounds.items():
            ratio = spread(ratios(rounds, policy))
            shares = " / ".join(str(sum(numbers)) for numbers in zip(*(one["requests"] for one in some)))
            print(f"| {case} | {policy} | {statistics.median(one['mean_ms'] for one in some):.0f} | "
                  f"{statistics.median(one['p95_ms'] for one in some):.0f} | {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) | {shares} |")


# --- prefixes


class Router(Server):
    """sglang-router in front of the replicas."""

    def __init__(self, path, work, replicas):
        super().__init__([path, "launch", "--worker-urls", *(replica.url for replica in replicas), "--host", "127.0.0.1", "--port", "{port}",
                          "--prometheus-port", free_port(), "--policy", "cache_aware", "--log-level", "warn"], "/readiness", work / "router.log")


def words(rng, count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


class Conversation:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.messages = [{"role": "system", "content": words(self.rng, 170)}]
        self.num_computed = 0  # tokens of the turns so far, answers included

    def turn(self, port):
        """(prompt tokens, cached tokens, most that could be cached, milliseconds) of one more turn."""
        self.messages.append({"role": "user", "content": words(self.rng, 30)})
        body = {"model": "default", "messages": self.messages, "max_tokens": 12, "temperature": 0, "ignore_eos": True}
        begin = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {answer}")
        finally:
            connection.close()
        self.messages.append(answer["choices"][0]["message"] | {"refusal": None})
        usage, before = answer["usage"], self.num_computed
        self.num_computed = usage["total_tokens"]
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], before, 1000 * (time.perf_counter() - begin)


def prefix_round(target, replicas, a, name, number):
    order = random.Random(number)
    # Of the same lengths for every policy, but none that a replica has seen before.
    conversations = [Conversation(f"{name} {number} {index}") for index in range(a.conversations)]
    before = [replica.server.metric("autoglm_request_success_total") for replica in replicas]
    turns = []
    with ThreadPoolExecutor(a.clients) as pool:
        for _ in range(a.turns):
            order.shuffle(conversations)
            turns += pool.map(lambda conversation: conversation.turn(target.port), conversations)
    requests = [int(replica.server.metric("autoglm_request_success_total") - count) for replica, count in zip(replicas, before)]
    prompt, cached, most, times = zip(*turns)
    return {"hit_rate": sum(cached) / sum(prompt), "most_possible": sum(most) / sum(prompt), "mean_ms": statistics.fmean(times), "p95_ms": percentile(times, 0.95), "requests": requests,
            "most_to_mean": max(requests) / statistics.fmean(requests), "prompt_tokens": sum(prompt)}


def run_prefix(a, work):
    with contextlib.ExitStack() as stack:
        endpoints = [[f"tcp://127.0.0.1:{free_port()}" for _ in range(2)] for _ in range(4)]
        replicas = start_replicas(a, work, stack, *[["--kv-memory", a.kv_memory, "--context", "1024", "--kv-events", events, "--kv-events-replay", replay]
                                                    for events, replay in endpoints])
        configs = {policy: exact_config_of(a.model, replicas, endpoints) if policy == EXACT else config_of(policy, replicas) for policy in PREFIX_POLICIES}
        targets = {policy: stack.enter_context(Gateway(a.binary, work, config)) for policy, config in configs.items()}
        if a.sglang_router:
            targets["sglang-router cache_aware"] = stack.enter_context(Router(a.sglang_router, work, replicas))
        results = {name: [] for name in targets}
        for number in range(a.prefix_rounds):
            for name, target in targets.items():
                results[name].append(prefix_round(target, replicas, a, name, number))
                print(name, results[name][-1], file=sys.stderr, flush=True)
    return results


def show_prefix(results):
    print("| policy | hit rate: median (least to most) | most possible | to round robin's | mean ms | P95 ms | most asked replica to the mean | prompt tokens a round |\n|"
          + " --- |" * 8)
    base = statistics.median(one["hit_rate"] for one in results["round_robin"])
    for name, some in results.items():
        hits = spread([one["hit_rate"] for one in some])
        medians = {key: statistics.median(one[key] for one in some) for key in ("mean_ms", "p95_ms", "prompt_tokens", "most_possible")}
        print(f"| {name} | {hits['median']:.3f} ({hits['min']:.3f} to {hits['max']:.3f}) | {medians['most_possible']:.3f} | {hits['median'] / base:.2f} | {medians['mean_ms']:.0f} | "
              f"{medians['p95_ms']:.0f} | {max(one['most_to_mean'] for one in some):.2f} | {medians['prompt_tokens']:.0f} |")


def problems_of(a, speed, prefix):
    problems = []
    if speed:
        wrong = sum(one["wrong"] for rounds in speed.values() for some in rounds.values() for one in some)
        problems += [f"{wrong} answers were not right"] if wrong else []
        best = min(statistics.median(ratios(speed["unlike"], policy)) for policy in SPEED_POLICIES)
        problems += [f"the best policy has {best:.2f} of round robin's mean over unlike replicas"] if best > a.least_gain else []
    if prefix:
        hits = {name: statistics.median(one["hit_rate"] for one in some) for name, some in prefix.items()}
        for policy in PREFIX_POLICIES[1:]:
            gain = hits[policy] / hits["round_robin"]
            problems += [f"{policy} has {gain:.2f} times round robin's hit rate"] if gain < a.least_hits else []
            most = max(one["most_to_mean"] for one in prefix[policy])
            problems += [f"{policy} asks one replica {most:.2f} times as often as the mean"] if most > MOST_LOAD else []
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--only", nargs="*", choices=("speed", "prefix"), default=["speed", "prefix"])
    parser.add_argument("--rounds", type=int, default=5, help="of speed")
    parser.add_argument("--rate", type=float, default=10, help="short answers a second; long ones are a tenth of it")
    parser.add_argument("--seconds", type=float, default=4, help="of each policy in each round of speed")
    parser.add_argument("--slower-by", type=float, default=0.7, help="seconds that the slow replica takes more for each request")
    parser.add_argument("--prefix-rounds", type=int, default=1)
    parser.add_argument("--conversations", type=int, default=32)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--kv-memory", default="104M", help="of each replica of prefix")
    parser.add_argument("--sglang-router", type=Path, help="the program of that name")
    parser.add_argument("--least-gain", type=float, default=0.5)
    parser.add_argument("--least-hits", type=float, default=3)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    check_files(a.binary, a.model, *([a.sglang_router] if a.sglang_router else []))
    with tempfile.TemporaryDirectory() as work:
        speed = run_speed(a, Path(work)) if "speed" in a.only else {}
        prefix = run_prefix(a, Path(work)) if "prefix" in a.only else {}
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, load {os.getloadavg()[1]:.1f}\n")
    if speed:
        show_speed(speed)
    if prefix:
        show_prefix(prefix)
    problems = problems_of(a, speed, prefix)
    print(f"\n{'; '.join(problems) or 'All bounds hold.'}")
    if a.out:
        versions = {"autoglm": version_of(a.binary), "scripts": commit_of(ROOT)} | ({"sglang-router": version_of(a.sglang_router)} if a.sglang_router else {})
        arguments = {key: str(value) for key, value in vars(a).items() if key not in ("out", "binary", "model", "sglang_router")}
        a.out.write_text(json.dumps({"machine": facts, "versions": versions, "arguments": arguments, "config": CONFIG, "speed": speed, "prefix": prefix,
                                     "problems": problems}, indent=1))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
