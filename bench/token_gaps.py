#!/usr/bin/env python3
"""How long does a running answer wait between two tokens while long prompts arrive?

    bench/token_gaps.py [--model MODEL.gguf] [--prompt-tokens 7000] [--rounds 3] [--slo 50] [--llama-server FILE]

Servers in turn: autoglm with --inter-token-slo as given, autoglm without one (0), and llama-server where it is named. One answer
streams alone, then another while fresh prompts of that length come one after the other, a token out each. Reported are the gaps between
the stream's events and how fast the prompts went meanwhile. Drafts are off, so that an event is a token.
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

from common import Server, add_common_arguments, autoglm, chat_body, check_files, machine, text_events, version_of

WORDS = "time year people way day man thing woman life child world school state family student group country problem hand".split()


def stream(server, tokens):
    """Arrival times of the events of one answer."""
    return list(text_events(server, chat_body(f"Tell me about {random.choice(WORDS)}.", tokens), timeout_s=600))


def send_prompts(server, length, stop, done):
    rng = random.Random(len(done))
    while not stop.is_set():
        body = chat_body(" ".join(rng.choice(WORDS) for _ in range(length)), 1, stream=False)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if not stop.is_set():
            done.append((answer["usage"]["prompt_tokens"], time.perf_counter() - started))


def gaps_of(times):
    return [1000 * (b - a) for a, b in zip(times, times[1:])]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(server, a):
    stream(server, 16)
    alone = gaps_of(stream(server, a.stream_tokens))
    stop, done = threading.Event(), []
    sender = threading.Thread(target=send_prompts, args=(server, a.prompt_tokens, stop, done))
    sender.start()
    time.sleep(0.5)
    loaded = gaps_of(stream(server, a.stream_tokens))
    stop.set()
    sender.join()
    return {"alone": alone, "loaded": loaded, "prompts": done}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--prompt-tokens", type=int, default=7000)
    parser.add_argument("--stream-tokens", type=int, default=300)
    parser.add_argument("--slo", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        flags = ("--speculation", "off")
        starts = {f"autoglm, {a.slo} ms": lambda: autoglm(a.binary, a.model, log, *flags, "--inter-token-slo", a.slo),
                  "autoglm, no bound": lambda: autoglm(a.binary, a.model, log, *flags, "--inter-token-slo", 0)}
        if a.llama_server:
            starts["llama-server"] = lambda: Server([a.llama_server, "-m", a.model, "--port", "{port}", "-np", 4, "-c", 32768, "-t", 2],
                                                    "/health", log)
        results = {name: [] for name in starts}
        for round_number in range(a.rounds):
            for name, start in starts.items():
                with start() as server:
                    results[name].append(measure(server, a))
                print(f"round {round_number + 1}: {name}", file=sys.stderr, flush=True)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.rounds} rounds, "
          f"prompts of {a.prompt_tokens} words\n")
    print("| server | gap alone, median ms | gap beside prompts, median ms | P99 | longest | prompts' tokens/s |\n| --- | --- | --- | --- | --- | --- |")
    for name, rounds in results.items():
        alone = [g for r in rounds for g in r["alone"]]
        loaded = [g for r in rounds for g in r["loaded"]]
        prompts = [p for r in rounds for p in r["prompts"]]
        rate = f"{sum(n for n, _ in prompts) / sum(s for _, s in prompts):.0f}" if prompts else "none ended"
        print(f"| {name} | {statistics.median(alone):.1f} | {statistics.median(loaded):.1f} | {percentile(loaded, 0.99):.1f} | "
              f"{max(loaded):.1f} | {rate} |")


if __name__ == "__main__":
    main()
