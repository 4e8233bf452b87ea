"""What the server answers to bytes that no well-behaved client sends, and what every answer carries."""
import json
import socket
import time

import pytest

CHAT = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}


def error_of(body):
    return json.loads(body)["error"]


def exchange(server, data, timeout=30):
    """Sends raw bytes and reads until the server closes or has answered completely."""
    with socket.create_connection((server.host, server.port), timeout=timeout) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
            head, found, body = answer.partition(b"\r\n\r\n")
            length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            if found and length and len(body) >= length[0]:
                break
    return answer


@pytest.mark.parametrize("body", [b"", b"{", b'{"model": }', b"[]", b"null", b'{"messages": 5}', b"[" * 100_000, b'{"a":' * 5_000],
                         ids=lambda b: b[:12].decode())
def test_malformed_json_is_a_bad_request(server, body):
    status, headers, answer = server.post("/v1/chat/completions", body)
    assert status == 400
    assert headers["content-type"].startswith("application/json")
    assert error_of(answer)["type"] == "invalid_request_error"


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xc3", b"\xed\xa0\x80"], ids=["bytes", "cut", "surrogate"])
def test_invalid_utf8_is_a_bad_request(server, bad):
    status, _, answer = server.post("/v1/chat/completions", json.dumps(CHAT).encode().replace(b"Hi", bad))
    assert status == 400
    assert error_of(answer)["message"]


def test_what_stands_behind_a_nul_byte_is_not_dropped(server):
    status, _, answer = server.post("/v1/chat/completions", json.dumps(CHAT).encode() + b'\0, "n": 9}')
    assert status == 400
    assert "NUL" in error_of(answer)["message"]


def test_an_error_does_not_send_a_large_body_back(server):
    status, _, answer = server.post("/v1/chat/completions", CHAT | {"model": "x" * 1_000_000})
    assert status == 404
    assert error_of(answer)["code"] == "model_not_found"
    assert len(answer) < 2000


def test_an_encoded_body_is_an_unsupported_media_type(server):
    status, _, answer = server.request("POST", "/v1/chat/completions", b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert status == 415
    assert "Content-Encoding" in error_of(answer)["message"]


def test_tools_are_refused_by_a_template_without_them(server):
    tools = [{"type": "function", "function": {"name": "f"}}]
    status, _, answer = server.post("/v1/chat/completions", CHAT | {"tools": tools})
    assert status == 400
    assert error_of(answer)["param"] == "tools"
    assert server.post("/v1/chat/completions", CHAT | {"tools": tools, "tool_choice": "none"})[0] == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(server):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
    answer = exchange(server, head)
    assert b" 413 " in answer.splitlines()[0]
    assert error_of(answer.partition(b"\r\n\r\n")[2])["message"]


@pytest.mark.parametrize("data", [b"NONSENSE\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
                                  b"GET / HTTP/1.1\r\nHost x\r\n\r\n"], ids=["words", "version", "tls", "header"])
def test_what_is_not_http_is_refused_and_closed(server, data):
    answer = exchange(server, data)
    assert answer == b"" or b" 400 " in answer.splitlines()[0]
    assert server.request("GET", "/health")[0] == 200


def test_headers_over_the_limit_are_refused(server):
    answer = exchange(server, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 200_000 + b"\r\n\r\n")
    assert b" 431 " in answer.splitlines()[0]


@pytest.mark.parametrize("method, path, status", [("GET", "/nowhere", 404), ("GET", "/v1/chat/completions", 405), ("POST", "/health", 405),
                                                  ("GET", "/v1/models/unknown", 404)])
def test_an_unknown_path_or_method_is_refused(server, method, path, status):
    got, _, body = server.request(method, path)
    assert got == status
    assert error_of(body)["message"]


def test_a_request_may_come_one_byte_at_a_time(server):
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.005)
        assert b" 200 " in connection.recv(4096).splitlines()[0]


def test_a_client_that_never_ends_its_headers_is_cut_off_and_blocks_nobody(server):
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        start = time.monotonic()
        closed = False
        while not closed and time.monotonic() - start < 30:
            assert server.request("GET", "/health", timeout=2)[0] == 200
            try:
                connection.sendall(b"a")
                connection.settimeout(0.5)
                answer = connection.recv(4096)
                closed = answer == b"" or b" 408 " in answer
            except TimeoutError:
                pass
            except OSError:
                closed = True
        assert closed
        assert time.monotonic() - start < 20


def test_a_request_id_comes_back_or_is_made(server):
    assert server.request("GET", "/health", headers={"x-request-id": "abc-123"})[1]["x-request-id"] == "abc-123"
    status, headers, _ = server.post("/v1/chat/completions", CHAT)
    assert status == 200
    assert headers["x-request-id"]
    assert headers["x-request-id"] != server.post("/v1/chat/completions", CHAT)[1]["x-request-id"]


def test_a_hostile_request_id_does_not_come_back_as_it_was(server):
    hostile = "x" * 5000
    assert server.request("GET", "/health", headers={"x-request-id": hostile})[1].get("x-request-id") != hostile


def test_one_connection_serves_many_requests(server):
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(one)
            assert b" 200 " in connection.recv(4096).splitlines()[0]


def test_a_stream_is_server_sent_events(server):
    status, headers, body = server.post("/v1/chat/completions", CHAT | {"stream": True})
    events = body.decode().split("\n\n")
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(e.removeprefix("data: "))["object"] == "chat.completion.chunk" for e in events[:-2])
