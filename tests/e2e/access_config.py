"""What tests about who may do what have in common: the configuration of a gateway, and requests with a key."""
import hashlib
import json

CHAT_PATH = "/v1/chat/completions"


def key_entries(policies):
    """`keys` of gateway.yaml: for each policy one whose name is its secret too."""
    entries = (f"  - {{name: {name}, sha256: {hashlib.sha256(name.encode()).hexdigest()}, policy: {policy}}}" for name, policy in policies.items())
    return "keys:\n" + "\n".join(entries) + "\n"


def gateway_config(upstream, top="", options=""):
    """One route to one upstream that nobody probes: what arrives there is what clients sent."""
    return ("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nprobes: {path: off, metrics_path: off, models_path: off}\n" + top +
            f"routes:\n  - name: main\n    upstreams: [{{url: '{upstream.url}'{options}}}]\n")


def chat(**members):
    return {"model": "small", "messages": [{"role": "user", "content": "hi"}]} | members


def ask(gateway, body, key="free", path=CHAT_PATH, content_type="application/json"):
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return gateway.request("POST", path, body, {"Content-Type": content_type, "Authorization": f"Bearer {key}"})
