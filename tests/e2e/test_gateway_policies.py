"""What keys allow, whatever a body looks like and by whichever door it comes; and the gateway's admin port."""
import json

import pytest
from access_config import CHAT_PATH, ask, chat, gateway_config, key_entries
from gateway_process import Gateway
from raw_http import is_error
from recording_upstream import RecordingUpstream
from serving import Server

POLICIES = {
    "free": "{tenant: acme}",
    "small-only": "{tenant: acme, models: [small]}",
    "short": "{tenant: acme, max_output_tokens: 8}",
    "near": "{tenant: acme, max_context_tokens: 100}",
    "patient": "{tenant: acme, highest_priority: 0}",
}


@pytest.fixture(scope="module")
def upstream():
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(binary, upstream, tmp_path_factory):
    gateway = Gateway(binary, tmp_path_factory.mktemp("policies"), gateway_config(upstream, key_entries(POLICIES), ", api_key: upstream-secret"))
    yield gateway
    gateway.stop()


@pytest.fixture
def arrived(upstream):
    """What the test's own requests have brought to the upstream."""
    upstream.take()
    return upstream.take


# --- bodies

@pytest.mark.parametrize("body", [
    b'{"model":"small","model":"big"}', b'{"model":"small","mod\\u0065l":"big"}', b'{"mod\\u0065l":"small","\\u006dodel":"big"}',
    b'{"model":"small"}{"model":"big"}', b'{"model":"small"} x', b'[{"model":"small"}]', b"'small'", b"{'model':'small'}", b'{"model":"small",}',
    b'{/**/"model":"small"}', b'{"model":["small"]}', b'{"model":null}', b'{"model":5}', b'{"model":"sm\xffall"}', b'{"x":"\xc0\xaf","model":"small"}',
    b'{"model":"\\ud800"}', b'{"model":"sm\x00all"}', b'{"x":"a\nb","model":"small"}', b'\xef\xbb\xbf{"model":"small"}', b"\xff\xfe{\0}\0",
    b'{"x":' + b"[" * 100_000, b'{"x":' + b'{"a":' * 100_000, b"[" * 500_000, b'{"max_tokens":-1}', b'{"max_tokens":1.5}', b'{"max_tokens":1e300}',
    b'{"max_tokens":99999999999999999999}', b'{"max_tokens":"5"}', b'{"max_tokens":5,"max_tokens":6}', b'{"n":0}', b'{"n":99999}', b'{"stream":"true"}',
    b'{"priority":"0"}', b'{"cache_salt":"x"}', b'{"cache_s\\u0061lt":"x"}', b'{"autoglm_continue":{}}', b'{"autoglm\\u005fcontinue":{}}',
    b'{"model":"' + b"m" * 100_000 + b'"}'], ids=lambda body: body[:44].decode("latin-1").encode("unicode_escape").decode())
def test_bodies_that_servers_read_differently_are_refused(gateway, arrived, body):
    before = gateway.num_refused("invalid_request")
    status, headers, answer = ask(gateway, body)
    assert status == 400 and is_error(answer) and len(answer) < 2000
    assert "retry-after" not in headers
    assert arrived() == []
    assert gateway.num_refused("invalid_request") == before + 1


@pytest.mark.parametrize("body", [b'{"model":"sm\\u0061ll"}', b'{"x":' + b"[" * 900 + b"]" * 900 + b',"model":"small"}', b'{"x":1e999,"model":"small"}',
                                  b' \t\r\n{ "model" : "small" } \n', b'{"messages":[{"role":"user","content":"{\\"model\\":\\"big\\"}"}],"model":"small"}',
                                  b'{"metadata":{"model":"big","model":"big"},"model":"small"}'], ids=range(6))
def test_bodies_of_any_shape_go_on_byte_for_byte(gateway, arrived, body):
    assert ask(gateway, body, key="small-only")[0] == 200
    assert [one.body for one in arrived()] == [body]


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json ; charset=utf-8", "text/plain", "text/json",
                                          "application/vnd.api+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/responses", "/v1/embeddings", "/v1/messages"])
def test_no_content_type_hides_the_model(gateway, arrived, path, content_type):
    assert ask(gateway, chat(model="big"), "small-only", path, content_type)[0] in (400, 403, 415)
    assert ask(gateway, chat(cache_salt="x"), "free", path, content_type)[0] in (400, 415)
    assert arrived() == []


@pytest.mark.parametrize("body, key, status", [
    ({"messages": [{"role": "user", "content": "hi"}]}, "small-only", 403),     # the server behind would take its default
    ({"messages": [], "model": ""}, "small-only", 403),
    (chat(model="small "), "small-only", 403),
    (chat(model="SMALL"), "small-only", 403),
    (chat(model="small\0"), "small-only", 403),
    (chat(priority=-1), "patient", 403),
    (b'{"model":"small","priority":-1.0}', "patient", 403),
    (chat(max_tokens=9), "short", 403),
    (chat(max_tokens=1, max_completion_tokens=9), "short", 403),
    (chat(max_completion_tokens=1, max_tokens=9), "short", 403),
    (chat(max_output_tokens=9, max_tokens=1), "short", 403),
    (chat(max_tokens=2**63 - 1), "short", 403),
    (chat(max_tokens=200), "near", 403),
    (chat(max_tokens=2**63 - 1), "near", 403),
    (chat(max_tokens=2**63 - 1000), "near", 403),
], ids=str)
def test_policies_hold_however_it_is_asked_for(gateway, arrived, body, key, status):
    answered, _, answer = ask(gateway, body, key)
    assert answered in (400, status) and is_error(answer)
    assert arrived() == []


@pytest.mark.parametrize("members", [{}, {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": None}], ids=str)
def test_answers_are_bounded_where_the_request_does_not_say(gateway, arrived, members):
    """max_output_tokens holds for who asks for nothing as well: the upstream knows no policy."""
    assert ask(gateway, chat(**members), "short")[0] == 200
    (one,) = arrived()
    pairs = json.loads(one.body, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), one.body
    bounds = [value for name, value in pairs if name in ("max_tokens", "max_completion_tokens") and value is not None]
    assert bounds and all(bound <= 8 for bound in bounds)


# --- tenants

@pytest.fixture(scope="module")
def replica(binary, model, tmp_path_factory):
    server = Server(binary, model, tmp_path_factory.mktemp("replica") / "log.json", "--threads", "1")
    yield server
    server.stop()


def test_tenants_of_one_gateway_see_nothing_of_each_other(binary, replica, tmp_path):
    """To the replica they are all the gateway: it must be told whose request it is."""
    gateway = Gateway(binary, tmp_path, gateway_config(replica, key_entries({"one": "{tenant: one}", "two": "{tenant: two}"}), ", engine: autoglm"))

    def request(key, method, path, body=None):
        status, _, answer = gateway.request(method, path, json.dumps(body) if body else None, {"Authorization": f"Bearer {key}"})
        return status, json.loads(answer)
    try:
        status, made = request("one", "POST", "/v1/contexts", {"prompt": "Once upon a time"})
        assert status == 200
        assert [one["id"] for one in request("one", "GET", "/v1/contexts")[1]["data"]] == [made["id"]]
        assert request("two", "GET", "/v1/contexts")[1]["data"] == []
        for method in ("GET", "DELETE"):
            assert request("two", method, "/v1/contexts/" + made["id"])[0] == 404
        long = chat(messages=[{"role": "user", "content": "Tell me about rivers. " * 40}], model="default", max_tokens=1)
        cached = [request(key, "POST", CHAT_PATH, long)[1]["usage"]["prompt_tokens_details"]["cached_tokens"] for key in ("one", "one", "two")]
        assert cached[0] == 0 and cached[1] > 100 and cached[2] == 0
    finally:
        gateway.stop()


# --- the admin port

def test_the_admin_port_asks_for_its_token_and_knows_its_methods(binary, upstream, tmp_path):
    gateway = Gateway(binary, tmp_path, gateway_config(upstream, "admin_token: the admin's own\n"))
    right = {"Authorization": "Bearer the admin's own"}
    try:
        for path in ("/metrics", "/gateway/status", "/gateway/explain", "/workers", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer the admin's"}, {"Authorization": "Bearer the admin's own "[:-2]}, {"Authorization": "the admin's own"},
                            {"Authorization": "Bearer "}, {"X-Api-Key": "the admin's own"}, {"Authorization": "Basic dTpw"}):
                status, answered, body = gateway.admin("GET", path, headers=headers)
                assert status == 401 and is_error(body), (path, headers)
                assert answered.get("www-authenticate", "").startswith("Bearer")
        assert gateway.admin("GET", "/gateway/status", headers=right)[0] == 200
        for method, path in (("DELETE", "/metrics"), ("POST", "/metrics"), ("GET", "/gateway/reload"), ("PUT", "/workers"), ("GET", "/gateway/drain"),
                             ("TRACE", "/metrics"), ("DELETE", "/workers")):
            status, answered, body = gateway.admin(method, path, headers=right)
            assert status in (404, 405) and is_error(body), (method, path)
        assert gateway.admin("GET", "/gateway/status/../status", headers=right)[0] == 404
        # The token opens the admin port only, and nothing of it is in answers or logs.
        assert "the admin's own" not in gateway.log_path.read_text()
        assert b"the admin's own" not in gateway.admin("GET", "/gateway/status", headers=right)[2]
    finally:
        gateway.stop()


def test_pages_in_a_browser_cannot_use_an_admin_port_without_token(gateway):
    """A page may send a plain POST anywhere, and may have its own name lead to this machine."""
    url = json.dumps({"url": "http://127.0.0.1:9"})
    for headers in ({"Origin": "https://evil.test", "Content-Type": "text/plain"}, {"Host": "evil.test"}):
        assert gateway.admin("POST", "/workers", url, headers)[0] == 403
        assert gateway.admin("GET", "/gateway/status", headers=headers)[0] == 403
    assert b"127.0.0.1:9" not in gateway.admin("GET", "/workers")[2]
