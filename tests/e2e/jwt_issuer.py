"""Whoever issues JSON Web Tokens: keys of all kinds, tokens that are right or wrong in a way of the test's choice, and the key set by HTTP."""
import base64
import hmac
import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def base64url(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """Has one key for each name in KEYS; the name is its kid."""

    ISSUER, AUDIENCE = "https://issuer.test", "autoglm"
    # kid: (algorithm of its tokens, whether the key set pins it by "alg")
    KEYS = {"rsa": ("RS256", False), "pinned": ("PS256", True), "ec": ("ES256", True), "ec384": ("ES384", False), "ed": ("EdDSA", True),
            "secret": ("HS256", True)}

    def __init__(self):
        self.private = {"rsa": rsa.generate_private_key(65537, 2048), "pinned": rsa.generate_private_key(65537, 2048),
                        "ec": ec.generate_private_key(ec.SECP256R1()), "ec384": ec.generate_private_key(ec.SECP384R1()),
                        "ed": ed25519.Ed25519PrivateKey.generate(), "secret": b"0123456789abcdef0123456789abcdef"}

    def jwk(self, kid):
        algorithm, is_pinned = self.KEYS[kid]
        key = self.private[kid]
        public = key if isinstance(key, bytes) else key.public_key()
        jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True) | {"kid": kid, "use": "sig"}
        jwk.pop("key_ops", None)
        return jwk | ({"alg": algorithm} if is_pinned else {})

    def jwks(self, kids=tuple(KEYS)):
        return json.dumps({"keys": [self.jwk(kid) for kid in kids]})

    def public_bytes(self, kid, encoding=Encoding.PEM):
        return self.private[kid].public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def claims(self, **changed):
        """Good ones, with some changed, or left out where they are None."""
        claims = {"iss": self.ISSUER, "aud": self.AUDIENCE, "sub": "someone", "scope": "chat", "exp": int(time.time()) + 600} | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, kid="rsa", alg=None, header=None, **changed):
        """Signed with the key of that name; by another algorithm or with more in its header, where the test says so."""
        header = {"kid": kid} | (header or {})
        return jwt.encode(self.claims(**changed), self.private[kid], alg or self.KEYS[kid][0], headers={n: v for n, v in header.items() if v is not None})

    def forged_like(self, claim, value):
        """Rightly signed, with a claim that no library would write."""
        signed = f"{base64url({'alg': 'HS256', 'kid': 'secret'})}.{base64url(self.claims(**{claim: value}))}"
        return f"{signed}.{base64url(hmac.digest(self.private['secret'], signed.encode(), 'sha256'))}"

    def forged(self, header, secret=None, **changed):
        """By hand: any header; an HMAC where there is a secret, else no signature."""
        signed = f"{base64url(header)}.{base64url(self.claims(**changed))}"
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256')) if secret else ''}"


class RotatingKey:
    """One of several keys, made as they are needed, that come and go."""

    def __init__(self, kid):
        self.kid, self.private = kid, ed25519.Ed25519PrivateKey.generate()

    def jwk(self):
        return jwt.get_algorithm_by_name("EdDSA").to_jwk(self.private.public_key(), as_dict=True) | {"kid": self.kid, "alg": "EdDSA"}

    def token(self, kid=None):
        return jwt.encode({"sub": "someone", "exp": int(time.time()) + 600}, self.private, "EdDSA", headers={"kid": kid or self.kid})


class KeyServer:
    """Serves a key set at one URL, and counts who fetches it."""

    def __init__(self, keys):
        self.publish(keys)
        self.num_fetches = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.num_fetches += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(server.text)))
                self.end_headers()
                self.wfile.write(server.text)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, keys):
        self.text = json.dumps({"keys": [key.jwk() for key in keys]}).encode()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
