"""HTTP at the gateway's door: what clients send to be read differently by the server behind, or to hold up the gateway."""
import json
import socket
import threading
import time
from contextlib import suppress
from statistics import median

import pytest
from access_config import ask, gateway_config, key_entries
from gateway_process import Gateway
from raw_http import BODY, answers, connect, is_error, read_answers, request, seconds
from recording_upstream import RecordingUpstream
from serving import wait_until

POLICIES = {"free": "{tenant: acme}"}
SLOW_MS = 2000


@pytest.fixture(scope="module")
def upstream():
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(binary, upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("door")
    limits = f"limits: {{header_timeout: {SLOW_MS}ms, body_timeout: {SLOW_MS}ms, write_timeout: {SLOW_MS}ms, max_body: 1M}}\n"
    top = f"audit_log: {folder / 'audit.jsonl'}\n" + limits + key_entries(POLICIES)
    gateway = Gateway(binary, folder, gateway_config(upstream, top, ", api_key: upstream-secret"))
    gateway.audit_path = folder / "audit.jsonl"
    yield gateway
    gateway.stop()


@pytest.fixture
def arrived(upstream):
    """What the test's own requests have brought to the upstream."""
    upstream.take()
    return upstream.take


# --- where a message ends

CHUNKED = [b"Transfer-Encoding: chunked"]
CHUNKS = b"10\r\n" + b'{"model":"small"' + b"\r\n1\r\n}\r\n0\r\n\r\n"
NEXT = request(line=b"POST /v1/smuggled HTTP/1.1", headers=[b"Connection: close"])


def framed(*framing, body=CHUNKS):
    return request(framing=list(framing), body=body)


def chunked(body):
    return framed(*CHUNKED, body=body)


def with_header(header):
    return request(headers=[header])


BADLY_FRAMED = {
    "length and chunks": framed(b"Content-Length: 5", *CHUNKED),
    "chunks and length": framed(*CHUNKED, b"Content-Length: 5"),
    "chunked twice": framed(*CHUNKED, *CHUNKED),
    "chunked, chunked": framed(b"Transfer-Encoding: chunked, chunked"),
    "chunked, identity": framed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "gzip, chunked": framed(b"Transfer-Encoding: gzip, chunked"),
    "xchunked": framed(b"Transfer-Encoding: xchunked"),
    "chunked;q=1": framed(b"Transfer-Encoding: chunked;q=1"),
    "chunked in quotes": framed(b'Transfer-Encoding: "chunked"'),
    "vertical tab before chunked": framed(b"Transfer-Encoding: \x0bchunked"),
    "no-break space before chunked": framed(b"Transfer-Encoding: \xa0chunked"),
    "space before the colon": framed(b"Transfer-Encoding : chunked"),
    "tab before the colon": framed(b"Transfer-Encoding\t: chunked"),
    "hidden behind a bare line feed": framed(b"X-A: y\nTransfer-Encoding: chunked"),
    "hidden behind a bare carriage return": framed(b"X-A: y\rTransfer-Encoding: chunked"),
    "chunks in HTTP/1.0": request(line=b"POST /v1/x HTTP/1.0", framing=CHUNKED, body=CHUNKS),
    "two lengths": framed(b"Content-Length: 2", b"Content-Length: 3"),
    "two lengths in one": framed(b"Content-Length: 2, 3"),
    "length with a sign": framed(b"Content-Length: +2"),
    "negative length": framed(b"Content-Length: -1"),
    "hexadecimal length": framed(b"Content-Length: 0x2"),
    "length with a space": framed(b"Content-Length: 1 2"),
    "no length at all": framed(b"Content-Length:"),
    "length beyond 64 bits": framed(b"Content-Length: 18446744073709551618"),
    "chunk size with a prefix": chunked(b"0x10" + CHUNKS[2:]),
    "chunk size with a sign": chunked(b"+10" + CHUNKS[2:]),
    "negative chunk size": chunked(b"-1\r\n{"),
    "chunk size beyond 64 bits": chunked(b"10000000000000010" + CHUNKS[2:]),
    "line feed in a chunk extension": chunked(b"10;a\nb" + CHUNKS[2:]),
    "space behind a chunk size": chunked(b"10 " + CHUNKS[2:]),
    "chunk longer than its size": chunked(CHUNKS.replace(b"\r\n1\r\n", b"XX1\r\n")),
    "trailer that is none": chunked(CHUNKS[:-2] + b"no colon\r\n\r\n"),
}
BADLY_WRITTEN = {
    "space in a name": with_header(b"X A: y"),
    "no colon": with_header(b"X-A"),
    "empty name": with_header(b": y"),
    "NUL in a name": with_header(b"X\0A: y"),
    "control byte in a name": with_header(b"X\x1fA: y"),
    "name beyond ASCII": with_header(b"X\xe9: y"),
    "NUL in a value": with_header(b"X-A: a\0b"),
    "control byte in a value": with_header(b"X-A: a\x01b"),
    "delete in a value": with_header(b"X-A: a\x7fb"),
    "line feed in a value": with_header(b"X-A: a\nX-B: b"),
    "carriage return in a value": with_header(b"X-A: a\rX-B: b"),
    "two hosts": with_header(b"Host: there"),
    "no host": request().replace(b"Host: here\r\n", b""),
    "line feeds only": request().replace(b"\r\n", b"\n"),
    "an expectation nobody has": with_header(b"Expect: 200-ok"),
    "a body that is compressed": with_header(b"Content-Encoding: gzip"),
    "no version": request(line=b"GET /v1/x"),
    "HTTP/1.2": request(line=b"GET /v1/x HTTP/1.2"),
    "HTTP/2.0": request(line=b"PRI * HTTP/2.0"),
    "two spaces": request(line=b"POST  /v1/x HTTP/1.1"),
    "tabs": request(line=b"POST\t/v1/x\tHTTP/1.1"),
    "space behind the version": request(line=b"POST /v1/x HTTP/1.1 "),
    "NUL in the path": request(line=b"POST /v1/x\0y HTTP/1.1"),
    "line feed in the path": request(line=b"POST /v1/x\ny HTTP/1.1"),
    "an authority": request(line=b"CONNECT inside:22 HTTP/1.1"),
    "a path without a slash": request(line=b"GET v1/x HTTP/1.1"),
}


@pytest.mark.parametrize("name", BADLY_FRAMED | BADLY_WRITTEN)
def test_messages_that_are_no_good_http_end_the_connection(gateway, arrived, name):
    (status, headers, body), = answers(gateway, (BADLY_FRAMED | BADLY_WRITTEN)[name] + NEXT)
    assert status in (400, 413, 415, 417, 501)
    assert is_error(body)
    assert headers["connection"] == "close" and "retry-after" not in headers
    assert arrived() == []


@pytest.mark.parametrize("name, sent", {
    "chunks": chunked(CHUNKS),
    "chunk extensions": chunked(b'10;name=value;other="quoted"' + CHUNKS[2:]),
    "zeros before a chunk size": chunked(b"00000010" + CHUNKS[2:]),
    "trailers": chunked(CHUNKS[:-2] + b"Authorization: Bearer other\r\nX-Trailer: y\r\n\r\n"),
    "the same length twice": request(framing=[b"Content-Length: 61", b"Content-Length: 61"]),
    "a folded line": with_header(b"X-Folded: a\r\n X-Hidden: b"),
    "a tab in a value": with_header(b"X-A: a\tb"),
    "bytes beyond ASCII in a value": with_header(b"X-A: \xe9\xff"),
    "an escaped line break in the path": request(line=b"POST /v1/x?a=%0d%0aX-Hidden:%20b HTTP/1.1"),
}.items())
def test_odd_but_lawful_messages_arrive_as_one_plain_request(gateway, arrived, name, sent):
    (status, _, _), (second, _, _) = answers(gateway, sent + NEXT)
    assert (status, second) == (200, 200)
    odd, following = arrived()
    assert following.line == "POST /v1/smuggled HTTP/1.1"
    assert odd.values("content-length") == [str(len(odd.body))] and odd.body in (BODY, b'{"model":"small"}')
    assert not {"transfer-encoding", "x-hidden", "x-trailer"} & {name for name, _ in odd.headers}
    assert odd.values("authorization") == ["Bearer upstream-secret"]
    assert odd.head.count(b"\n") == odd.head.count(b"\r\n") == odd.head.count(b"\r") and b"\0" not in odd.head


def test_what_is_refused_before_it_is_a_request_is_counted_and_kept_too(gateway, arrived):
    before, lines = gateway.num_refused(), len(audit_lines(gateway))
    sent = [framed(b"Content-Length: 1", *CHUNKED), with_header(b"X-A: " + b"y" * 70_000), framed(b"Content-Length: 99999999"), with_header(b"Expect: x")]
    statuses = [answers(gateway, one)[0][0] for one in sent]
    assert statuses == [400, 431, 413, 417]
    assert gateway.num_refused() == before + len(sent)
    assert wait_until(lambda: len(audit_lines(gateway)) == lines + len(sent), 5)
    assert [line["status"] for line in audit_lines(gateway)[lines:]] == statuses
    assert all(line["refusal"] for line in audit_lines(gateway)[lines:])


def audit_lines(gateway):
    return [json.loads(line) for line in gateway.audit_path.read_text().splitlines()]


# --- headers

def test_headers_of_one_connection_end_there(gateway, arrived):
    headers = [b"Connection: close, X-One , te", b"Connection: x-two", b"Connection:\tx-three", b"Keep-Alive: 5", b"TE: trailers", b"Upgrade: h2c",
               b"Proxy-Authorization: Basic x", b"Proxy-Connection: close", b"X-One: 1", b"X-Two: 2", b"X-Three: 3", b"X-Four: 4"]
    assert answers(gateway, request(headers=headers))[0][0] == 200
    (one,) = arrived()
    names = {name for name, _ in one.headers}
    assert "x-four" in names
    assert not {"connection", "keep-alive", "te", "upgrade", "proxy-authorization", "proxy-connection", "x-one", "x-two", "x-three"} & names


def test_connection_cannot_take_away_what_the_gateway_adds(gateway, arrived):
    named = b"Connection: close, authorization, x-request-id, x-forwarded-for, host, content-length, x-autoglm-resume"
    assert answers(gateway, request(headers=[named, b"X-Request-Id: given-one"]))[0][0] == 200
    (one,) = arrived()
    assert one.values("authorization") == ["Bearer upstream-secret"]
    assert one.values("x-request-id") == ["given-one"]
    assert one.values("x-forwarded-for") == ["127.0.0.1"]
    assert one.values("content-length") == [str(len(BODY))] and one.body == BODY


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-IP", "X-API-Key",
                                    "API-Key", "X-AutoGLM-Resume", "X-Gateway-Fault", "Accept-Encoding", "X_Forwarded_For", "Content_Length",
                                    "Transfer_Encoding", "X_AutoGLM_Resume"])
def test_headers_that_are_the_gateways_to_say_do_not_come_from_clients(gateway, arrived, header):
    assert answers(gateway, request(headers=[header.encode() + b": 6.6.6.6", b"Connection: close"]))[0][0] == 200
    (one,) = arrived()
    assert b"6.6.6.6" not in one.head
    assert one.values("x-forwarded-for") == ["127.0.0.1"]


def test_credentials_of_clients_stay_here_or_go_on_whole(binary, upstream, arrived, gateway, tmp_path):
    assert answers(gateway, request(headers=[b"X-Api-Key: other", b"Authorization: Bearer second", b"Connection: close"], key=b"free"))[0][0] in (200, 400)
    for one in arrived():
        assert b"free" not in one.head and b"other" not in one.head and b"second" not in one.head
    passing = Gateway(binary, tmp_path, gateway_config(upstream, key_entries(POLICIES), ", passes_authorization: true"))
    try:
        assert answers(passing, request(headers=[b"Connection: close"]))[0][0] == 200
        assert [one.values("authorization") for one in arrived()] == [["Bearer free"]]
        # Which of two the server behind would take is anybody's guess.
        assert answers(passing, request(headers=[b"Authorization: Bearer second", b"Connection: close"]))[0][0] == 400
        assert arrived() == []
    finally:
        passing.stop()


def test_a_load_balancers_word_counts_where_it_is_trusted_and_nobody_elses(binary, upstream, arrived, tmp_path):
    """What the balancer has added stands last, be it in a line of its own: the first line may be the client's invention."""
    gateway = Gateway(binary, tmp_path, gateway_config(upstream, "trusts_forwarded: true\n" + key_entries(POLICIES)))
    try:
        for headers in ([b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-For: 10.0.0.7"], [b"X-Forwarded-For: 6.6.6.6, 10.0.0.7"]):
            assert answers(gateway, request(headers=[b"Connection: close", *headers]))[0][0] == 200
            assert arrived()[0].values("x-forwarded-for") == ["6.6.6.6, 10.0.0.7, 127.0.0.1"]
    finally:
        gateway.stop()


@pytest.mark.parametrize("given", [b"ok-1", b'a"b', b"a\tb", b"a b", b"\xff", b"x" * 300, b"${jndi:x}", b"a,b", b"a;b"])
def test_ids_of_requests_are_plain_wherever_they_come_from(gateway, arrived, given):
    (status, headers, _), = answers(gateway, request(headers=[b"X-Request-Id: " + given, b"Connection: close"]))
    (one,) = arrived()
    assert status == 200 and one.values("x-request-id") == [headers["x-request-id"]]
    assert headers["x-request-id"].isascii() and headers["x-request-id"].isprintable() and 1 <= len(headers["x-request-id"]) <= 256


# --- methods and paths

@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "TRACK", "DEBUG", "PRI", "get", "POSTX"])
def test_methods_that_no_api_needs_reach_no_upstream(gateway, arrived, method):
    """TRACE would tell clients the upstream's key, and after CONNECT no two servers agree where an answer ends."""
    before = gateway.num_refused()
    (status, _, body), = answers(gateway, request(line=f"{method} /v1/x HTTP/1.1".encode(), headers=[b"Connection: close"]))
    assert status in (400, 405, 501) and is_error(body)
    assert arrived() == []
    assert gateway.num_refused() == before + 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_of_apis_pass(gateway, arrived, method):
    assert gateway.request(method, "/v1/batches/b1", headers={"Authorization": "Bearer free"})[0] == 200
    assert [one.line for one in arrived()] == [f"{method} /v1/batches/b1 HTTP/1.1"]


TRICKY_PATHS = ["/v1/../metrics", "/v1/./x", "/v1/%2e%2e/metrics", "/v1/%2E%2e/metrics", "/v1/.%2e/metrics", "/v1/..%2fmetrics", "/v1%2fchat", "/v1/%252e%252e/x",
                "/v1/%25%32%65/x", "//metrics", "/v1//x", "/v1\\x", "/v1/%5c..%5cx", "/v1/x%00", "/v1/x%0d%0aX:y", "/v1/%", "/v1/%2", "/v1/%zz", "/v1/%u002e/x",
                "/v1/..;/metrics", "/v1/chat/completions;a=b", "/v1/x%3bb", "/v1/x%3fa=b", "/v1/x%23a", "/v1/chat/completions#a", "/v1/chat/completion%73",
                "/%76%31/chat/completions", "/v1/%c0%ae%c0%ae/x", "/v1/\xff", "*", "/v1/x/..", "/v1/x/.", "http://a/../x", "http://a//x", "//a/v1/x"]


@pytest.mark.parametrize("path", TRICKY_PATHS)
def test_paths_that_servers_read_differently_are_refused(gateway, arrived, path):
    before = gateway.num_refused("path")
    sent = request(line=b"POST " + path.encode("latin-1") + b" HTTP/1.1", headers=[b"Connection: close"])
    (status, _, body), = answers(gateway, sent)
    assert status == 400 and is_error(body)
    assert arrived() == []
    assert gateway.num_refused("path") == before + 1


@pytest.mark.parametrize("path", ["/v1/models/org%20name", "/v1/models/a.b:c@d", "/v1/x/", "/v1/models/%C3%A9", "/v1/files?x=%2e%2e/..//;a"])
def test_plain_paths_pass_as_they_are(gateway, arrived, path):
    assert answers(gateway, request(line=b"POST " + path.encode() + b" HTTP/1.1", headers=[b"Connection: close"]))[0][0] == 200
    assert [one.line for one in arrived()] == [f"POST {path} HTTP/1.1"]


@pytest.mark.parametrize("path", ["/metrics", "/flush_cache", "/update_weights_from_disk", "/sleep", "/collective_rpc", "/slots", "/workers"])
def test_what_operators_may_do_is_no_route_unless_it_is_named(gateway, arrived, path):
    """The gateway has the upstream's key; who has a key of the gateway's may use models, not run servers."""
    for method in ("GET", "POST"):
        status, _, body = gateway.request(method, path, headers={"Authorization": "Bearer free"})
        assert status in (403, 404) and is_error(body)
    assert arrived() == []


def test_another_host_in_the_target_leads_nowhere_else(gateway, arrived):
    for target in (b"http://elsewhere:1/v1/x", b"http://user:pass@elsewhere/v1/x", b"http://elsewhere?/v1/x", b"gopher://elsewhere/v1/x"):
        (status, _, _), = answers(gateway, request(line=b"POST " + target + b" HTTP/1.1", headers=[b"Connection: close"]))
        assert status in (200, 400)
    for one in arrived():
        assert one.line.startswith("POST /v1/x") and "elsewhere" not in one.line


# --- too much and too slow

def test_heads_and_bodies_that_are_too_large_are_refused_at_once(gateway, arrived):
    (status, _, body), = answers(gateway, with_header(b"X-A: " + b"y" * 65_536) + NEXT)
    assert status == 431 and is_error(body)
    (status, _, body), = answers(gateway, request(line=b"GET /" + b"y" * 70_000 + b" HTTP/1.1") + NEXT)
    assert status == 431 and is_error(body)
    # Told by the length alone, before the body comes.
    (status, _, body), = answers(gateway, framed(b"Content-Length: 1048577", b"Expect: 100-continue", body=b""))
    assert status == 413 and is_error(body)
    (status, _, body), = answers(gateway, chunked((b"80000\r\n" + b" " * 0x80000 + b"\r\n") * 3))
    assert status == 413 and is_error(body)
    assert arrived() == []


@pytest.mark.parametrize("headers", [[b"Connection: close"] + [b"X-%d: y" % i for i in range(3000)], [b"Connection: close"] + [b"b:"] * 12_000,
                                     [b"Connection: close," + b"a," * 15_000] + [b"b:"] * 8000],
                         ids=["thousands", "tiny ones", "thousands beside a long Connection"])
def test_too_many_headers_are_refused_and_hold_nobody_up(gateway, arrived, headers):
    """At 64 KB a head that takes a step for each pair of its words keeps a thread, and all whom it serves, for seconds."""
    assert min(seconds(lambda: answers(gateway, request(headers=headers), 60)) for _ in range(2)) < 1
    (status, _, body), = answers(gateway, request(headers=headers), 60)
    assert status == 431 and is_error(body)
    assert arrived() == []


def test_as_many_headers_as_honest_clients_have_pass(gateway, arrived):
    assert answers(gateway, request(headers=[b"Connection: close"] + [b"X-%d: y" % i for i in range(80)]))[0][0] == 200
    assert len(arrived()[0].headers) > 80


def test_a_head_that_trickles_in_is_cut_off_while_others_are_answered(gateway, arrived):
    """Hundreds of them: each sends a byte now and then, which must not buy it more time."""
    begun = time.monotonic()
    slow = [socket.create_connection((gateway.host, gateway.port), timeout=20) for _ in range(300)]
    try:
        for connection in slow[:150]:
            connection.sendall(b"POST /v1/x HTTP/1.1\r\nHost: here\r\nX-Slow: ")
        took_s = []
        while time.monotonic() - begun < SLOW_MS / 1000 / 2:
            with suppress(OSError):
                for connection in slow[:150]:
                    connection.sendall(b"y")
            took_s.append(seconds(lambda: ask(gateway, BODY)))
        assert median(took_s) < 0.5
        statuses = [[status for status, _, _ in read_answers(connection)] for connection in slow]
        assert statuses[:150].count([408]) > 100  # a few may not get it, where they send on
        assert statuses[150:] == [[]] * 150, "who has said nothing is told nothing"
        assert time.monotonic() - begun < SLOW_MS / 1000 + 10
    finally:
        for connection in slow:
            connection.close()
    assert {one.line for one in arrived()} == {"POST /v1/chat/completions HTTP/1.1"}


def test_a_body_that_trickles_in_is_cut_off(gateway, arrived):
    before = gateway.num_refused()
    with connect(gateway) as connection:
        connection.sendall(framed(b"Content-Length: 1000", body=b"{"))
        begun, over = time.monotonic(), threading.Event()

        def trickle():
            while not over.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return
        thread = threading.Thread(target=trickle)
        thread.start()
        (status, _, body), = read_answers(connection)
        over.set()
        thread.join()
    assert status == 408 and is_error(body)
    assert time.monotonic() - begun < SLOW_MS / 1000 + 10
    assert arrived() == []
    assert gateway.num_refused() == before + 1


def test_clients_that_do_not_read_are_let_go_of(gateway, upstream, arrived):
    """They ask for answers of 4 MB and take none: neither the requests nor their memory may pile up."""
    before = gateway.memory_bytes()
    upstream.padding = "y" * (4 << 20)
    try:
        lazy = [socket.create_connection((gateway.host, gateway.port), timeout=20) for _ in range(16)]
        for connection in lazy:
            connection.sendall(request() * 4)
        assert wait_until(lambda: len(gateway.metric_lines("autoglm_gw_open_requests")) == 1, 5)
        assert seconds(lambda: gateway.request("GET", "/health")) < 2
        time.sleep(SLOW_MS / 1000 + 1)
        open_requests = gateway.metric_lines("autoglm_gw_open_requests")[0]
        assert open_requests.endswith(" 0"), open_requests
        assert gateway.memory_bytes() - before < 256 << 20
    finally:
        upstream.padding = ""
        for connection in lazy:
            connection.close()
