"""Load and upstreams fast enough to measure a gateway: bench/load/gatebench.cc and mock_upstream.cc, compiled where they are needed."""
import json
import re
import subprocess
import sys

from common import ROOT, Server

FOLDER = ROOT / "build/bench"


def compiled(name):
    """The program of bench/load, built anew where its source is newer."""
    source, program = ROOT / f"bench/load/{name}.cc", FOLDER / name
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["g++", "-O2", "-std=c++20", "-o", program, source, "-lpthread"], check=True)
    return program


def mock_upstream(work, index):
    return Server([compiled("mock_upstream"), "--port", "{port}"], "/health", work / f"mock{index}.log")


def gatebench(work, kind, targets, name="gatebench", **options):
    """Starts it; `targets` are (name, "host:port", process id or None). Ended, its report is at report_of(process)."""
    out = work / f"{name}.json"
    command = [str(compiled("gatebench")), kind, "--out", str(out)]
    for target, address, pid in targets:
        command += ["--target", f"{target}={address}" + (f"@{pid}" if pid else "")]
    for option, value in options.items():
        command += ["--" + option.replace("_", "-"), str(value)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.report_path = out
    return process


def report_of(process):
    """Waits for its end."""
    error = process.communicate()[1]
    if process.returncode != 0:
        sys.exit(f"gatebench: {error[-2000:]}")
    return json.loads(process.report_path.read_text())
