"""A TCP proxy between a gateway and one server that misbehaves when it is told to, while connections run."""
import asyncio
import collections
import contextlib
import itertools
import random
import socket
import struct
import threading

MODES = ("pass", "slow", "status_500", "reset", "garbage")
TEXT = b"<html><body>It works!</body></html>"
NONSENSE = random.Random(1).randbytes(200)


def answer_of(status, content_type, body, length=None):
    head = f"HTTP/1.1 {status} Some\r\ncontent-type: {content_type}\r\ncontent-length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body


# What `garbage` answers in turn: no HTTP, another's page, a JSON that breaks off, one that is none, a stream of nothing.
GARBAGE = (NONSENSE, answer_of(200, "text/html", TEXT), answer_of(200, "application/json", b'{"id":"x","choi', 500),
           answer_of(200, "application/json", NONSENSE), answer_of(200, "text/event-stream", b"data: }{\n\n"))


class FaultProxy:
    """Passes bytes on to `port`. `mode` and `delay_s` may be changed at any time; they are looked at when a request has arrived.

    GETs (probes, metrics) always pass, so that the server looks well: the hard case. `reset` breaks all connections when it is set, and then
    in turn one before the server has the request, and one in the middle of its answer.
    """

    def __init__(self, port):
        self.target, self.mode, self.delay_s = port, "pass", 0.0
        self.num_faults = 0
        self.posts = collections.Counter()  # by x-request-id: how often each arrived here
        self._turn = itertools.count()
        self._open = set()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()
        self.url = f"http://127.0.0.1:{self.port}"

    def set(self, mode, delay_s=0.0):
        assert mode in MODES
        self.mode, self.delay_s = mode, delay_s
        if mode == "reset":
            self._loop.call_soon_threadsafe(lambda: [self._reset(writer) for writer in list(self._open)])

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def _reset(self, writer):
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _serve(self, reader, writer):
        upstream, cuts = None, []
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while request := await self._read_request(reader):
                method, request_id, data = request
                if method == "POST":
                    self.posts[request_id] += 1
                    if self.mode != "pass" and await self._misbehave(writer, cuts):
                        continue
                if upstream is None or upstream[2].done():
                    upstream = await self._connect(writer, cuts)
                upstream[1].write(data)
                await upstream[1].drain()
        if upstream:
            upstream[2].cancel()
            upstream[1].close()
        self._open.discard(writer)
        writer.close()

    async def _read_request(self, reader):
        """(method, x-request-id, bytes), or nothing at the end."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return lines[0].split()[0], headers.get("x-request-id", ""), head + body

    async def _misbehave(self, writer, cuts):
        """Whether the request has got its answer already; `cuts` has something in it where the answer is to break off."""
        self.num_faults += 1
        if self.mode == "slow":
            await asyncio.sleep(self.delay_s)
            return False
        if self.mode == "reset":
            if next(self._turn) % 2 == 0:
                self._reset(writer)
                raise ConnectionResetError
            cuts.append(True)
            return False
        if self.mode == "status_500":
            writer.write(answer_of(500, "application/json", b'{"error":{"message":"made up","type":"server_error"}}'))
            return True
        writer.write(GARBAGE[next(self._turn) % len(GARBAGE)])
        raise ConnectionAbortedError  # and the connection is closed

    async def _connect(self, writer, cuts):
        """(reader, writer, task that brings the answers back)."""
        reader, upstream = await asyncio.open_connection("127.0.0.1", self.target)

        async def bring_back():
            with contextlib.suppress(OSError):
                num_pieces = 0
                while data := await reader.read(1 << 16):
                    num_pieces += 1
                    if cuts and (num_pieces > 3 or b"content-length" in data.lower()):
                        writer.write(data[:len(data) // 2])
                        await asyncio.sleep(0.01)
                        return self._reset(writer)
                    writer.write(data)
                    await writer.drain()
            writer.close()
        return reader, upstream, asyncio.ensure_future(bring_back())
