"""End-to-end tests: the real binary, a real model, real clients."""
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from serving import Server

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm"


def pytest_configure(config):
    """Keys of whoever runs the tests would close the servers."""
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="autoglm-state-")


def pytest_addoption(parser):
    parser.addoption("--binary", default=ROOT / "build/release/bin/autoglm", type=Path)
    parser.addoption("--console-dev", action="store_true", help="pages of the console from the working tree, by tools/console_dev.py")
    parser.addoption("--model", default=CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf", type=Path)


@pytest.fixture(scope="session")
def binary(request):
    path = request.config.getoption("--binary").resolve()
    assert path.exists(), f"{path} is missing: ./run build"
    return path


@pytest.fixture(scope="session")
def model(request):
    path = request.config.getoption("--model").resolve()
    assert path.exists(), f"{path} is missing: ./run fetches it"
    return path


@pytest.fixture(scope="session")
def server(binary, model, tmp_path_factory):
    """The server most tests share, with default settings."""
    server = Server(binary, model, tmp_path_factory.mktemp("server") / "log.json")
    yield server
    server.stop()


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture
def start_server(binary, model, tmp_path):
    """Starts servers with flags of the test's choice; all of them must end cleanly."""
    servers = []

    def start(*flags):
        servers.append(Server(binary, model, tmp_path / f"log{len(servers)}.json", *flags))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def autoglm(binary):
    """Runs the binary to its end: autoglm("model", "info", FILE) -> CompletedProcess with text output."""

    def run(*arguments, input=None, timeout=120):
        return subprocess.run([str(binary), *map(str, arguments)], capture_output=True, text=True, input=input, timeout=timeout)

    return run
