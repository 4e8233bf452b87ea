"""`autoglm chat` at a real (pseudo) terminal."""
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

QUESTION = "What is the capital of France? Answer in one word.\n"


class Terminal:
    """A program at a pseudo terminal: type into it, wait for what it shows."""

    def __init__(self, *command):
        ours, theirs = pty.openpty()
        self.shown = ""
        self._fd = ours
        self.process = subprocess.Popen([str(c) for c in command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: os.set_blocking(0, True), env=os.environ | {"TERM": "xterm"})
        os.close(theirs)

    def type(self, text):
        os.write(self._fd, text.encode())

    def wait_for(self, pattern, timeout_s=60):
        """Reads until the pattern shows up after what was matched before; returns the text before and with it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            match = re.search(pattern, self.shown)
            if match:
                seen, self.shown = self.shown[: match.end()], self.shown[match.end() :]
                return seen
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._fd, 65536).decode(errors="replace")
                except OSError:
                    break
        raise AssertionError(f"{pattern!r} did not show up in {self.shown!r}")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def chat(binary, model):
    terminal = Terminal(binary, "chat", model, "--temperature", "0")
    terminal.wait_for(r"> ")
    yield terminal
    terminal.end()


def test_a_question_is_answered_and_the_prompt_returns(chat):
    chat.type(QUESTION)
    chat.wait_for("Paris")
    chat.wait_for(r"> ")


def test_the_end_of_input_ends_it(chat):
    chat.type("\x04")
    assert chat.process.wait(10) == 0


def test_ctrl_c_stops_an_answer_and_not_the_program(chat):
    chat.type("Write a very long story about a lighthouse.\n")
    chat.wait_for("story.*\n.*[a-z]{3}")
    chat.process.send_signal(signal.SIGINT)
    chat.wait_for(r"> ", timeout_s=5)
    chat.type(QUESTION)
    chat.wait_for("Paris")


def test_it_talks_through_a_pipe_as_well(autoglm, model):
    result = autoglm("chat", model, "--temperature", "0", input=QUESTION)
    assert result.returncode == 0
    assert "Paris" in result.stdout
