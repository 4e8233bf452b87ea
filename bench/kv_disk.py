#!/usr/bin/env python3
"""How long until the first token of a long prompt after a restart: computed again, or read from the disk tier?

Each round starts a server without the tier, then one with it that was told the prompt in the life before and was killed; in turn.
The files lie in the page cache, as they do after a crash of the process.

    bench/kv_disk.py --model MODEL [--rounds 5] [--tokens 4000] [--threads 2] [--folder FOLDER]
"""
import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

from common import add_common_arguments, autoglm, chat_body, check_files, first_event, machine, spread

WORDS = ("the sea wrote every evening into a thick blue book what it had seen of ships and birds and light far away from land "
         "where people slept").split()
WRITTEN = "autoglm_kv_disk_written_blocks_total"


def prompt_of(num_tokens, seed):
    """About one token a word."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(num_tokens))


def first_token_ms(server, body):
    begin = time.perf_counter()
    return (first_event(server, body) - begin) * 1000


def wait_until_written(server):
    """Until nothing more is written."""
    last = -1
    while server.metric(WRITTEN) != last or last == 0:
        last = server.metric(WRITTEN)
        time.sleep(0.3)
    return int(last)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the blocks go (default: a temporary folder)")
    a = parser.parse_args()
    check_files(a.binary, a.model)
    a.model.read_bytes()  # into the page cache
    warm_up = chat_body("Hello.", 4)
    computed, restored, ratios, num_blocks = [], [], [], 0
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        folder = Path(folder)
        for round_number in range(a.rounds):
            shutil.rmtree(folder / "kv", ignore_errors=True)
            body = chat_body(prompt_of(a.tokens, round_number), 4)
            common = ("--threads", a.threads, "--context", a.tokens + 1000)
            with autoglm(a.binary, a.model, folder / "log", *common) as server:
                first_event(server, warm_up)
                computed.append(first_token_ms(server, body))
            with autoglm(a.binary, a.model, folder / "log", *common, "--kv-disk", folder / "kv") as server:
                first_event(server, body)
                num_blocks = wait_until_written(server)
                server.process.kill()
            with autoglm(a.binary, a.model, folder / "log", *common, "--kv-disk", folder / "kv") as server:
                first_event(server, warm_up)
                restored.append(first_token_ms(server, body))
            ratios.append(computed[-1] / restored[-1])
    print(machine(), a.model.name)
    print(f"{num_blocks} blocks")
    for name, values, unit in (("computed", computed, "ms"), ("from the disk", restored, "ms"), ("ratio", ratios, "")):
        s = spread(values)
        print(f"{name:14} median {s['median']:8.1f} {unit:2}   min {s['min']:8.1f}   max {s['max']:8.1f}   {s['n']} rounds")


if __name__ == "__main__":
    main()
