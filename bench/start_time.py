#!/usr/bin/env python3
"""How long from exec to the first streamed token of a prompt of about 20 tokens, the model file in the page cache?

    bench/start_time.py [--runs 20] [--threads 2]
"""
import argparse
import tempfile
import time
from pathlib import Path

from common import add_common_arguments, autoglm, chat_body, check_files, first_event, machine, spread

PROMPT = "Tell me in one short sentence why the sea is salty."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    a.model.read_bytes()  # into the page cache
    listening, first = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(a.runs):
            with autoglm(a.binary, a.model, Path(folder) / "log", "--threads", a.threads) as server:
                listening.append((time.perf_counter() - server.started) * 1000)
                first.append((first_event(server, chat_body(PROMPT, 4)) - server.started) * 1000)
    print(machine())
    for name, values in (("exec to ready", listening), ("exec to first token", first)):
        s = spread(values)
        print(f"{name:22} median {s['median']:6.1f} ms   min {s['min']:6.1f}   max {s['max']:6.1f}   {s['n']} runs")


if __name__ == "__main__":
    main()
