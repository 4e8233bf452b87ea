"""Who may ask: keys made at the command line, policies, tokens, and servers that ask nobody."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import subprocess
import time

import openai
import pytest

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def keys(autoglm, tmp_path):
    """keys("create", "--name", ...) on a database of the test's own."""
    database = tmp_path / "state" / "keys.db"

    def run(*arguments):
        result = autoglm("keys", *arguments, "--database", database)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    run.database = database
    return run


def chat(server, key, **options):
    options = {"model": "default", "messages": HELLO, "max_tokens": 4} | options
    return server.client().with_options(api_key=key).chat.completions.create(**options)


def test_key_opens_the_server_until_it_is_revoked(keys, start_server):
    key = keys("create", "--name", "web", "--tenant", "acme")
    server = start_server("--keys-database", str(keys.database))
    assert chat(server, key).usage.completion_tokens > 0
    with pytest.raises(openai.AuthenticationError):
        chat(server, "sk-autoglm-" + "a" * 40)
    assert server.request("GET", "/v1/models")[0] == 401
    assert server.request("GET", "/health")[0] == 200
    assert server.request("GET", "/v1/models", headers={"x-api-key": key})[0] == 200
    keys("revoke", "web")
    deadline = time.monotonic() + 5
    with pytest.raises(openai.AuthenticationError):
        while time.monotonic() < deadline:
            chat(server, key)
            time.sleep(0.1)
    assert key not in server.log_path.read_text()
    assert key.encode() not in keys.database.read_bytes()


def test_key_made_later_opens_the_server(keys, start_server):
    keys("create", "--name", "first")
    server = start_server("--keys-database", str(keys.database))
    later = keys("create", "--name", "later")
    deadline = time.monotonic() + 5
    while True:
        try:
            chat(server, later)
            break
        except openai.AuthenticationError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_policy_limits_what_a_key_may_ask_for(keys, start_server):
    key = keys("create", "--name", "small", "--max-output", "8", "--highest-priority", "0", "--max-concurrent", "2", "--tokens-per-minute", "2000")
    other = keys("create", "--name", "elsewhere", "--model", "another-*")
    server = start_server("--keys-database", str(keys.database))
    with pytest.raises(openai.PermissionDeniedError):
        chat(server, key, max_tokens=9)
    with pytest.raises(openai.PermissionDeniedError):
        chat(server, key, extra_body={"priority": -1})
    with pytest.raises(openai.PermissionDeniedError):
        chat(server, other)
    raw = server.client().with_options(api_key=key).chat.completions.with_raw_response.create(model="default", messages=HELLO, max_tokens=8)
    assert raw.headers["x-ratelimit-limit-tokens"] == "2000"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def ask(_):
            try:
                return chat(server, key, max_tokens=8, extra_body={"ignore_eos": True}) and 200
            except openai.RateLimitError as error:
                assert int(error.response.headers["retry-after"]) >= 1
                return 429
        statuses = list(pool.map(ask, range(8)))
    assert 200 in statuses and 429 in statuses, "no more than two at a time"


def test_rate_limit_holds_against_parallel_requests(keys, start_server):
    key = keys("create", "--name", "five", "--requests-per-minute", "5")
    server = start_server("--keys-database", str(keys.database))

    def ask(_):
        try:
            chat(server, key, max_tokens=1)
            return 200
        except openai.RateLimitError:
            return 429

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(ask, range(32)))
    assert statuses.count(200) == 5


def token(secret, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}) + b"." + part(claims)
    return (signed + b"." + part(hmac.digest(secret, signed, "sha256"))).decode()


def test_tokens_and_keys_of_the_configuration(binary, model, tmp_path, start_server):
    secret = b"0123456789abcdef0123456789abcdef"
    jwk = {"kty": "oct", "kid": "k1", "alg": "HS256", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode()}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    config = tmp_path / "autoglm.yaml"
    config.write_text(f"""
policies:
  short: {{tenant: acme, max_output_tokens: 6}}
keys:
  - {{name: ci, sha256: {hashlib.sha256(b"secret of ci").hexdigest()}, policy: short}}
jwt: {{jwks: {tmp_path / "jwks.json"}, audience: autoglm, policy: short}}
""")
    server = start_server("--config", str(config), "--keys-database", "off")
    assert chat(server, "secret of ci").usage.completion_tokens <= 6
    good = token(secret, aud="autoglm", sub="me", exp=int(time.time()) + 60)
    assert chat(server, good).usage.completion_tokens <= 6
    with pytest.raises(openai.PermissionDeniedError):
        chat(server, good, max_tokens=7)
    for bad in (token(secret, aud="autoglm", sub="me", exp=int(time.time()) - 600), token(secret, aud="other", sub="me", exp=int(time.time()) + 60),
                token(b"x" * 32, aud="autoglm", sub="me", exp=int(time.time()) + 60), good[:-2]):
        with pytest.raises(openai.AuthenticationError):
            chat(server, bad)


def test_server_without_keys_stays_on_loopback(binary, model, tmp_path, start_server):
    refused = subprocess.run([binary, "serve", model, "--port", "0", "--host", "0.0.0.0"], capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0
    assert "autoglm keys create" in refused.stderr
    server = start_server("--host", "0.0.0.0", "--unauthenticated", "anywhere")
    assert server.request("GET", "/v1/models")[0] == 200
    assert "can be reached from other machines" in server.log_path.read_text()


def test_tenants_do_not_see_each_others_prefixes_or_contexts(keys, start_server):
    one, two = keys("create", "--name", "one", "--tenant", "one"), keys("create", "--name", "two", "--tenant", "two")
    server = start_server("--keys-database", str(keys.database))
    long = [{"role": "user", "content": "Tell me about rivers. " * 40}]

    def cached(key):
        return chat(server, key, messages=long).usage.prompt_tokens_details.cached_tokens

    assert cached(one) == 0
    assert cached(one) > 100
    assert cached(two) == 0
    body = json.dumps({"prompt": "Once upon a time"})
    status, _, created = server.request("POST", "/v1/contexts", body, {"Authorization": f"Bearer {one}"})
    assert status == 200
    path = "/v1/contexts/" + json.loads(created)["id"]
    assert server.request("GET", path, headers={"Authorization": f"Bearer {two}"})[0] == 404


PUBLIC = "You are the helper of a small harbour. Answer in one short sentence, name the pier where you can, and be kind. " * 4


@pytest.mark.parametrize("is_declared", [True, False])
def test_public_prefix_is_shared_by_tenants_where_it_is_declared(keys, start_server, tmp_path, is_declared):
    one, two = keys("create", "--name", "one", "--tenant", "one"), keys("create", "--name", "two", "--tenant", "two")
    (tmp_path / "harbour.txt").write_text(PUBLIC)
    config = tmp_path / "autoglm.yaml"
    config.write_text("public_prefixes:\n  - file: harbour.txt\n    as: system\n" if is_declared else "")
    server = start_server("--config", str(config), "--keys-database", str(keys.database))
    question = "Where may a sailing boat of nine metres stay for two nights, and what does that cost with water and power?"
    messages = [{"role": "system", "content": PUBLIC}, {"role": "user", "content": question}]
    answers = [chat(server, key, messages=messages, temperature=0) for key in (one, two, two)]
    cached = [answer.usage.prompt_tokens_details.cached_tokens for answer in answers]
    assert cached[0] == 0
    assert cached[1] >= 32 if is_declared else cached[1] == 0
    assert cached[1] <= answers[1].usage.prompt_tokens - 24, "the question is one's own"
    assert cached[2] > cached[1]
    assert len({answer.choices[0].message.content for answer in answers}) == 1


def test_public_prefix_that_makes_no_sense_stops_the_start(binary, model, tmp_path):
    config = tmp_path / "autoglm.yaml"
    for yaml, what in (("public_prefixes:\n  - file: missing.txt\n", "autoglm.yaml:2: file: cannot open"),
                       ("public_prefixes:\n  - prompt: Once\n    model: nobody\n", "autoglm.yaml:2: model: ")):
        config.write_text(yaml)
        refused = subprocess.run([binary, "serve", model, "--port", "0", "--config", config], capture_output=True, text=True, timeout=60)
        assert refused.returncode != 0
        assert what in refused.stderr
