#!/usr/bin/env python3
"""The web console from the working tree, before a running server or gateway: what is edited is seen at the next reload.

    tools/console_dev.py http://127.0.0.1:8080              a server
    tools/console_dev.py http://127.0.0.1:8001 --port 9002  a gateway's admin port

Where the server answers 404, endpoints that are still to come are answered from console_canned/, marked by the header
`x-canned`; --as-is switches that off.
"""
import argparse
import http.client
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "src/console/static"
CANNED = Path(__file__).resolve().parent / "console_canned"
CHART = Path("/usr/share/javascript/chart.js/chart.min.js")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
# As the server sends them.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
PASSED_ON = ("authorization", "origin", "accept")
RETURNED = ("content-type", "www-authenticate", "retry-after")


def canned_list(query, records):
    wanted = parse_qs(query)
    fits = [record for record in records if "min_ms" not in wanted or record["total_ns"] >= int(wanted["min_ms"][0]) * 1_000_000]
    return {"object": "list", "finished": len(records), "active": 0, "data": fits[: int(wanted.get("limit", ["50"])[0])]}


def canned(path, query):
    """An answer to an endpoint that the server does not have; None: there is none."""
    if path in ("/v1/slo", "/v1/cache"):
        return json.loads((CANNED / f"{path.removeprefix('/v1/')}.json").read_text())
    if not path.startswith(("/v1/requests", "/v1/traces/")):
        return None
    records = json.loads((CANNED / "requests.json").read_text())
    for age, record in enumerate(records):
        record["begun_unix_ns"] = int((time.time() - 3 * age - 2) * 1e9)
    if path == "/v1/requests":
        return canned_list(query, records)
    name = unquote(path.removeprefix("/v1/requests/").removesuffix("/timing").removeprefix("/v1/traces/"))
    found = [record for record in records if name in (record["id"], record["trace_id"])]
    if not found:
        return None
    return found[0] if path.endswith("/timing") else {"trace_id": name, "data": found}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_url = None
    uses_canned = True

    def do_GET(self):
        path = urlsplit(self.path).path
        if path in ("/", "/console", "/console/"):
            self.answer_file(STATIC / "index.html")
        elif path == "/console/chart.min.js":
            self.answer_file(CHART)
        elif path.startswith("/console/") and "/" not in path.removeprefix("/console/"):
            self.answer_file(STATIC / path.removeprefix("/console/"))
        else:
            self.forward(path)

    def answer_file(self, file):
        if not file.is_file() or file.suffix not in TYPES:
            self.answer(404, b"not found", {"Content-Type": "text/plain"})
        else:
            self.answer(200, file.read_bytes(), {"Content-Type": TYPES[file.suffix]} | PAGE_HEADERS)

    def forward(self, path):
        try:
            status, headers, body = self.ask()
        except OSError as error:
            # As a browser sees a server that is gone.
            self.close_connection = True
            self.log_message("%s", error)
            return
        instead = canned(path, urlsplit(self.path).query) if status == 404 and self.uses_canned else None
        if status == 404 and path == "/console/data/summary":
            instead = {}  # the page takes the rest from /metrics
        if instead is None:
            self.answer(status, body, headers)
        else:
            self.answer(200, json.dumps(instead).encode(), {"Content-Type": "application/json", "x-canned": "1"})

    def ask(self):
        connection = http.client.HTTPConnection(self.server_url.hostname, self.server_url.port, timeout=30)
        try:
            connection.request("GET", self.path, headers={name: value for name, value in self.headers.items() if name.lower() in PASSED_ON})
            response = connection.getresponse()
            return response.status, {name: value for name, value in response.getheaders() if name.lower() in RETURNED}, response.read()
        finally:
            connection.close()

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", type=urlsplit, help="the server's address, or that of a gateway's admin port")
    parser.add_argument("--port", type=int, default=9001, help="port of this page; 0: any free one")
    parser.add_argument("--as-is", action="store_true", help="no canned answers")
    options = parser.parse_args()
    Handler.server_url = options.server
    Handler.uses_canned = not options.as_is
    pages = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    pages.daemon_threads = True
    print(f"Console at http://127.0.0.1:{pages.server_port}/console", flush=True)
    pages.serve_forever()


if __name__ == "__main__":
    main()
