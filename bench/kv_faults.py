#!/usr/bin/env python3
"""What do running streams notice of a disk tier in trouble, and is every answer still the right one?

    bench/kv_faults.py [--model MODEL.gguf] [--clients 4] [--seconds 12] [--folder FOLDER] [--out FILE.json]

Clients stream answers about documents which do not all fit into memory, nor all onto the disk, so that blocks are evicted, written, read
and removed all the time. First a server without the tier: its answers are the reference. Then a server with the tier for each fault,
first without the fault, then with it, and one that is left alone, whose ratio says what the machine's noise is:

    disk full        others take whatever becomes free on a small tmpfs; without the right to mount, writes fail with ENOSPC (a shim)
    disk slow        every call on the folder takes half a second more (a shim)
    folder deleted   rm -rf of the folder, twice
    blocks damaged   a byte of files is flipped in place, all the time
    clock jumps      the wall clock is an hour ahead, then right again (a shim)

Reported are the gaps between tokens, the time to the first one, answers that were wrong or failed, and what the server counted. The first
ratio is to the same server before the fault; the second to the server without the tier, which computes everything: a tier in trouble may
be no worse than none. Drafts are off, so that an event is a token. The exit code is 1 where an answer was wrong or failed, a fault went
unnoticed, the integrity check at the end failed, or the server took long to end.
"""
import argparse
import contextlib
import errno
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import ROOT, add_common_arguments, autoglm, check_files, machine, short, version_of
from token_gaps import WORDS, gaps_of, percentile

sys.path.append(str(ROOT / "tests/e2e"))
from faults import Faults, can_be_made  # noqa: E402

DOCUMENTS = [" ".join(random.Random(seed).choice(WORDS) for _ in range(620)) for seed in range(16)]
ENDS = ("In short, this says that", "The first thing to know about it is that")
REQUESTS = [f"{document}. {end}" for document in DOCUMENTS for end in ENDS]
TOKENS = 32
DISK_BYTES = 160 << 20  # two thirds of what the documents take
TMPFS_BYTES = 256 << 20
COUNTERS = ("written", "read", "dropped", "damaged")


def body_of(content):
    return json.dumps({"model": "default", "prompt": content, "max_tokens": TOKENS, "temperature": 0, "stream": True,
                       "ignore_eos": True}).encode()


class Load:
    """Clients that stream one answer after the other; each starts with another share of the requests, then picks at random."""

    def __init__(self, server, clients, answers):
        self.server, self.answers, self.compares = server, answers, bool(answers)
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.gaps, self.firsts, self.failures, self.wrong, self.done = [], [], [], [], 0
        self.threads = [threading.Thread(target=self.run, args=(i, clients)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, index, clients):
        rng = random.Random(index)
        mine = list(range(index, len(REQUESTS), clients))
        while not self.stop.is_set() or (mine and not self.compares):
            number = mine.pop(0) if mine and not self.compares else rng.randrange(len(REQUESTS))
            started = time.perf_counter()
            try:
                times, text = self.ask(REQUESTS[number])
            except (OSError, ValueError, http.client.HTTPException) as error:
                with self.lock:
                    self.failures.append(repr(error))
                time.sleep(0.1)
                continue
            with self.lock:
                self.done += 1
                self.firsts.append(1000 * (times[0] - started))
                self.gaps += gaps_of(times)
                if self.answers.setdefault(number, text) != text:
                    self.wrong.append(number)

    def ask(self, content):
        """When each text came, and all of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("POST", "/v1/completions", body_of(content), {"Content-Type": "application/json"})
            response = connection.getresponse()
            times, text, finish = [], "", None
            for line in response:
                if not line.startswith(b"data: {"):
                    continue
                choice = (json.loads(line[6:]).get("choices") or [{}])[0]
                finish = choice.get("finish_reason") or finish
                if choice.get("text"):
                    times.append(time.perf_counter())
                    text += choice["text"]
            if response.status != 200 or finish != "length" or not times:
                raise ValueError(f"status {response.status}, finish reason {finish}, {len(times)} texts")
            return times, text
        finally:
            connection.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return {"median_ms": statistics.median(self.gaps), "p99_ms": percentile(self.gaps, 0.99), "first_ms": statistics.median(self.firsts),
                "num_answers": self.done, "wrong": self.wrong, "failures": self.failures}


def loaded(server, clients, answers, seconds, trouble=None):
    """One stretch of load; `trouble` is called again and again meanwhile and says how long until the next time."""
    load = Load(server, clients, answers)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, trouble() if trouble else left))
    return load.end()


def counted(server):
    return {name: int(server.metric(f"autoglm_kv_disk_{name}_blocks_total")) for name in COUNTERS} | {
        "errors": int(server.metric("autoglm_kv_disk_errors_total"))}


# --- the faults: each yields what the load calls again and again, and undoes what it did


@contextlib.contextmanager
def nothing(folder, faults):
    yield lambda: 60


@contextlib.contextmanager
def full(folder, faults):
    if not os.path.ismount(folder):
        faults.write_error = errno.ENOSPC
        yield lambda: 60
        return
    with open(folder / "others", "ab", buffering=0) as others:
        chunk = bytes(1 << 20)

        def take_all():
            with contextlib.suppress(OSError):
                while True:
                    others.write(chunk)
            return 0.02

        yield take_all


@contextlib.contextmanager
def slow(folder, faults):
    faults.delay_ms = 500
    yield lambda: 60


@contextlib.contextmanager
def deleted(folder, faults):
    calls = []

    def delete():
        calls.append(subprocess.run(["rm", "-rf", str(folder)], check=False, stderr=subprocess.DEVNULL))
        return 60 if len(calls) > 1 else 3

    yield delete


@contextlib.contextmanager
def damaged(folder, faults):
    rng = random.Random(1)

    def flip():
        files = list(folder.rglob("*.kv"))
        for path in rng.sample(files, min(8, len(files))):
            with contextlib.suppress(OSError), open(path, "r+b") as file:
                at = rng.randrange(path.stat().st_size)
                byte = os.pread(file.fileno(), 1, at)
                os.pwrite(file.fileno(), bytes([byte[0] ^ 0xFF]), at)
        return 0.5

    yield flip


@contextlib.contextmanager
def jumps(folder, faults):
    def jump():
        faults.clock_offset_s = 0 if faults.clock_offset_s else 3600
        return 3

    yield jump


# What must have been counted while the fault was there: how the bench knows that it was.
FAULTS = {
    "nothing": (nothing, lambda c, faults: c["written"] > 0 and c["read"] > 0 and c["errors"] == c["damaged"] == 0),
    "disk full": (full, lambda c, faults: c["errors"] > 0 and c["dropped"] > 0),
    "disk slow": (slow, lambda c, faults: faults.num_delayed > 0 and c["damaged"] == 0),
    "folder deleted": (deleted, lambda c, faults: c["written"] > 0 and c["read"] > 0 and c["damaged"] == 0),
    "blocks damaged": (damaged, lambda c, faults: c["damaged"] > 0 and c["errors"] == 0),
    "clock jumps": (jumps, lambda c, faults: faults.num_clock_reads > 0 and c["written"] > 0 and c["errors"] == c["damaged"] == 0),
}


@contextlib.contextmanager
def small_disk(folder):
    """A tmpfs at the folder where it may be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(folder)], capture_output=True, check=False)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def ends_well(server):
    """(seconds until it had ended, whether it ended as it should)."""
    begin = time.monotonic()
    code = server.stop()
    checks = [json.loads(line) for line in server.log_path.read_text().splitlines() if '"integrity_check"' in line]
    return time.monotonic() - begin, code == 0 and bool(checks) and checks[-1]["ok"] is True


def run_fault(name, a, work, answers):
    break_it, was_met = FAULTS[name]
    with contextlib.ExitStack() as stack:
        folder = work / name.replace(" ", "-")
        if name == "disk full":
            stack.enter_context(small_disk(folder))
        faults = Faults(work, folder)
        flags = ("--kv-disk", folder, "--kv-disk-size", DISK_BYTES)
        server = stack.enter_context(autoglm(a.binary, a.model, work / "log", *a.flags, *flags, env=faults.environment))
        loaded(server, a.clients, answers, a.warm_up)
        before = loaded(server, a.clients, answers, a.seconds)
        counts = counted(server)
        with break_it(folder, faults) as trouble:
            during = loaded(server, a.clients, answers, a.seconds, trouble)
            counts = {key: value - counts[key] for key, value in counted(server).items()}
            met = was_met(counts, faults)
            end_s, is_clean = ends_well(server)
        shutil.rmtree(folder, ignore_errors=True)
    problems = [f"{len(part[kind])} {kind}: {part[kind][:3]}" for part in (before, during) for kind in ("wrong", "failures") if part[kind]]
    problems += [] if met else [f"the fault went unnoticed: {counts}"]
    problems += [] if is_clean else ["it did not end cleanly"]
    problems += [] if end_s < a.end_limit else [f"it took {end_s:.1f} s to end"]
    return {"before": before, "during": during, "counts": counts, "end_s": end_s, "problems": problems}


def row(name, part, before, without, counts, result):
    ratios = [short(part["p99_ms"] / other["p99_ms"]) if other else "" for other in (before, without)]
    figures = [f"{part[key]:.1f}" for key in ("median_ms", "p99_ms")] + ratios + [f"{part['first_ms']:.0f}", str(part["num_answers"])]
    figures += [str(len(part["wrong"])), str(len(part["failures"]))]
    figures += [str(counts[key]) for key in (*COUNTERS, "errors")] if counts else [""] * 5
    return "| " + " | ".join([name, *figures, f"{result['end_s']:.1f}" if result else ""]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=12, help="before each fault, and with it")
    parser.add_argument("--warm-up", type=float, default=6)
    parser.add_argument("--end-limit", type=float, default=10, help="seconds that a server may take to end")
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--folder", type=Path, help="where the blocks go (default: a temporary folder)")
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    a.flags = ("--kv-memory", "96M", "--speculation", "off")
    check_files(a.binary, a.model)
    if not can_be_made():
        sys.exit("gcc is missing: it compiles the shim that makes a disk slow")
    answers, results = {}, {}
    with tempfile.TemporaryDirectory(dir=a.folder) as work:
        with autoglm(a.binary, a.model, Path(work) / "log", *a.flags) as server:
            without = loaded(server, a.clients, answers, a.seconds)
        for name in a.only:
            results[name] = run_fault(name, a, Path(work), answers)
            print(name, *results[name]["problems"], sep="\n  ", file=sys.stderr, flush=True)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['date']}, {a.model.name}, {version_of(a.binary)}, {a.clients} clients, "
          f"{a.seconds:g} s each\n")
    print("| | gap, median ms | P99 ms | to before | to no tier | first token, median ms | answers | wrong | failed "
          "| written | read | dropped | damaged | errors | end, s |\n|" + " --- |" * 15)
    print(row("no tier", without, None, None, None, None))
    for name, result in results.items():
        print(row(f"before {name}" if name != "nothing" else "tier", result["before"], None, without, None, None))
        print(row(name, result["during"], result["before"], without, result["counts"], result))
    problems = [f"{name}: {problem}" for name, result in results.items() for problem in result["problems"]]
    problems += [f"no tier: {len(without[kind])} {kind}" for kind in ("wrong", "failures") if without[kind]]
    print(f"\n{'; '.join(problems) or 'Every answer was the right one.'}")
    if a.out:
        a.out.write_text(json.dumps({"machine": facts, "without": without, "faults": results, "problems": problems}, indent=1))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
