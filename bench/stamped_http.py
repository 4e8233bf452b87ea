"""HTTP/1.1 over one socket, with the times at which the first byte left and the last one arrived: at the client, and at its kernel.

The kernel's times are those of the packets themselves (Linux, Documentation/networking/timestamping), so that a client that has to wait for
a processor does not count as network.
"""
import socket
import struct
import time
from dataclasses import dataclass

# asm-generic/socket.h and linux/net_tstamp.h; Python has no names for them.
SO_TIMESTAMPING = 37
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_TSONLY = 1 << 1, 1 << 3, 1 << 4, 1 << 11
FLAGS = TX_SOFTWARE | RX_SOFTWARE | SOFTWARE | OPT_TSONLY
TIMESPEC = struct.Struct("qq")


class Gone(Exception):
    """The server closed in the middle of an answer."""


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    total_ns: int           # from before the first byte was sent until the last one was read
    sent_unix_ns: int       # when the kernel had sent the first one, or when it was given it where that is not known
    kernel_unix_ns: int     # when the kernel had the last one
    mark_ns: int = 0        # until what the caller looked for was read; 0: it was not in it


def stamp_of(ancillary):
    """Unix nanoseconds, 0 where there is none."""
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING:
            seconds, nanoseconds = TIMESPEC.unpack_from(value)
            return seconds * 1_000_000_000 + nanoseconds
    return 0


def begin_stamping():
    """The kernel begins to stamp packets a moment after somebody first asked it to; the socket must stay."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, FLAGS)
    time.sleep(0.1)
    return asking


class Connection:
    """One request at a time; what it reads is parsed as far as needed to know where the answer ends."""

    def __init__(self, port, timeout_s=120, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._timeout_s = timeout_s
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, FLAGS)
        self._buffer = bytearray()
        self._kernel_ns = 0

    def close(self):
        self.socket.close()

    def send(self, method, path, body=None, headers=None):
        lines = [f"{method} {path} HTTP/1.1", "Host: here"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
        self._sent_ns, self._sent_unix_ns = time.monotonic_ns(), time.time_ns()
        self.socket.sendall(data)
        self._sent_unix_ns = self._first_departure() or self._sent_unix_ns

    def _first_departure(self):
        """Reads what the kernel says of the packets that left; on loopback it has when send returns."""
        first = 0
        self.socket.setblocking(False)  # with a timeout Python would wait for bytes to read before it looks
        try:
            while True:
                stamp = stamp_of(self.socket.recvmsg(0, 256, socket.MSG_ERRQUEUE)[1])
                first = first or stamp
        except BlockingIOError:
            return first
        finally:
            self.socket.settimeout(self._timeout_s)

    def _read(self):
        data, ancillary, _, _ = self.socket.recvmsg(1 << 16, 256)
        if not data:
            raise Gone
        self._kernel_ns = stamp_of(ancillary) or self._kernel_ns
        self._buffer += data

    def _until(self, mark):
        while (end := self._buffer.find(mark)) < 0:
            self._read()
        found = bytes(self._buffer[:end])
        del self._buffer[:end + len(mark)]
        return found

    def _exactly(self, length, pause_s=0.0):
        while len(self._buffer) < length:
            time.sleep(pause_s)
            self._read()
        found = bytes(self._buffer[:length])
        del self._buffer[:length]
        return found

    def receive(self, pause_s=0.0, mark=None):
        """The answer. A slow reader pauses before each read; `mark` is looked for in the body, and when it came is noted."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:])}
        status, mark_ns = int(head[0].split()[1]), 0
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size, pause_s)
                if mark and not mark_ns and mark in body:
                    mark_ns = time.monotonic_ns() - self._sent_ns
                self._exactly(2)
            self._exactly(2)
        else:
            body = self._exactly(int(headers.get("content-length", 0)), pause_s)
        return Answer(status, headers, body, time.monotonic_ns() - self._sent_ns, self._sent_unix_ns, self._kernel_ns, mark_ns)

    def ask(self, method, path, body=None, headers=None, **options):
        self.send(method, path, body, headers)
        return self.receive(**options)
