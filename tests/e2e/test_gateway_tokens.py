"""JSON Web Tokens at the gateway's door: what is no right token reaches no upstream, and keys change while everybody asks."""
import base64
import json
import threading
import time

import pytest
from access_config import ask, gateway_config
from cryptography.hazmat.primitives.serialization import Encoding
from gateway_process import Gateway
from jwt_issuer import Issuer, KeyServer, RotatingKey, base64url
from raw_http import BODY, is_error
from recording_upstream import RecordingUpstream
from serving import wait_until

ACCESS = """
policies:
  team: {{tenant: acme, models: [small, other]}}
  narrow: {{tenant: acme, models: [other]}}
jwt:
  jwks: {jwks}
  issuer: {issuer}
  audience: {audience}
  policy: team
  scopes:
    chat: [small]
    none: [nothing]
"""


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture(scope="module")
def upstream():
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(binary, upstream, issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "jwks.json").write_text(issuer.jwks())
    top = ACCESS.format(jwks=folder / "jwks.json", issuer=issuer.ISSUER, audience=issuer.AUDIENCE)
    gateway = Gateway(binary, folder, gateway_config(upstream, top))
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("kid, alg", [("rsa", "RS256"), ("rsa", "RS512"), ("rsa", "PS384"), ("pinned", "PS256"), ("ec", "ES256"), ("ec384", "ES384"),
                                      ("ed", "EdDSA"), ("secret", "HS256")])
def test_tokens_of_each_kind_of_key_are_accepted(gateway, upstream, issuer, kid, alg):
    upstream.take()
    token = issuer.token(kid, alg)
    assert ask(gateway, BODY, token)[0] == 200
    (arrived,) = upstream.take()
    assert token.encode() not in arrived.head


def swap_claims(issuer):
    head, _, signature = issuer.token().split(".")
    return f"{head}.{base64url(issuer.claims(sub='somebody else'))}.{signature}"


def swap_header(issuer):
    _, claims, signature = issuer.token().split(".")
    return f"{base64url({'alg': 'PS256', 'kid': 'rsa'})}.{claims}.{signature}"


def other_padding(issuer):
    """The same bytes to a decoder that does not look at the last character's spare bits."""
    head, claims, signature = issuer.token("ed").split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return f"{head}.{claims}.{signature[:-1]}{alphabet[alphabet.index(signature[-1]) ^ 1]}"


def raw_signature(issuer):
    """Zeros, which older verifiers of ECDSA took for right."""
    return f"{base64url({'alg': 'ES256', 'kid': 'ec'})}.{base64url(issuer.claims())}.{base64url(bytes(64))}"


def twice(issuer):
    """A header that says two algorithms."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","kid":"rsa","alg":"HS256"}').rstrip(b"=").decode()
    return f"{header}.{base64url(issuer.claims())}."


def own_key(_):
    """Signed by a key that the token brings along."""
    stranger = Issuer()
    return stranger.token(header={"jwk": stranger.jwk("rsa"), "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/c.pem", "x5c": ["AAAA"]})


def spelled(name):
    return lambda issuer: issuer.forged({"alg": name, "kid": "rsa"})


def hmac_of(secret):
    return lambda issuer: issuer.forged({"alg": "HS256", "kid": "rsa"}, secret(issuer))


# name: (token, status)
WRONG = {
    "HS256 with the public key's PEM": (hmac_of(lambda i: i.public_bytes("rsa")), 401),
    "HS256 with the PEM without its line break": (hmac_of(lambda i: i.public_bytes("rsa").strip()), 401),
    "HS256 with the public key's DER": (hmac_of(lambda i: i.public_bytes("rsa", Encoding.DER)), 401),
    "HS256 with the modulus": (hmac_of(lambda i: i.jwk("rsa")["n"].encode()), 401),
    "HS256 with the JSON of the key": (hmac_of(lambda i: json.dumps(i.jwk("rsa")).encode()), 401),
    "HS256 with an empty secret": (lambda i: i.forged({"alg": "HS256", "kid": "secret"}, b"\0"), 401),
    "HS256 without kid and the EC key's PEM": (lambda i: i.forged({"alg": "HS256"}, i.public_bytes("ec")), 401),
    **{f"alg {name!r}": (spelled(name), 401) for name in ("none", "None", "NONE", "nOnE", "", " none", "none ", "hs256", "HS256\0", None, 0, ["none"], {})},
    "without alg": (lambda i: i.forged({"kid": "rsa"}), 401),
    "two algs": (twice, 401),
    "RS256 by a key for PS256": (lambda i: i.token("pinned", "RS256"), 401),
    "ES256 said by RSA's kid": (lambda i: i.token("ec", header={"kid": "rsa"}), 401),
    "RS256 said by EC's kid": (lambda i: i.token("rsa", header={"kid": "ec"}), 401),
    "EdDSA said by RSA's kid": (lambda i: i.token("ed", header={"kid": "rsa"}), 401),
    "kid of another RSA key": (lambda i: i.token("rsa", header={"kid": "pinned"}), 401),
    "no kid where several keys fit": (lambda i: i.token("pinned", header={"kid": None}), 401),
    "kid that is a path": (lambda i: i.forged({"alg": "HS256", "kid": "../../../../dev/null"}, b"\0"), 401),
    "kid that is SQL": (lambda i: i.forged({"alg": "HS256", "kid": "x' UNION SELECT 'k"}, b"k"), 401),
    "kid with a NUL": (lambda i: i.token("rsa", header={"kid": "rsa\0"}), 401),
    "empty kid": (lambda i: i.token("rsa", header={"kid": ""}), 401),
    "a key of its own": (own_key, 401),
    "extensions that must be understood": (lambda i: i.token("rsa", header={"crit": ["b64"], "b64": True}), 401),
    "extensions in EdDSA": (lambda i: i.token("ed", header={"crit": ["exp"], "exp": 1}), 401),
    "expired": (lambda i: i.token(exp=int(time.time()) - 61), 401),
    "expired long ago": (lambda i: i.token(exp=0), 401),
    "without exp": (lambda i: i.token(exp=None), 401),
    "exp that is a text": (lambda i: i.forged_like("exp", "9999999999"), 401),
    "exp beyond all numbers": (lambda i: i.forged_like("exp", float("inf")), 401),
    "exp that is true": (lambda i: i.forged_like("exp", True), 401),
    "not valid yet": (lambda i: i.token(nbf=int(time.time()) + 120), 401),
    "nbf that is a list": (lambda i: i.forged_like("nbf", [0]), 401),
    "another audience": (lambda i: i.token(aud="other"), 401),
    "longer audience": (lambda i: i.token(aud="autoglm2"), 401),
    "audience in other letters": (lambda i: i.token(aud="AutoGLM"), 401),
    "without audience": (lambda i: i.token(aud=None), 401),
    "empty list of audiences": (lambda i: i.token(aud=[]), 401),
    "another issuer": (lambda i: i.token(iss="https://issuer.test.evil"), 401),
    "issuer with a slash": (lambda i: i.token(iss=i.ISSUER + "/"), 401),
    "without issuer": (lambda i: i.token(iss=None), 401),
    "list of issuers": (lambda i: i.forged_like("iss", [i.ISSUER]), 401),
    "other claims": (swap_claims, 401),
    "other header": (swap_header, 401),
    "other spelling of the signature": (other_padding, 401),
    "signature of zeros": (raw_signature, 401),
    "without signature": (lambda i: i.token().rpartition(".")[0] + ".", 401),
    "two parts": (lambda i: i.token().rpartition(".")[0], 401),
    "four parts": (lambda i: i.token() + ".x", 401),
    "five parts, as encrypted ones have": (lambda i: i.token() + ".x.y", 401),
    "only dots": (lambda i: "..", 401),
    "padded with =": (lambda i: i.token() + "=", 401),
    "one byte short": (lambda i: i.token()[:-1], 401),
    "20 KB of claims": (lambda i: i.token(note="x" * 20_000), 401),
    "60 KB that are no token": (lambda i: "a" * 20_000 + "." + "b" * 20_000 + "." + "c" * 20_000, 401),
    "a policy that is not there": (lambda i: i.token(autoglm_policy="root"), 403),
    "policy without the model": (lambda i: i.token(autoglm_policy="narrow"), 403),
    "scope without the model": (lambda i: i.token(scope="none"), 403),
    "scopes that nobody knows": (lambda i: i.token(scope="admin chat2"), 403),
    "without scope": (lambda i: i.token(scope=None), 403),
}


@pytest.mark.parametrize("name", WRONG)
def test_tokens_that_are_wrong_are_refused_and_counted(gateway, upstream, issuer, name):
    make, expected = WRONG[name]
    upstream.take()
    before = gateway.num_refused()
    status, headers, body = ask(gateway, BODY, make(issuer))
    assert status == expected, body
    assert is_error(body)
    assert "retry-after" not in headers
    assert upstream.take() == []
    assert gateway.num_refused() == before + 1


def test_refusals_for_lack_of_a_token_say_which_scheme_is_wanted(gateway, issuer):
    for headers in ({}, {"Authorization": "Basic dTpw"}, {"Authorization": "Bearer " + issuer.token(exp=1)}):
        status, answered, _ = gateway.request("POST", "/v1/chat/completions", BODY, headers)
        assert status == 401
        assert answered.get("www-authenticate", "").startswith("Bearer")


def test_scopes_and_policy_both_bound_the_models(gateway, upstream, issuer):
    upstream.take()
    token = issuer.token(scope="chat")
    assert ask(gateway, BODY, token)[0] == 200
    assert ask(gateway, BODY.replace(b"small", b"other"), token)[0] == 403
    assert ask(gateway, BODY, issuer.token(scope=None, scp=["chat"]))[0] == 200
    assert len(upstream.take()) == 2


class Clients:
    """Ask one after the other, each with its own token, until they are told to stop; they keep every status."""

    def __init__(self, gateway, token, count=3):
        self.statuses, self._over = [], threading.Event()

        def ask_on():
            while not self._over.is_set():
                self.statuses.append(ask(gateway, BODY, token)[0])
                time.sleep(0.005)
        self._threads = [threading.Thread(target=ask_on) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def wait_for_more(self, count):
        target = len(self.statuses) + count
        assert wait_until(lambda: len(self.statuses) >= target, 20)

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        return set(self.statuses)


def test_keys_rotate_while_everybody_asks(binary, upstream, tmp_path):
    """Between two fetches for keys that are not known lie five seconds, so this takes twice as long."""
    old, new, unknown = RotatingKey("k1"), RotatingKey("k2"), RotatingKey("k3")
    keys = KeyServer([old])
    top = f"policies:\n  team: {{tenant: acme}}\njwt: {{jwks_url: '{keys.url}', jwks_refresh: 1h, policy: team}}\n"
    gateway = Gateway(binary, tmp_path, gateway_config(upstream, top))
    running = []
    try:
        assert wait_until(lambda: ask(gateway, BODY, old.token())[0] == 200, 10)
        assert keys.num_fetches == 1
        running.append(Clients(gateway, old.token()))
        time.sleep(5.2)
        keys.publish([old, new])
        running.append(Clients(gateway, new.token()))
        running[1].wait_for_more(50)
        assert keys.num_fetches == 2
        junk = [ask(gateway, BODY, unknown.token(kid=f"made-up-{i}"))[0] for i in range(100)]
        assert set(junk) == {401} and keys.num_fetches == 2, "fetches for made-up names are bounded"
        time.sleep(5.2)
        assert running[0].stop() == {200}, "the old key counts as long as it is published"
        keys.publish([new])
        assert ask(gateway, BODY, unknown.token())[0] == 401  # has the keys fetched
        assert wait_until(lambda: ask(gateway, BODY, old.token())[0] == 401, 5), "the old key is gone"
        assert keys.num_fetches == 3
        keys.close()
        running[1].wait_for_more(50)
        assert running[1].stop() == {200}
    finally:
        for clients in running:
            clients.stop()
        gateway.stop()


def test_tokens_wait_for_the_first_keys(binary, upstream, tmp_path):
    """An issuer that is not there yet is the gateway's trouble, not the client's."""
    key = RotatingKey("k1")
    keys = KeyServer([key])
    keys.close()
    top = f"policies:\n  team: {{tenant: acme}}\njwt: {{jwks_url: '{keys.url}', policy: team}}\n"
    gateway = Gateway(binary, tmp_path, gateway_config(upstream, top))
    try:
        status, headers, body = ask(gateway, BODY, key.token())
        assert status == 503 and is_error(body)
        assert int(headers["retry-after"]) >= 1
        assert gateway.num_refused("authentication") == 1
    finally:
        gateway.stop()
