"""A server in the place of a model's: answers like OpenAI's API at once, and keeps what it was sent, byte for byte."""
import json
import socket
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Recorded:
    """One request as it arrived."""
    head: bytes
    body: bytes

    @property
    def line(self):
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def headers(self):
        """All of them, in their order: [(lower-case name, value)]."""
        lines = self.head.split(b"\r\n")[1:-2]
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def values(self, name):
        return [value for one, value in self.headers if one == name]


@dataclass
class RecordingUpstream:
    """Listens while it is open. What it answers may be set at any time."""
    delay_s: float = 0.0
    usage: dict = field(default_factory=lambda: {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8})
    padding: str = ""  # makes answers long
    max_running: int = 0  # the most requests that were here at a time

    def __post_init__(self):
        self._requests, self._running, self._lock = [], 0, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def take(self):
        """What has arrived since it was asked last."""
        with self._lock:
            taken, self._requests = self._requests, []
        return taken

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while (request := self._read(stream)) is not None:
                    self._answer(connection, request)
            except OSError:
                return  # the gateway has gone away

    def _read(self, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        request = Recorded(head, b"")
        request.body = stream.read(sum(map(int, request.values("content-length"))))
        with self._lock:
            self._requests.append(request)
            self._running += 1
            self.max_running = max(self.max_running, self._running)
        return request

    def _answer(self, connection, request):
        time.sleep(self.delay_s)
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "small",
                  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes." + self.padding}}], "usage": self.usage}
        body = json.dumps(answer).encode()
        with self._lock:
            self._running -= 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
