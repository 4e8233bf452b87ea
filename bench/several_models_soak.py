#!/usr/bin/env python3
"""Do three models under a budget for two give every request its right answer, for minutes, without ever exceeding the budget?

    bench/several_models_soak.py [--minutes 10] [--clients 8] [--seed 1] [--more-models FILE FILE]

Clients ask models at random, with bursts for one of them. Every answer must be, byte for byte, the one given when the model was asked alone; none may be
lost or refused; the budget (autoglm_memory_used_bytes, read all the while) must hold; the server must end with 0 and a clean integrity
check. Without --more-models the model file serves under three names. Needs: pip install -r bench/requirements.txt
"""
import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

from common import Server, add_common_arguments, check_files, machine

QUESTIONS = [f"Say something about the number {i} and the sea." for i in range(12)]
KV_BYTES = 64 << 20


class Soak:
    def __init__(self, server, models, seed):
        self.server, self.models, self.rng = server, models, random.Random(seed)
        self.alone, self.done, self.wrong, self.slowest, self.most_used = {}, Counter(), [], 0.0, 0

    async def ask(self, model, question):
        body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 16, "ignore_eos": True}
        async with self.http.post(self.server.url + "/v1/chat/completions", json=body) as response:
            answer = await response.json()
            return answer["choices"][0]["message"]["content"] if response.status == 200 else f"HTTP {response.status}: {answer}"

    async def client(self, end):
        while time.monotonic() < end:
            model = self.rng.choice(self.models)
            for _ in range(self.rng.choice((1, 1, 1, 5))):  # now and then a burst for one model
                question = self.rng.choice(QUESTIONS)
                started = time.monotonic()
                got = await self.ask(model, question)
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.done[model] += 1
                if got != self.alone[model, question]:
                    self.wrong.append(f"{model}, {question!r}: {got!r} instead of {self.alone[model, question]!r}")

    async def watch(self, end):
        while time.monotonic() < end:
            used = await asyncio.to_thread(self.server.metric, "autoglm_memory_used_bytes")
            self.most_used = max(self.most_used, used)
            await asyncio.sleep(0.1)

    async def run(self, minutes, clients):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=300)) as self.http:
            for model in self.models:
                for question in QUESTIONS:
                    self.alone[model, question] = await self.ask(model, question)
            end = time.monotonic() + 60 * minutes
            await asyncio.gather(self.watch(end), *(self.client(end) for _ in range(clients)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--more-models", type=Path, nargs=2)
    options = parser.parse_args()
    check_files(options.binary, options.model)

    with tempfile.TemporaryDirectory() as folder:
        files = [options.model, *(options.more_models or (options.model, options.model))]
        paths = [Path(folder) / f"model-{i}.gguf" for i in range(3)]
        for path, file in zip(paths, files):
            os.symlink(file.resolve(), path)
        sizes = sorted(file.stat().st_size + KV_BYTES for file in files)
        budget = int(1.1 * (sizes[1] + sizes[2]))
        with Server([options.binary, "serve", *paths, "--port", "{port}", "--kv-memory", KV_BYTES, "--context", 2048, "--memory-budget", budget],
                    "/ready", Path(folder) / "log") as server:
            soak = Soak(server, [path.stem for path in paths], options.seed)
            asyncio.run(soak.run(options.minutes, options.clients))
            figures = {name: server.metric(f"autoglm_{name}") for name in
                       ("model_loads_total", "model_evictions_total", "num_requests_running", "num_requests_waiting", "prefix_cache_hits_total")}
            resident = server.memory_bytes("VmHWM")
            code = server.stop()
            log = server.log_path.read_text()

    print(machine())
    print(f"{options.minutes} minutes, {options.clients} clients, seed {options.seed}: {sum(soak.done.values())} answers {dict(soak.done)}, "
          f"{len(soak.wrong)} wrong, slowest {soak.slowest:.2f} s")
    print(f"budget {budget / 1e6:.0f} MB, most used {soak.most_used / 1e6:.0f} MB, most resident {resident / 1e6:.0f} MB; {figures}")
    problems = soak.wrong[:5]
    if soak.most_used > budget:
        problems.append("the budget was exceeded")
    if figures["num_requests_running"] or figures["num_requests_waiting"]:
        problems.append("requests were left behind")
    if code != 0 or '"ok":true' not in log.replace(" ", "") and "ok=true" not in log:
        problems.append(f"the server ended with {code}:\n{log[-1000:]}")
    for problem in problems:
        print("PROBLEM:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
