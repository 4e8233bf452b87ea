"""HTTP/1.1 as bytes: what no client library would send, and what comes back for it."""
import json
import re
import socket
import time
from contextlib import closing

BODY = b'{"model":"small","messages":[{"role":"user","content":"hi"}]}'


def request(line=b"POST /v1/chat/completions HTTP/1.1", headers=(), body=BODY, framing=None, key=b"free"):
    """A request; `framing` are the headers that say where the body ends, right ones by default."""
    framing = [b"Content-Length: %d" % len(body)] if framing is None else framing
    lines = [line, b"Host: here", b"Authorization: Bearer " + key, *headers, *framing]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def connect(server, timeout_s=20):
    return closing(socket.create_connection((server.host, server.port), timeout=timeout_s))


def answers(server, sent, timeout_s=20):
    """[(status, headers, body)] of all that comes before the server closes; `sent` must make it close at last."""
    with connect(server, timeout_s) as connection:
        connection.sendall(sent)
        return read_answers(connection)


def read_answers(connection):
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass  # it did not read all that was sent; what it said before counts
    return parse_answers(received)


def parse_answers(received):
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        found.append((int(re.match(r"HTTP/1\.1 (\d{3}) ", status)[1]), headers, rest[:length]))
        received = rest[length:]
    return found


def is_error(body):
    """Whether it is an error in OpenAI's form."""
    error = json.loads(body)["error"]
    return bool(error["message"]) and bool(error["type"]) and {"param", "code"} <= set(error)


def seconds(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun
