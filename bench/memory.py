#!/usr/bin/env python3
"""How much memory does the server hold, against model file + KV pool + 150 MB, idle and after load?

    bench/memory.py [--kv-memory-mb 256] [--clients 32]
"""
import argparse
import http.client
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import add_common_arguments, autoglm, chat_body, check_files, machine

MEGABYTE = 1 << 20
ALLOWANCE_MB = 150


def ask(server, content, max_tokens):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("POST", "/v1/chat/completions", chat_body(content, max_tokens), {"Content-Type": "application/json"})
    connection.getresponse().read()
    connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--kv-memory-mb", type=int, default=256)
    parser.add_argument("--clients", type=int, default=32)
    a = parser.parse_args()
    check_files(a.binary, a.model)
    file_mb = a.model.stat().st_size / MEGABYTE
    limit = file_mb + a.kv_memory_mb + ALLOWANCE_MB
    print(machine())
    with tempfile.TemporaryDirectory() as folder, autoglm(a.binary, a.model, Path(folder) / "log", "--kv-memory",
                                                          f"{a.kv_memory_mb}M") as server:
        idle = server.memory_bytes() / MEGABYTE
        with ThreadPoolExecutor(a.clients) as pool:
            list(pool.map(lambda i: ask(server, f"{i} word " * 400, 64), range(2 * a.clients)))
        loaded, peak = server.memory_bytes() / MEGABYTE, server.memory_bytes("VmHWM") / MEGABYTE
    print(f"file {file_mb:.0f} MB + KV pool {a.kv_memory_mb} MB + {ALLOWANCE_MB} MB = limit {limit:.0f} MB")
    print(f"resident: idle {idle:.0f} MB, after load {loaded:.0f} MB, peak {peak:.0f} MB")
    raise SystemExit(peak > limit)


if __name__ == "__main__":
    main()
