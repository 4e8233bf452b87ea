#!/usr/bin/env python3
"""Does the server stay correct and of one size under minutes of mixed load, with clients that leave and clients that err?

    bench/soak.py [--minutes 10] [--clients 16] [--seed 1]

Checks: every answer to a known question is, byte for byte, the one given when asked alone; errors have the right status; memory
is flat over the second half; nothing runs or waits at the end; the server exits with 0 and its integrity check is clean.
Needs: pip install -r bench/requirements.txt
"""
import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp

from common import add_common_arguments, autoglm, check_files, machine
from servebench import text

GROWTH_LIMIT = 0.03
MEGABYTE = 1 << 20
SHARED = "You are a helpful assistant of a small harbour town. " * 30


def known_question(index):
    system = [{"role": "system", "content": SHARED}] if index % 2 else []
    return system + [{"role": "user", "content": f"Say something about the number {index} and the sea."}]


class Soak:
    def __init__(self, server, seed, clients):
        self.server, self.clients = server, clients
        self.rng = random.Random(seed)
        self.done, self.wrong = Counter(), []
        self.known = {}

    async def post(self, messages, **options):
        body = {"model": "default", "messages": messages, "temperature": 0, "max_tokens": 24, "ignore_eos": True} | options
        return self.http.post(self.server.url + "/v1/chat/completions", json=body)

    async def answer(self, index):
        async with await self.post(known_question(index)) as r:
            body = await r.json()
            return body["choices"][0]["message"]["content"] if r.status == 200 else f"HTTP {r.status}: {body}"

    # What clients do. Each returns what was wrong, or None.
    async def known_answer(self):
        index = self.rng.randrange(len(self.known))
        got = await self.answer(index)
        return None if got == self.known[index] else f"question {index}: {got!r} instead of {self.known[index]!r}"

    async def sampled_stream(self):
        messages = [{"role": "user", "content": text(self.rng, self.rng.choice((10, 100, 400)))}]
        async with await self.post(messages, stream=True, temperature=1, max_tokens=self.rng.randrange(1, 80)) as r:
            body = (await r.read()).decode()
            return None if r.status == 200 and body.endswith("data: [DONE]\n\n") else f"stream: {r.status} {body[-200:]}"

    async def long_prompt(self):
        async with await self.post([{"role": "user", "content": text(self.rng, 1500)}], max_tokens=4) as r:
            return None if r.status == 200 else f"long prompt: {r.status} {await r.text()}"

    async def leave_a_stream(self):
        async with await self.post([{"role": "user", "content": text(self.rng, 50)}], stream=True, max_tokens=500) as r:
            for _ in range(self.rng.randrange(8)):
                await r.content.readline()
            r.close()

    async def leave_while_waiting(self):
        try:
            async with asyncio.timeout(self.rng.random()):
                async with await self.post([{"role": "user", "content": text(self.rng, 300)}], max_tokens=500) as r:
                    await r.read()
        except TimeoutError:
            pass

    async def err(self):
        status, chosen = self.rng.choice(((404, {"model": "none"}), (400, {"max_tokens": 0}), (400, {"messages": []}),
                                           (400, {"messages": [{"role": "user", "content": "word " * 300_000}]})))
        options = {"messages": known_question(0)} | chosen
        async with await self.post(options.pop("messages"), **options) as r:
            await r.read()
            return None if r.status == status else f"expected {status}, got {r.status}"

    async def client(self, deadline):
        actions = [(self.known_answer, 6), (self.sampled_stream, 6), (self.long_prompt, 1), (self.leave_a_stream, 4),
                   (self.leave_while_waiting, 2), (self.err, 1)]
        names, weights = zip(*actions)
        while time.monotonic() < deadline:
            action = self.rng.choices(names, weights)[0]
            try:
                wrong = await action()
            except aiohttp.ClientError as error:
                wrong = f"{action.__name__}: {error!r}"
            self.done[action.__name__] += 1
            if wrong:
                self.wrong.append(wrong)

    async def watch(self, deadline):
        sizes, start = [], time.monotonic()
        while time.monotonic() < deadline:
            sizes.append(self.server.memory_bytes() / MEGABYTE)
            if len(sizes) % 6 == 0:
                print(f"{time.monotonic() - start:5.0f} s  {sizes[-1]:6.0f} MB  {sum(self.done.values())} requests, {len(self.wrong)} wrong",
                      flush=True)
            await asyncio.sleep(min(5.0, max(0.1, (deadline - start) / 60)))
        return sizes

    async def run(self, seconds):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=300)) as self.http:
            self.known = {i: await self.answer(i) for i in range(12)}
            deadline = time.monotonic() + seconds
            sizes, *_ = await asyncio.gather(self.watch(deadline), *[self.client(deadline) for _ in range(self.clients)])
            await asyncio.sleep(2)
        return sizes


def integrity(log):
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{") and "integrity_check" in line]
    return bool(lines) and lines[-1].get("ok") is True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    print(machine(), f"seed {a.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = autoglm(a.binary, a.model, Path(folder) / "log", "--log-format", "json")
        try:
            soak = Soak(server, a.seed, a.clients)
            sizes = asyncio.run(soak.run(a.minutes * 60))
            left = {m: server.metric(f"autoglm_num_requests_{m}") for m in ("running", "waiting")}
        finally:
            code = server.stop()
        clean = integrity(server.log_path.read_text())

    half = sizes[len(sizes) // 2 :]
    third = max(1, len(half) // 3)
    before, after = statistics.median(half[:third]), statistics.median(half[-third:])
    checks = {"every answer right": not soak.wrong, "nothing left running or waiting": not any(left.values()), "exit code 0": code == 0,
              "integrity check clean": clean, f"memory flat (growth below {GROWTH_LIMIT:.0%})": after <= before * (1 + GROWTH_LIMIT)}
    print(dict(soak.done), f"memory MB: first {sizes[0]:.0f}, halfway {before:.1f}, end {after:.1f}, most {max(sizes):.0f}")
    for wrong in soak.wrong[:10]:
        print("  wrong:", wrong[:300])
    for name, good in checks.items():
        print("ok    " if good else "FAILED", name)
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
