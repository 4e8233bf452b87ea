#!/usr/bin/env python3
"""What becomes of a server that is asked for several times what it can do?

    bench/overload.py [--model MODEL.gguf] [--factor 3] [--minutes 5]

First the capacity is measured: requests a second that 16 clients in a closed loop get through. Then requests arrive at random at `factor`
times that rate, each with a deadline (x-request-timeout). A client that is refused obeys Retry-After, up to the end of the test, and sends the same
request again. Reported: goodput (complete answers within their deadline) against capacity, how many who obeyed Retry-After came in
at their first return, answers that were accepted and lost, and the server's memory.
"""
import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from common import add_common_arguments, autoglm, check_files, machine, version_of
from token_gaps import WORDS

IN_TOKENS, OUT_TOKENS = 150, 48


def body(rng):
    content = " ".join(rng.choice(WORDS) for _ in range(IN_TOKENS))
    return json.dumps({"model": "default", "messages": [{"role": "user", "content": content}], "max_tokens": OUT_TOKENS, "temperature": 0,
                       "ignore_eos": True})


async def send(http, server, data, timeout_s):
    headers = {"Content-Type": "application/json"} | ({"x-request-timeout": str(timeout_s)} if timeout_s else {})
    async with http.post(f"{server.url}/v1/chat/completions", data=data, headers=headers) as response:
        answer = await response.json()
        complete = response.status == 200 and answer["usage"]["completion_tokens"] == OUT_TOKENS
        return response.status, complete, int(response.headers.get("Retry-After", 1))


async def capacity(http, server, rng, seconds):
    done, stop = 0, time.perf_counter() + seconds

    async def client():
        nonlocal done
        while time.perf_counter() < stop:
            status, complete, _ = await send(http, server, body(rng), None)
            done += complete and time.perf_counter() < stop

    await asyncio.gather(*(client() for _ in range(16)))
    return done / seconds


class Overload:
    def __init__(self, timeout_s, end):
        self.timeout_s, self.end = timeout_s, end
        self.good, self.sent, self.late, self.lost, self.statuses = 0, 0, 0, 0, {}
        self.returned = self.taken_at_first_return = 0

    async def request(self, http, server, data):
        self.sent += 1
        for attempt in range(1000):
            started = time.perf_counter()
            status, complete, retry_after = await send(http, server, data, self.timeout_s)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if attempt == 1:
                self.returned += 1
                self.taken_at_first_return += status not in (429, 503)
            if status == 200:
                in_time = time.perf_counter() - started <= self.timeout_s
                self.good += complete and in_time and time.perf_counter() <= self.end
                self.late += not in_time
                self.lost += not complete
                return
            if status == 504:
                self.late += 1
                return
            if status not in (429, 503):
                self.lost += 1
                return
            if time.perf_counter() + retry_after > self.end:
                return
            await asyncio.sleep(retry_after)


class Processors:
    """How much of the machine the server and this client compute."""
    def __init__(self, server):
        self.server, self.began = server, (time.perf_counter(), server.cpu_seconds(), time.process_time())

    def shares(self):
        seconds, server, client = (b - a for a, b in zip(self.began, (time.perf_counter(), self.server.cpu_seconds(), time.process_time())))
        return f"server {server / seconds / os.cpu_count():.0%}, client {client / seconds / os.cpu_count():.0%}"


async def run(server, a, rng):
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=900), connector=connector) as http:
        await capacity(http, server, rng, 5)
        processors = Processors(server)
        most = await capacity(http, server, rng, 40)
        print(f"processors: {processors.shares()}", file=sys.stderr)
        print(f"capacity {most:.2f} requests/s", file=sys.stderr, flush=True)
        processors = Processors(server)
        started = time.perf_counter()
        overload = Overload(a.timeout, started + 60 * a.minutes)
        memory, tasks = [], []
        next_sample = started
        while time.perf_counter() < overload.end:
            await asyncio.sleep(rng.expovariate(a.factor * most))
            tasks.append(asyncio.create_task(overload.request(http, server, body(rng))))
            if time.perf_counter() >= next_sample:
                memory.append(server.memory_bytes() / 2**20)
                next_sample += 10
        shares = processors.shares()
        await asyncio.gather(*tasks)
        return most, overload, memory, shares


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--factor", type=float, default=3)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--timeout", type=float, default=15, help="seconds each request allows")
    parser.add_argument("--queue-seconds", type=int, default=8)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    with tempfile.TemporaryDirectory() as folder:
        with autoglm(a.binary, a.model, Path(folder) / "server.log", "--max-queue-seconds", a.queue_seconds) as server:
            most, overload, memory, shares = asyncio.run(run(server, a, random.Random(1)))
            idle = server.metric("autoglm_num_requests_running") + server.metric("autoglm_num_requests_waiting")
    facts = machine()
    goodput = overload.good / (60 * a.minutes)
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}; {IN_TOKENS} words in, {OUT_TOKENS} tokens "
          f"out, {a.timeout:g} s allowed, --max-queue-seconds {a.queue_seconds}, {a.minutes:g} minutes\n")
    print(f"- capacity {most:.2f} requests/s; offered {a.factor:g} times that, {overload.sent} requests; statuses {overload.statuses}")
    print(f"- goodput {goodput:.2f} requests/s, {goodput / most:.0%} of capacity; late {overload.late}, accepted and lost {overload.lost}, left in the server {idle:.0f}")
    print(f"- of {overload.returned} that obeyed Retry-After, {overload.taken_at_first_return} were taken at their first return "
          f"({overload.taken_at_first_return / max(1, overload.returned):.0%})")
    print(f"- processors meanwhile: {shares}")
    half = len(memory) // 2
    print(f"- memory {statistics.median(memory[:half]):.0f} MiB in the first half, {statistics.median(memory[half:]):.0f} in the second, {max(memory):.0f} at most")


if __name__ == "__main__":
    main()
