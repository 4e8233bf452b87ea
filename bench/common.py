"""What the benchmarks share: starting a server, asking it, describing the machine, medians and spread."""
import http.client
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / "build/release/bin/autoglm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm"
MODEL = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"


def add_common_arguments(parser):
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--model", type=Path, default=MODEL)


def check_files(*paths):
    """Ends the program where a file is missing or the binary is not an optimised one."""
    for path in paths:
        if not path.exists():
            sys.exit(f"{path} is missing: ./run build builds the binary, ./run fetches the model")
        cache = path.resolve().parents[1] / "CMakeCache.txt"
        if path.name == "autoglm" and cache.exists() and "CMAKE_BUILD_TYPE:STRING=Release" not in cache.read_text():
            sys.exit(f"{path} is not a release build: its figures would mean nothing")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server process, on a free port unless one is given; `command` has "{port}" where the port goes."""

    def __init__(self, command, ready_path, log_path, env=None, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = Path(log_path)
        command = [str(c).replace("{port}", str(self.port)) for c in command]
        with open(self.log_path, "wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        while not self._answers(ready_path):
            if self.process.poll() is not None or time.perf_counter() - self.started > 120:
                raise RuntimeError(f"{command[0]} did not start:\n{self.log_path.read_text()[-2000:]}")
            time.sleep(0.001)

    def _answers(self, path):
        try:
            return self.get(path)[0] == 200
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """Sum of one metric over its labels."""
        text = self.get("/metrics")[1]
        return sum(float(v) for v in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def cpu_seconds(self):
        """Of all its threads, since it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self, field="VmRSS"):
        return int(re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    def stop(self, timeout_s=60):
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def autoglm(binary, model, log_path, *flags, env=None):
    return Server([binary, "serve", model, "--port", "{port}", "--keys-database", "off", *flags], "/ready", log_path, env)


def chat_body(content, max_tokens, **options):
    body = {"model": "default", "messages": [{"role": "user", "content": content}], "max_tokens": max_tokens, "temperature": 0,
            "stream": True, "ignore_eos": True}
    return json.dumps(body | options).encode()


def text_events(server, body, timeout_s=60):
    """Sends a streaming chat and yields when each text arrives; then the connection is closed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s)
    try:
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {response.read().decode(errors='replace')[:500]}")
        for line in response:
            if line.startswith(b"data: {") and (json.loads(line[6:]).get("choices") or [{}])[0].get("delta", {}).get("content"):
                yield time.perf_counter()
    finally:
        connection.close()


def first_event(server, body):
    """Sends a streaming chat and returns when the first text has arrived; the connection is closed."""
    events = text_events(server, body)
    try:
        return next(events)
    except StopIteration:
        raise RuntimeError("the stream ended without text") from None
    finally:
        events.close()


def machine():
    """Processor, cores, memory, system, compiler, date: what a figure means nothing without."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    flags = re.search(r"flags\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    wide = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flags and f in flags[1].split()]
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {"cpu": cpu[1] if cpu else platform.processor(), "instruction_sets": wide, "cores": os.cpu_count(),
            "memory_gb": round(int(memory[1]) / 1048576), "kernel": platform.release(), "date": time.strftime("%Y-%m-%d")}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def short(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def version_of(binary):
    done = subprocess.run([str(binary), "--version"], capture_output=True, text=True)
    return " ".join((done.stdout + done.stderr).split("\n")[0].split())
