"""A small model hub that speaks the APIs of Hugging Face and ModelScope over real HTTP, with the mishaps of real ones."""
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit


class LocalHub:
    """`files` of the one repository org/model: path -> bytes. What goes wrong is set on the object while a test runs."""

    def __init__(self):
        self.files = {}
        self.listing = None  # instead of the true one
        self.page_size = 1000
        self.token = None  # who does not show it gets 401
        self.failures = []  # statuses to answer downloads with before all goes well
        self.list_failures = []  # the same for lists of files
        self.stalls = False  # the hub takes requests and never answers
        self.cut_after = None  # bytes, once
        self.damaged = False  # contents differ from the checksum
        self.heeds_ranges = True
        self.delay_s = 0  # between pieces of 64 KiB
        self.requests = []  # (server, method, path, headers)
        hub = self
        self._cdn = self._serve(type("Cdn", (_Handler,), {"hub": hub, "name": "cdn"}))
        self._server = self._serve(type("Hub", (_Handler,), {"hub": hub, "name": "hub"}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.cdn_url = f"http://localhost:{self._cdn.server_port}"  # another host by name

    @staticmethod
    def _serve(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def stop(self):
        for server in (self._server, self._cdn):
            server.shutdown()
            server.server_close()

    def downloads(self):
        return [r for r in self.requests if r[0] == "cdn"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        hub, url = self.hub, urlsplit(self.path)
        hub.requests.append((self.name, "GET", self.path, dict(self.headers)))
        if self.name == "cdn":
            return self.send_file(unquote(url.path[1:]))
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.reply(401, b"who are you?")
        while hub.stalls:
            time.sleep(0.05)
        query = parse_qs(url.query)
        if url.path == "/api/models/org/model/tree/main":
            if hub.list_failures:
                return self.reply(hub.list_failures.pop(0), b"not now")
            return self.send_tree(int(query.get("cursor", ["0"])[0]))
        if url.path.startswith("/org/model/resolve/main/"):
            return self.redirect(unquote(url.path.removeprefix("/org/model/resolve/main/")))
        if url.path == "/api/v1/models/org/model/repo/files":
            files = [{"Type": "blob", "Path": p, "Size": len(b), "Sha256": hashlib.sha256(b).hexdigest()} for p, b in hub.files.items()]
            return self.reply(200, json.dumps({"Code": 200, "Data": {"Files": files}}).encode())
        if url.path == "/api/v1/models/org/model/repo":
            return self.redirect(query["FilePath"][0])
        self.reply(404, b"not here")

    def redirect(self, path):
        if path not in self.hub.files:
            return self.reply(404, b"not here")
        self.reply(302, headers=[("Location", f"{self.hub.cdn_url}/{quote(path)}")])

    def send_tree(self, cursor):
        hub = self.hub
        if hub.listing is not None:
            return self.reply(200, json.dumps(hub.listing).encode())
        entries = []
        for path, content in hub.files.items():
            entry = {"type": "file", "path": path, "size": len(content)}
            if path.endswith((".gguf", ".safetensors")):
                entry |= {"oid": "0" * 40, "lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}}
            else:
                entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entries.append(entry)
        page, following = entries[cursor : cursor + hub.page_size], cursor + hub.page_size
        headers = [("Link", f'<{hub.url}/api/models/org/model/tree/main?recursive=true&cursor={following}>; rel="next"')] if following < len(entries) else []
        self.reply(200, json.dumps(page).encode(), headers)

    def send_file(self, path):
        hub, content = self.hub, self.hub.files[path]
        if hub.failures:
            return self.reply(hub.failures.pop(0), b"not now")
        if hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        begin = 0
        if hub.heeds_ranges and self.headers.get("Range"):
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                return self.reply(416)
        rest = content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(rest)))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if hub.cut_after is not None:
            rest, hub.cut_after = rest[: hub.cut_after], None
            self.close_connection = True
        try:
            for at in range(0, len(rest), 65536):
                self.wfile.write(rest[at : at + 65536])
                time.sleep(hub.delay_s)
        except OSError:
            pass  # the client went away
