#!/usr/bin/env python3
"""How long from exec to the first streamed token, and how much memory, on first and second start, against llama-server?

    bench/cold_start.py [--model FILE] [--rounds 5] [--threads 2] [--out FILE.md]

Rounds alternate between all variants:
  first start    weights are packed layer by layer while the prompt is computed
  second start   weights that an earlier start has prepared are mapped
  llama-server   of llama.cpp, as bench/vs_llama_server.py builds it
each of them with the file it reads in the page cache (warm) and, for root, with the page cache dropped before (cold). How long reading
the file takes, by itself, is measured along with the cold ones: it is the limit for a first start. Writes a table of medians with their spread.
"""
import argparse
import os
import tempfile
import time
from pathlib import Path

from common import Server, add_common_arguments, autoglm, chat_body, check_files, first_event, machine, short, spread
from vs_llama_server import build_llama_server

PROMPT = "Tell me in a few words what one can see from a lighthouse at night"


def drop_page_cache():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def read_whole(path):
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(16 << 20)
        while file.readinto(buffer):
            pass
    return time.perf_counter() - start


def start_once(start):
    """Seconds to the first token, and the most memory of its own files and pages that the process ever held, in MB."""
    with start() as server:
        seconds = first_event(server, chat_body(PROMPT, 4)) - server.started
        return seconds, server.memory_bytes("VmHWM") / 1048576


def wait_for_prepared(folder, start):
    with start():
        deadline = time.monotonic() + 300
        while not list(folder.glob("*.weights")):
            if time.monotonic() > deadline:
                raise RuntimeError("no prepared weights were written")
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv-memory", default="512M")
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--out", type=Path, default=Path("cold_start.md"))
    options = parser.parse_args()
    check_files(options.binary, options.model)
    llama = options.llama_server or build_llama_server()

    with tempfile.TemporaryDirectory(dir=options.model.parent) as folder:
        log, prepared = Path(folder) / "log", Path(folder) / "prepared"
        ours = lambda cache: autoglm(options.binary, options.model, log, "--threads", str(options.threads), "--kv-memory",
                                     options.kv_memory, "--prepared-cache", cache)
        starts = {"first start": lambda: ours("off"), "second start": lambda: ours(prepared),
                  "llama-server": lambda: Server([llama, "-m", options.model, "--port", "{port}", "-t", str(options.threads), "-c", "4096",
                                                  "-np", "1", "--no-webui"], "/health", log)}
        wait_for_prepared(prepared, starts["second start"])
        pages = ["warm", "cold"] if os.geteuid() == 0 else ["warm"]
        seconds, memory, reading = {}, {}, []
        for i in range(options.rounds):
            for state in pages:
                if state == "cold":
                    drop_page_cache()
                    reading.append(read_whole(options.model))
                for name, start in starts.items():
                    if state == "cold":
                        drop_page_cache()
                    else:
                        read_whole(next(prepared.iterdir()) if name == "second start" else options.model)
                    taken, held = start_once(start)
                    seconds.setdefault((name, state), []).append(taken)
                    memory.setdefault((name, state), []).append(held)
                    print(f"round {i + 1}: {name}, {state}: {taken:.3f} s, {held:.0f} MB", flush=True)

    lines = [f"{options.model.name}, {options.model.stat().st_size / 1048576:.0f} MB; {machine()}", "",
             "| start | pages | first token, s | against llama-server | most memory, MB |", "| --- | --- | --- | --- | --- |"]
    for (name, state), values in seconds.items():
        s, m = spread(values), spread(memory[name, state])
        ratio = spread([theirs / own for theirs, own in zip(seconds["llama-server", state], values)])
        lines.append(f"| {name} | {state} | {short(s['median'])} ({short(s['min'])}-{short(s['max'])}) | {short(ratio['median'])} "
                     f"({short(ratio['min'])}-{short(ratio['max'])}) | {m['max']:.0f} |")
    if reading:
        s = spread(reading)
        lines.append(f"| reading the file | cold | {short(s['median'])} ({short(s['min'])}-{short(s['max'])}) | | |")
    options.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
